package uring

import "testing"

func TestProbe(t *testing.T) {
	err := Probe()
	if !Built && err == nil {
		t.Fatal("a program without io_uring found a ring")
	}
	if Built && err != nil {
		t.Skipf("this kernel or sandbox grants no ring: %v", err)
	}
}
