package uring

import (
	"encoding/binary"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

// FuzzSlots drives the table with any order of takes, drops, renewals, and tags that are stale, forged or good, beside a model.
// Two bytes are one operation: what, and on which.
func FuzzSlots(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 2, 1, 4, 9})
	f.Add([]byte{0, 0, 2, 0, 3, 0, 1, 0, 3, 1, 3, 2, 4, 0, 4, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		const size = 4
		tab := newTable(size)
		var live []uint64
		ops := map[uint64]*disk.ReadOp{}
		var dead []uint64
		for ; len(script) >= 2; script = script[2:] {
			what, which := script[0], int(script[1])
			switch {
			case what%5 == 0 && !tab.full():
				op := new(disk.ReadOp)
				tag := tab.take(task{op: op})
				if ops[tag] != nil {
					t.Fatalf("tag %x was given twice", tag)
				}
				live, ops[tag] = append(live, tag), op
			case what%5 == 1 && len(live) > 0:
				i := which % len(live)
				tab.drop(live[i])
				dead, live = append(dead, live[i]), append(live[:i], live[i+1:]...)
			case what%5 == 2 && len(live) > 0:
				i := which % len(live)
				tag := tab.renew(live[i])
				if ops[tag] != nil {
					t.Fatalf("tag %x was given twice", tag)
				}
				ops[tag], dead, live[i] = ops[live[i]], append(dead, live[i]), tag
			case what%5 == 3 && len(dead) > 0:
				if _, err := tab.find(dead[which%len(dead)]); err == nil {
					t.Fatalf("the stale tag %x was believed", dead[which%len(dead)])
				}
			case what%5 == 4 && len(script) >= 10:
				tag := binary.LittleEndian.Uint64(script[2:])
				if k, err := tab.find(tag); err == nil && (ops[tag] == nil || k.op != ops[tag]) {
					t.Fatalf("the forged tag %x was believed", tag)
				}
			}
			for _, tag := range live {
				if k, err := tab.find(tag); err != nil || k.op != ops[tag] {
					t.Fatalf("tag %x: %v", tag, err)
				}
			}
			if tab.live() != len(live) || tab.full() != (len(live) == size) {
				t.Fatalf("%d of %d live, want %d", tab.live(), size, len(live))
			}
		}
		for i := range tab.slots { // U1: a slot that is free keeps nothing alive
			if s := &tab.slots[i]; !s.live && (s.op != nil || s.buf != nil || s.file != nil || s.job != nil) {
				t.Fatalf("the free slot %d still refers to %+v", i, s.task)
			}
		}
	})
}

func TestMisuseOfTagsPanics(t *testing.T) {
	tab := newTable(2)
	tag := tab.take(task{})
	tab.drop(tag)
	for name, f := range map[string]func(){"drop": func() { tab.drop(tag) }, "renew": func() { tab.renew(tag) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a stale tag went through", name)
				}
			}()
			f()
		}()
	}
}
