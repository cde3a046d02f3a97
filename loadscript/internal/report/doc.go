// Package report is what a run found, and how people and programs get to see it: the results file (Results, schema version
// below), the files written while it goes, the verdict on the terminal, the live progress and the page report.html. It measures nothing
// and decides nothing: drive fills Results in.
//
//	drive --> Sink (once a second) --> series.csv, latency.hlog, events.jsonl (Recorder)
//	      --> Snapshot (once a second) --> Progress (stderr)
//	      --> Results --> Verdict  (text, stdout)
//	                  --> results.json
//	                  --> report.html (one file, no network: uPlot, data and style are inside)
//	                  --> bench.txt (benchstat), junit.xml (CI systems)
//
// Invariants:
//
//	R1  results.json holds everything the other outputs show; a reader of schema n can read every later file of schema n.
//	R2  Nothing that a script, a broker or an operating system named reaches the page unescaped.
//	R3  A percentile with fewer than 10/(1-p) samples is never shown as if it meant something.
//	R4  report.html needs no network and runs no code but its own (Content-Security-Policy).
package report
