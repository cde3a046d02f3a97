package txn

import (
	"errors"
	"fmt"
	"testing"
)

func TestAnswerable(t *testing.T) {
	for _, c := range []struct {
		op      Operation
		version int16
		err     error
		want    error
	}{
		{OpInitProducerID, 3, ErrFenced, ErrInvalidEpoch}, {OpInitProducerID, 4, ErrFenced, ErrFenced},
		{OpAddPartitions, 1, ErrFenced, ErrInvalidEpoch}, {OpAddPartitions, 2, ErrFenced, ErrFenced},
		{OpAddPartitions, 4, ErrAbortable, ErrInvalidState}, {OpAddPartitions, 5, ErrAbortable, ErrAbortable},
		{OpAddOffsets, 1, ErrFenced, ErrInvalidEpoch}, {OpAddOffsets, 2, ErrFenced, ErrFenced},
		{OpEndTxn, 1, ErrFenced, ErrInvalidEpoch}, {OpEndTxn, 2, ErrFenced, ErrFenced}, {OpEndTxn, 1, ErrConcurrent, ErrConcurrent},
		{OpProduce, 13, ErrFenced, ErrInvalidEpoch},
		{OpProduce, 10, ErrAbortable, ErrInvalidState}, {OpProduce, 11, ErrAbortable, ErrAbortable},
		{OpProduce, 11, ErrConcurrent, ErrTryAgain}, {OpProduce, 12, ErrConcurrent, ErrConcurrent}, {OpProduce, 12, ErrNotAvailable, ErrTryAgain},
		{OpProduce, 7, ErrInvalidMapping, ErrInvalidMapping},
		{OpTxnOffsetCommit, 5, ErrFenced, ErrInvalidEpoch},
		{OpTxnOffsetCommit, 3, ErrAbortable, ErrInvalidState}, {OpTxnOffsetCommit, 4, ErrAbortable, ErrAbortable},
		{OpTxnOffsetCommit, 4, ErrConcurrent, ErrNotAvailable}, {OpTxnOffsetCommit, 5, ErrConcurrent, ErrConcurrent},
		{OpEndTxn, 0, nil, nil}, {OpProduce, 12, ErrTooManyInOne, ErrAbortable}, {OpTxnOffsetCommit, 5, ErrTooManyInOne, ErrAbortable},
		{OpAddPartitions, 3, ErrTooManyInOne, ErrTooManyInOne}, {OpAddOffsets, 4, ErrTooManyInOne, ErrTooManyInOne},
	} {
		got := Answerable(c.op, c.version, c.err)
		is(t, fmt.Sprintf("%d v%d", c.op, c.version), got, c.want)
		if c.want != c.err && errors.Is(got, c.err) {
			t.Errorf("%d v%d: %v is of both classes", c.op, c.version, got)
		}
	}
}
