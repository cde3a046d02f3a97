package disk

import (
	"errors"
	"syscall"
)

// NoRoom says that an error is a lack of room, or of quota, on the disk: it passes when some is freed.
func NoRoom(err error) bool { return isAny(err, syscall.ENOSPC, syscall.EDQUOT) }

// NoMeans says that an error is a lack of descriptors or of memory: it passes, and nothing is wrong with the disk.
func NoMeans(err error) bool { return isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM) }

func isAny(err error, of ...syscall.Errno) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
