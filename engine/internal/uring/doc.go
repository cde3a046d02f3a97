// Package uring is the only room that imports giouring, behind the build tag iouring (with -ldflags=-checklinkname=0, which
// giouring needs since Go 1.23). So far it only asks whether the kernel grants a ring, so that the broker can say at start which
// back end could serve; the disk.FS and disk.BatchReader on a ring come with the cold reads that they pay for.
//
// It is not on any data path, and must stay small enough to be replaced in a day.
package uring
