//go:build !iouring

package uring

import "errors"

// Built says whether the program was built with io_uring.
const Built = false

// Probe says that the program was built without.
func Probe() error {
	return errors.New("built without the tag iouring: use `make build`")
}
