// Package victim is the program that the proof kills: an engine on a real folder, writers that append numbered batches to
// several logs, a reader that checks what they wrote, and logs that are dropped and made anew. It tells its parent through a
// pipe what it was promised. It is also the home of what the proof's tests share with it: the batches that can be told apart
// (content.go) and a disk whose every operation can be watched, failed or falsified (around.go).
//
// It decides nothing about right or wrong but for what its reader sees: the parent holds the ledger.
//
// # What it says, one line each
//
//	ready                              Open has returned
//	c LOG INC                          OpenLog is about to be called for a log that may not exist
//	a LOG LIFE INC WRITER SEQ BASE     the batch is acknowledged: Observer.Flushed has passed it
//	d LOG INC                          Drop is about to be called
//	D LOG INC                          Drop has returned
//	f TEXT                             the engine has failed; nothing follows
//	x TEXT                             something that must not be; the program ends with status 3
//	closed                             Close has returned
//
// A line is written by one write(2) of at most PIPE_BUF bytes, so lines of many goroutines never mix, and what was said
// before a SIGKILL is in the pipe.
package victim
