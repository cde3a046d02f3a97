package bare

import (
	"bytes"
	"os"
	"path/filepath"
	"time"
)

// BusyThreads counts the threads of this process, kernel workers of its rings among them, that run or wait for the disk (states R
// and D in /proc/self/task/*/stat). Those that the runtime keeps asleep for later are not counted.
func BusyThreads() (n int) {
	tasks, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		panic(err) // the pattern is a good one
	}
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if at := bytes.LastIndexByte(b, ')'); at >= 0 && at+2 < len(b) && (b[at+2] == 'R' || b[at+2] == 'D') {
			n++
		}
	}
	return n
}

// threadsTick is how often WatchThreads looks. A look allocates for each thread, which shows in the figures of a round.
const threadsTick = 20 * time.Millisecond

// WatchThreads looks at BusyThreads until the function that it gives is called, which tells the most there were at once.
func WatchThreads() (most func() int) {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(threadsTick)
		defer tick.Stop()
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			case <-tick.C:
				n = max(n, BusyThreads())
			}
		}
	}()
	return func() int { close(stop); return <-done }
}
