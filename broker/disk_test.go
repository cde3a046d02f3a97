package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/wire"
)

// tmpfs mounts a small file system.
func tmpfs(t *testing.T, sizeBytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", sizeBytes)); err != nil {
		t.Skipf("cannot mount a small file system to fill: %v (run as root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, 32<<20)
	b := start(t, filepath.Join(dir, "data"), "log.reserve.bytes=2097152")
	c := dial(t, b.addr)
	c.create("t", 1)
	produce := func() wire.ProduceResponsePartition {
		t.Helper()
		var resp wire.ProduceResponse
		c.call(9, produceRequest("t", 0, built(-1, 0, 0, strings.Repeat("x", 500_000))), &resp)
		return resp.Topics[0].Partitions[0]
	}
	if p := produce(); p.ErrorCode != wire.CodeNone {
		t.Fatal(p)
	}
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, dir, 4<<20)
	taken := c.fillsUp("t", produce, 100)
	var committed wire.OffsetCommitResponse
	commit := new(wire.OffsetCommitRequest)
	commit.Default()
	commit.GroupID, commit.Topics = "g", []wire.OffsetCommitRequestTopic{{Name: "t", Partitions: []wire.OffsetCommitRequestPartition{{CommittedOffset: 1}}}}
	if c.call(8, commit, &committed); committed.Topics[0].Partitions[0].ErrorCode != wire.CodeNone {
		t.Errorf("offsets cannot be committed, in spite of the reserve: %v", committed.Topics[0].Partitions[0].ErrorCode)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if p := produce(); p.ErrorCode != wire.CodeNone || p.BaseOffset != taken {
		t.Errorf("after space was freed: %+v, want offset %d", p, taken)
	}
}

// fillsUp produces to a topic that has one record until the disk is full, with at most so many records, and wants the error that says so,
// and reads that go on. taken is how many records the topic has.
func (c *rawConn) fillsUp(topic string, produce func() wire.ProduceResponsePartition, most int64) (taken int64) {
	c.t.Helper()
	taken = 1
	var refused wire.ProduceResponsePartition
	for refused.ErrorCode == wire.CodeNone && taken < most {
		if refused = produce(); refused.ErrorCode == wire.CodeNone {
			taken++
		}
	}
	if refused.ErrorCode != wire.CodeKafkaStorageError || !refused.ErrorCode.Retriable() || refused.ErrorMessage == nil || !strings.Contains(*refused.ErrorMessage, "full") {
		c.t.Fatalf("on the full disk: %v, %v; want a retriable error that says so", refused.ErrorCode, refused.ErrorMessage)
	}
	var fetched wire.FetchResponse
	if c.call(11, fetchRequest(topic, 0, 0), &fetched); fetched.Topics[0].Partitions[0].HighWatermark != taken || len(fetched.Topics[0].Partitions[0].Records) == 0 {
		c.t.Errorf("reads do not go on: %+v", fetched.Topics[0].Partitions[0].ErrorCode)
	}
	return taken
}

// fill leaves about so many bytes free.
func fill(t *testing.T, path, dir string, leave int64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-leave); err != nil {
		t.Fatal(err)
	}
}

// breakable is a disk that can be made to fail every sync.
func breakable() (fs disk.FS, broken *atomic.Bool) {
	broken = new(atomic.Bool)
	return disk.Inject(disk.OS{}, func(op disk.Op, _ string) error {
		if op == "sync" && broken.Load() {
			return errExpected
		}
		return nil
	}), broken
}

