// Package script is the language of loadscript: it runs a Starlark file once, before the clock starts, and returns an
// immutable plan.Plan or every mistake that it found. It opens no connection, reads no clock, no environment and no file but
// modules below the script's folder, and it drives nothing: no Starlark runs in the timed path.
//
//	spike.star --parse--> syntax tree --resolve--> program --run--> values --cross-check--> plan.Plan
//	               |                      |                 |                   |
//	               +----------------------+--- Errors: file:line:col, source line, caret, did you mean, example
//
//	s, err := script.Load(ctx, script.Options{Path: "scripts/spike.star"})
//
// One Go table per built-in (builtins.go) holds its parameters: name, type, default, unit, doc. Unpacking, error messages and
// `loadscript doc` are all made from it.
//
// Invariants:
//
//	S1  Load never panics and always ends: no while, no recursion, a step limit and a wall clock for every thread.
//	S2  The same source, modules and parameters give the same plan: nothing that the script sees iterates a Go map.
//	S3  A plan is returned only if it has no mistake; a mistake in one call does not hide those in the next.
//	S4  Every mistake names a place in a file that the user wrote.
//
// Load runs in the caller's process, where steps bound time but not memory: 'a' * (1<<28) takes 256 MiB in 8 steps. Read does the
// same in a process of its own under resource limits (apart.go), and is what the commands use.
package script
