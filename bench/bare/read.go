package bare

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"
)

// Sequential lets one goroutine for each named file read it from the beginning to the end, block bytes at a time. Drop the
// files first when cold reads are meant.
func Sequential(names []string, block int) (Run, error) {
	files, err := openAll(names)
	if err != nil {
		return Run{}, err
	}
	defer closeAll(files)
	return Round(0, len(files), func(i int, t *Tally, stop *atomic.Bool) error {
		p := make([]byte, block)
		for off := int64(0); !stop.Load(); {
			begin := time.Now()
			n, err := files[i].ReadAt(p, off)
			if n > 0 {
				t.Latency.Add(time.Since(begin))
				t.done(n)
				off += int64(n)
			}
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// Random lets so many goroutines each do so many reads of block bytes at random pages of the named file.
func Random(name string, readers, reads, block int, seed uint64) (Run, error) {
	files, err := openAll([]string{name})
	if err != nil {
		return Run{}, err
	}
	defer closeAll(files)
	st, err := files[0].Stat()
	if err != nil {
		return Run{}, err
	}
	pages := (st.Size() - int64(block)) / pageSize
	return Round(0, readers, func(i int, t *Tally, stop *atomic.Bool) error {
		p, rng := make([]byte, block), rand.New(rand.NewPCG(seed, uint64(i)))
		for range reads {
			begin := time.Now()
			if _, err := files[0].ReadAt(p, rng.Int64N(pages)*pageSize); err != nil || stop.Load() {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.done(block)
		}
		return nil
	})
}

func openAll(names []string) (files []*os.File, err error) {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // only read
	}
}
