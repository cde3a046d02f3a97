package listen

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// linesPerSecond is how many lines about bad clients are logged: enough to see what goes on, too few to fill a disk with.
const linesPerSecond = 10

// limiter logs at most linesPerSecond lines, and says how many it left out.
type limiter struct {
	log *slog.Logger

	mu      sync.Mutex
	second  int64
	lines   int
	skipped int
}

func (l *limiter) warn(msg string, args ...any) {
	if skipped, ok := l.take(time.Now().Unix()); ok {
		if skipped > 0 {
			args = append(args, "lines_left_out_before", skipped)
		}
		l.log.Warn(msg, args...)
	}
}

func (l *limiter) take(second int64) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		l.second, l.lines = second, 0
	}
	if l.lines >= linesPerSecond {
		l.skipped++
		return 0, false
	}
	l.lines++
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}

// isReset: the client went away in its own way.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
