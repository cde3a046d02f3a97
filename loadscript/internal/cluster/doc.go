// Package cluster runs brokers of our own under the load: processes on loopback whose data goes when they go. It knows command
// lines and nothing of what is inside; loadscript links no broker code. A "streambus" cluster is one `streambus broker`, until
// StreamBus replicates; a "kafka" cluster is as many nodes of Apache Kafka as are asked for, each broker and controller, from
// their jars. It decides nothing about faults: it does to a process what it is told.
//
//	Start --> find binary or jars --> free ports --> start all, wait until they answer --> Cluster
//	          Kill, Launch, Shutdown, Pause, Resume, Disk, Clock: one node, same address and data   |
//	                                     Stop: TERM, after 10 s KILL, data folders removed <--
//
// Invariants:
//
//	C1  No process outlives us: Stop ends them, and if we are killed the kernel does (parent death signal).
//	C2  The data folder is removed whatever happens, but for a kill of ourselves.
//	C3  If a process ends that nobody asked to, Dead is closed and Exit says how, with the last lines of its log.
//	C4  What is done to a node is done when the call returns: the process is gone, stopped, running, or answers; the disk is slow or full, the
//	    clock wrong.
//	C5  What is wrong with a node's disk or clock stays so over a restart: its failpoints hear of it before they let anything be read.
package cluster
