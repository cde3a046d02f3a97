// Package cluster runs a broker of our own under the load: one `streambus broker` process on loopback with a data folder that
// goes when it goes. It knows the binary's command line and nothing of what is inside; loadscript links no broker code.
//
//	Start --> find binary --> free port --> start, wait until ApiVersions is answered --> Cluster
//	                                                                   Stop: TERM, after 10 s KILL, data folder removed
//
// Invariants:
//
//	C1  The process does not outlive us: Stop ends it, and if we are killed the kernel does (parent death signal).
//	C2  The data folder is removed whatever happens, but for a kill of ourselves.
//	C3  If the process ends by itself, Dead is closed and Exit says how, with the last lines of its log.
package cluster
