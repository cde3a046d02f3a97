// Package scripts holds load scripts that are ready to run: `loadscript run scripts/spike.star`. It has no Go code of its own;
// its tests hold every script to the guide's figures and flags, and run it against a real broker in a short form. The plans in
// testdata are the language's golden test (loadscript/internal/script).
package scripts
