package txn

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/streambus/streambus/engine/batch"
)

// within fails when f allocates more than 8 times its input and 64 KiB.
func within(t *testing.T, input int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(8*input)+64<<10 {
		t.Errorf("%d bytes allocated for %d", n, input)
	}
}

func someTable() *Table {
	var table Table
	for i, b := range []batch.Batch{data(1, 1, true), data(2, 1, true), data(3, 1, true), marker(2, batch.Commit), data(4, 1, true), marker(3, batch.Abort)} {
		b.Stamp(batch.Offset(i), 0)
		table.Update(b)
	}
	return &table
}

// FuzzParse: what is taken is encoded to the same bytes, and can be gone on with.
func FuzzParse(f *testing.F) {
	f.Add(someTable().Append(nil), int64(6))
	f.Add((&Table{}).Append(nil), int64(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, int64(6))
	f.Fuzz(func(t *testing.T, b []byte, next int64) {
		var table Table
		var rest []byte
		var err error
		within(t, len(b), func() { table, rest, err = Parse(b, batch.Offset(next)) })
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		if again := table.Append(nil); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Errorf("%x became %x", b[:len(b)-len(rest)], again)
		}
		stable := table.Stable(batch.Offset(next))
		if first, ok := table.FirstOpen(); stable > batch.Offset(next) || ok && stable > first {
			t.Errorf("stable %d", stable)
		}
		if next < 0 || next > 1<<62 { // nor can a log be there
			return
		}
		for i, x := range []batch.Batch{data(1, 1, true), marker(1, batch.Abort), marker(4, batch.Commit)} {
			x.Stamp(batch.Offset(next)+batch.Offset(i), 0)
			table.Update(x)
		}
	})
}

// FuzzEntries feeds both places where entries are read from.
func FuzzEntries(f *testing.F) {
	f.Add(appendEntries(nil, four()), int64(5), int64(60))
	f.Add([]byte{}, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, base, next int64) {
		var x Index
		var err error
		within(t, len(b), func() { x, err = parseEntries(b, batch.Offset(base), batch.Offset(next)) })
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || x.Len() > 0 {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(appendEntries(nil, x.Entries()), b) {
			t.Error("the entries do not survive encoding")
		}
		again, rest, err := ParseIndex(append(x.AppendBefore(nil, 1<<62), 7), batch.Offset(base), batch.Offset(next))
		if err != nil || len(rest) != 1 || again.Len() != x.Len() {
			t.Errorf("%d entries became %d, %d bytes are left: %v", x.Len(), again.Len(), len(rest), err)
		}
		got, _ := x.Collect(nil, 0, batch.Offset(next))
		if len(got) > x.Len() {
			t.Error("more were collected than there are")
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	x := indexOf(four())
	f.Add(append(x.AppendBefore(nil, 1<<62), "rest"...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Index
		var rest []byte
		var err error
		within(t, len(b), func() { x, rest, err = ParseIndex(b, 0, 1<<40) })
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(append(x.AppendBefore(nil, 1<<62), rest...), b) {
			t.Error("the index does not survive encoding")
		}
	})
}

// FuzzUpdate gives a Table two batches of any bytes: whatever a client sent, if batch.Check let it in, must not end the process.
func FuzzUpdate(f *testing.F) {
	f.Add([]byte(data(1, 1, true)), []byte(marker(1, batch.Abort)))
	f.Add([]byte(control(1)), []byte(emptied(marker(1, batch.Abort))))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		if len(one) < batch.HeaderSize || len(two) < batch.HeaderSize {
			return
		}
		var table Table
		for i, b := range []batch.Batch{bytes.Clone(one), bytes.Clone(two)} {
			b.Stamp(batch.Offset(10*i), 0)
			a, aborted := table.Update(b)
			if aborted && (a.First != 0 || a.Last != 10 || a.LastStable != 11 || table.Len() != 0) {
				t.Errorf("%+v", a)
			}
		}
		if got := table.Stable(20); got != 20 && got != 0 && got != 10 {
			t.Errorf("stable %d", got)
		}
	})
}
