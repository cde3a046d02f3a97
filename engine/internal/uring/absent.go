//go:build !iouring

package uring

import "errors"

// Built says whether the program was built with io_uring.
const Built = false

func openQueue(int) (queue, error) {
	return nil, errors.New("built without the tag iouring: use `make build`")
}