func TestFailedDisk(t *testing.T) {
	dir := t.TempDir()
	fs, broken := breakable()
	b := startWith(t, broker.Options{FS: fs}, dir)
	c := dial(t, b.addr)
	c.create("t", 1)
	var resp wire.ProduceResponse
	c.call(9, produceRequest("t", 0, built(-1, 0, 0, "kept")), &resp)
	waiting := dial(t, b.addr)
	poll := waiting.send(11, fetchRequest("t", 0, 1))
	broken.Store(true)
	c.call(9, produceRequest("t", 0, built(-1, 0, 0, "lost")), &resp)
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != wire.CodeKafkaStorageError || p.BaseOffset != -1 {
		t.Errorf("the request under way when the disk failed: %+v", p)
	}
	broken.Store(false) // fsync says yes again, as it does on Linux; nobody may believe it
	c.call(9, produceRequest("t", 0, built(-1, 0, 0, "lost")), &resp)
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != wire.CodeKafkaStorageError {
		t.Errorf("after the disk failed: %+v", p)
	}
	var fetched wire.FetchResponse
	if waiting.recv(11, poll, &fetched); fetched.Topics[0].Partitions[0].ErrorCode != wire.CodeKafkaStorageError {
		t.Errorf("the long poll: %+v", fetched.Topics[0].Partitions[0])
	}
	if err := b.Run(within(t, 10*time.Second)); !errors.Is(err, engine.ErrFailed) || !errors.Is(err, errExpected) {
		t.Errorf("Run = %v, want ErrFailed and its cause", err)
	}
	b.stop()

	b = start(t, dir)
	if dial(t, b.addr).call(11, fetchRequest("t", 0, 0), &fetched); !bytes.Contains(fetched.Topics[0].Partitions[0].Records, []byte("kept")) {
		t.Error("the record acknowledged before is gone")
	}
}

// A damaged partition is offline; the others are served.
func TestDamagedPartitionIsOffline(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	c := dial(t, b.addr)
	c.create("t", 2)
	var resp wire.ProduceResponse
	for i := range int32(2) {
		c.call(9, produceRequest("t", i, built(-1, 0, 0, "value")), &resp)
	}
	b.stop()
	flip(t, filepath.Join(dir, "t-0", fmt.Sprintf("%020d.log", 0)), 9)
	b = start(t, dir)
	c = dial(t, b.addr)
	var m wire.MetadataResponse
	c.call(9, &wire.MetadataRequest{}, &m)
	p := m.Topics[0].Partitions
	if p[0].LeaderID != -1 || p[0].ErrorCode != wire.CodeLeaderNotAvailable || len(p[0].OfflineReplicas) != 1 || p[1].LeaderID != 1 {
		t.Errorf("%+v", p)
	}
	c.call(9, produceRequest("t", 0, built(-1, 0, 0, "value")), &resp)
	if e := resp.Topics[0].Partitions[0].ErrorCode; e != wire.CodeKafkaStorageError {
		t.Errorf("produce to the damaged one: %v", e)
	}
	var fetched wire.FetchResponse
	c.call(11, fetchRequest("t", 1, 0), &fetched)
	if len(fetched.Topics[0].Partitions[0].Records) == 0 {
		t.Errorf("the other partition: %+v", fetched)
	}
	for kind, want := range map[int8]wire.ErrorCode{wire.ElectionPreferred: wire.CodePreferredLeaderNotAvailable, wire.ElectionUnclean: wire.CodeEligibleLeadersNotAvailable} {
		var elected wire.ElectLeadersResponse
		c.call(2, &wire.ElectLeadersRequest{ElectionType: kind}, &elected)
		if len(elected.Topics) != 1 || len(elected.Topics[0].Partitions) != 1 || elected.Topics[0].Partitions[0].ErrorCode != want {
			t.Errorf("election %d: %+v, want %v for partition 0 alone", kind, elected, want)
		}
	}
	var trimmed wire.DeleteRecordsResponse
	c.call(2, &wire.DeleteRecordsRequest{Topics: []wire.DeleteRecordsRequestTopic{{Name: "t", Partitions: []wire.DeleteRecordsRequestPartition{{Offset: -1}}}}}, &trimmed)
	if p := trimmed.Topics[0].Partitions[0]; p.ErrorCode != wire.CodeKafkaStorageError || p.LowWatermark != -1 {
		t.Errorf("delete records of the damaged one: %+v", p)
	}
	var pages wire.DescribeTopicPartitionsResponse
	c.call(0, &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10}, &pages)
	if p := pages.Topics[0].Partitions[0]; p.LeaderID != -1 || p.ErrorCode != wire.CodeLeaderNotAvailable || len(p.OfflineReplicas) != 1 {
		t.Errorf("%+v", p)
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
