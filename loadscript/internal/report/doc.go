// Package report is what a run found, and how people and programs get to see it: the results file (Results, schema version
// below), the verdict on the terminal, the live progress, the series as CSV and the page report.html. It measures nothing
// and decides nothing: drive fills Results in.
//
//	drive --> Results --> Verdict  (text, stdout)
//	                  --> results.json, series.csv
//	                  --> report.html (one file, no network: uPlot, data and style are inside)
//	drive --> Snapshot (once a second) --> Progress (stderr)
//
// Invariants:
//
//	R1  results.json holds everything the other outputs show; a reader of schema n can read every later file of schema n.
//	R2  Nothing that a script, a broker or an operating system named reaches the page unescaped.
//	R3  A percentile with fewer than 10/(1-p) samples is never shown as if it meant something.
//	R4  report.html needs no network and runs no code but its own (Content-Security-Policy).
package report
