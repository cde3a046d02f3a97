package script

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"go.starlark.net/starlark"
)

// The file descriptors that a reader is given, beside the usual three.
const (
	answerFD = 3
	traceFD  = 4
)

// BecomeReader returns at once, unless this process was started by Read: then it reads one script and ends the process. It
// belongs at the very top of main, and of TestMain.
func BecomeReader() {
	if os.Getenv(readerEnv) == "" {
		return
	}
	if err := readOne(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func readOne() error {
	var req request
	if err := gob.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return err
	}
	trace, err := syscall.Mmap(traceFD, 0, traceBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	syscall.Close(traceFD)
	out := os.NewFile(answerFD, "answer")
	if err := limitSelf(req); err != nil {
		return err
	}
	req.Options.Print, req.Options.trace = os.Stdout, &tracer{page: trace}
	var a answer
	if req.Tests.On {
		tests, err := runTests(context.Background(), req.Options, req.Tests)
		a = pack(&Script{}, err)
		a.Tests = tests
	} else {
		a = pack(Load(context.Background(), req.Options))
	}
	if err := gob.NewEncoder(out).Encode(a); err != nil {
		return err
	}
	return out.Close()
}

// limitSelf takes from this process what a script has no use for: memory, processor time, files to write, core dumps.
func limitSelf(req request) error {
	debug.SetMemoryLimit(int64(req.Memory) / 2) // collect garbage before the limit is met
	seconds := uint64((req.Options.Timeout + readerGrace).Seconds()) + 1
	limits := []struct {
		what  int
		value uint64
	}{{syscall.RLIMIT_CPU, 4 * seconds}, {syscall.RLIMIT_FSIZE, 0}, {syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_NOFILE, 64}, {rlimitData, req.Memory}}
	for _, l := range limits {
		if l.what == rlimitData && raceDetector {
			continue // its shadow memory alone is larger
		}
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("script: limiting the reader: %w", err)
		}
	}
	return nil
}

// rlimitData bounds private writable memory; unlike the address space, memory that Go only reserves does not count.
const rlimitData = syscall.RLIMIT_DATA

// tracer writes down where a script is.
type tracer struct {
	page []byte
	file string
	line int32
}

// step is called before each step of a thread.
func (t *tracer) step(thread *starlark.Thread) {
	p := thread.CallFrame(0).Pos
	if p.Line == t.line && p.Filename() == t.file || p.Line == 0 {
		return
	}
	le := binary.LittleEndian
	if p.Filename() != t.file {
		t.file = p.Filename()
		le.PutUint32(t.page[8:], uint32(copy(t.page[12:], t.file)))
	}
	t.line = p.Line
	le.PutUint32(t.page, uint32(p.Line))
	le.PutUint32(t.page[4:], uint32(p.Col))
}
