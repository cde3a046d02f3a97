package proof

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// volume is a file system in a file, on a loop device, mounted below the test's own folder.
type volume struct {
	kind, image, loop, dir string
	mounted                bool
}

// tool finds a program that may lie where only root looks.
func tool(name string) (string, error) {
	if at, err := exec.LookPath(name); err == nil {
		return at, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if at, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return at, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

func runTool(name string, args ...string) (string, error) {
	at, err := tool(name)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(at, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// newVolume makes and mounts one, or skips the test and says why. It is unmounted and detached at the end, however the test ends.
func newVolume(t *testing.T, kind string, size int64) *volume {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, name := range []string{"mkfs." + kind, "losetup"} {
		if _, err := tool(name); err != nil {
			t.Skipf("%v: install it to run this test (Debian: e2fsprogs, xfsprogs, mount)", err)
		}
	}
	v := &volume{kind: kind, image: filepath.Join(t.TempDir(), kind+".img"), dir: filepath.Join(t.TempDir(), "mnt")}
	if err := errors.Join(os.WriteFile(v.image, nil, 0o600), os.Truncate(v.image, size), os.Mkdir(v.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	quiet := "-q"
	if _, err := runTool("mkfs."+kind, quiet, v.image); err != nil {
		t.Fatal(err)
	}
	loop, err := runTool("losetup", "-f", "--show", v.image)
	if err != nil {
		t.Skipf("no loop device: %v", err)
	}
	v.loop = loop
	t.Cleanup(func() {
		if err := v.unmount(); err != nil {
			t.Errorf("%s stays mounted: %v", v.dir, err)
		}
		if _, err := runTool("losetup", "-d", v.loop); err != nil {
			t.Error(err)
		}
	})
	if err := v.mount(); err != nil {
		t.Skipf("%s cannot be mounted here: %v", kind, err)
	}
	return v
}

func (v *volume) mount() error {
	err := syscall.Mount(v.loop, v.dir, v.kind, syscall.MS_NOATIME, "")
	if err != nil {
		return &os.PathError{Op: "mount", Path: v.dir, Err: err}
	}
	v.mounted = true
	return nil
}

func (v *volume) unmount() error {
	if !v.mounted {
		return nil
	}
	err := syscall.Unmount(v.dir, 0)
	if err != nil {
		return &os.PathError{Op: "umount", Path: v.dir, Err: errors.Join(err, syscall.Unmount(v.dir, syscall.MNT_DETACH))}
	}
	v.mounted = false
	return nil
}

// The shutdown of a file system: everything that was not synced is lost, as when the power goes.
//
//	FS_IOC_SHUTDOWN, the same as XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN   _IOR('X', 125, uint32)
const (
	iocShutdown     = 0x8004587d
	goDownFlushLog  = 1 // the journal is written first
	goDownDropsLogs = 2 // the journal is lost as well
)

func (v *volume) powerCut(flag uint32) error {
	d, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // only asked
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, d.Fd(), iocShutdown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
		return &os.PathError{Op: "shutdown", Path: v.dir, Err: errno}
	}
	return nil
}
