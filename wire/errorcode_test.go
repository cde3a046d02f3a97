package wire

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestErrorCodes holds names and retriability to franz-go's table.
func TestErrorCodes(t *testing.T) {
	for c := ErrorCode(-5); c < 300; c++ {
		var e *kerr.Error
		if !errors.As(kerr.ErrorForCode(int16(c)), &e) {
			if c != CodeNone || c.String() != "NONE" || c.Retriable() {
				t.Errorf("%d: %s, retriable %v", c, c, c.Retriable())
			}
			continue
		}
		if c != CodeUnknownServerError && e == kerr.UnknownServerError { // kerr knows none
			if int(c) >= 0 && int(c) < len(codeNames) || c.Retriable() {
				t.Errorf("%d: %s, which kerr does not know", c, c)
			}
			continue
		}
		want := e.Message
		if c == CodeNotLeaderOrFollower {
			want = "NOT_LEADER_OR_FOLLOWER" // Kafka's name since 2.6
		}
		if c.String() != want || c.Retriable() != e.Retriable {
			t.Errorf("%d: %s, retriable %v; want %s, %v", c, c, c.Retriable(), want, e.Retriable)
		}
	}
	if got := ErrorCode(999).String(); got != "error 999" {
		t.Error(got)
	}
	// A few by hand, against a slip of the whole table.
	for c, want := range map[ErrorCode]int16{
		CodeUnknownServerError: -1, CodeNone: 0, CodeOffsetOutOfRange: 1, CodeUnknownTopicOrPartition: 3,
		CodeUnsupportedVersion: 35, CodeKafkaStorageError: 56, CodeMemberIDRequired: 79, CodeUnknownTopicID: 100,
	} {
		if int16(c) != want {
			t.Errorf("%s is %d, want %d", c, c, want)
		}
	}
}
