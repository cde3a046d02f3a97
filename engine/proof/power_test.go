package proof

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/disk"
)

var powerFlag = flag.Int("proof.powercuts", 5, "how many power cuts on each file system")

// TestPowerCut lets a real ext4 and a real XFS lose power, by the shutdown ioctl on a loop-mounted image, while the victim
// writes, and checks after each mount what it had been promised.
func TestPowerCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) { cutPower(t, kind) })
	}
}

func cutPower(t *testing.T, kind string) {
	cuts := *powerFlag
	if testing.Short() {
		cuts = min(cuts, 2)
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	v := newVolume(t, kind, 320<<20) // XFS takes no less than 300 MiB
	dir := filepath.Join(v.dir, "data")
	l := newLedger()
	probe, kept := 0, 0
	for n := range cuts {
		if n%20 == 0 {
			l = newLedger()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		err := l.cutOnce(v, dir, seed+uint64(n), &probe, &kept)
		if err != nil {
			t.Fatalf("power cut %d on %s: %v\nrepeat: go test ./engine/proof -count=1 -run 'TestPowerCut/%s' -proof.seed=%d -proof.powercuts=%d", n+1, kind, err, kind, seed, n+1)
		}
	}
	t.Logf("%d power cuts on %s: %d acknowledged batches held; of %d files that nobody synced %d were kept; seed %d", cuts, kind, l.acks, probe, kept, seed)
	if kept > probe/2 {
		t.Errorf("%d of %d files that nobody synced survived: the power was hardly cut", kept, probe)
	}
}

// cutOnce is one life on the volume, ended by the loss of power, and the check after it.
func (l *ledger) cutOnce(v *volume, dir string, seed uint64, probe, kept *int) error {
	rng := newRand(seed, 6)
	l.life++
	p, err := startVictim("-dir", dir, "-life", fmt.Sprint(l.life), "-seed", fmt.Sprint(seed), "-batches", "1000000")
	if err != nil {
		return err
	}
	defer p.reap()
	flag := uint32(goDownDropsLogs)
	if rng.IntN(4) == 0 {
		flag = goDownFlushLog
	}
	witness := filepath.Join(v.dir, fmt.Sprintf("unsynced-%d", l.life)) // proves that the cut loses what was not synced
	cut := make(chan error, 1)
	after := time.Duration(1+rng.IntN(150)) * time.Millisecond
	started := false
	heard, closed, err := l.listen(p.out, func() {
		started = true
		time.AfterFunc(after, func() {
			werr := os.WriteFile(witness, make([]byte, 5000), 0o600)
			cerr := v.powerCut(flag)
			p.kill() // it gets EIO, and ends by itself or so
			if cerr == nil {
				cerr = werr
			}
			cut <- cerr
		})
	})
	if started {
		if cerr := <-cut; err == nil {
			err = cerr
		}
	}
	status := p.reap()
	if err != nil || closed || !started || strings.HasPrefix(heard, "x ") {
		return fmt.Errorf("the victim said %q and ended with %s: %w; on its standard error: %s", heard, status, err, p.errs.String())
	}
	if err := v.unmount(); err != nil {
		return err
	}
	if err := v.mount(); err != nil {
		return err
	}
	*probe++
	if b, err := os.ReadFile(witness); err == nil && len(b) == 5000 {
		*kept++
	}
	return l.check(disk.OS{}, dir)
}
