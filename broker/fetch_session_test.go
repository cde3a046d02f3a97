package broker_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/wire"
)

type partKey struct {
	name  string
	index int32
}

// consumerOf is a consumer with a fetch session: it sends what changes, and believes what it was told last.
type consumerOf struct {
	id, epoch int32
	at        map[partKey]int64 // what it wants of each partition
	sent      map[partKey]int64 // what the session knows
	high      map[partKey]int64 // what it was told
}

func (c *consumerOf) request(byID bool, ids map[string]wire.UUID) *wire.FetchRequest {
	r := &wire.FetchRequest{ReplicaID: -1, MaxBytes: 1 << 20, SessionID: c.id, SessionEpoch: c.epoch}
	name := func(k partKey) []byte {
		if byID {
			return nil
		}
		return []byte(k.name)
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.at), func(a, b partKey) int { return int(a.index - b.index) }) {
		if sent, known := c.sent[k]; c.epoch > 0 && known && sent == c.at[k] {
			continue
		}
		var p wire.FetchRequestPartition
		p.PartitionIndex, p.FetchOffset, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.PartitionMaxBytes = k.index, c.at[k], -1, -1, 4000
		r.Topics = append(r.Topics, wire.FetchRequestTopic{Name: name(k), TopicID: ids[k.name], Partitions: []wire.FetchRequestPartition{p}})
	}
	for k := range c.sent {
		if _, wanted := c.at[k]; !wanted && c.epoch > 0 {
			r.ForgottenTopics = append(r.ForgottenTopics, wire.FetchRequestForgottenTopic{Name: name(k), TopicID: ids[k.name], Partitions: []int32{k.index}})
		}
	}
	c.sent = maps.Clone(c.at)
	return r
}

// TestFetchSessions: whatever is appended, asked for and forgotten, a consumer that believes its session knows as much as one that asks for
// everything.
func TestFetchSessions(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, version := range []int16{12, 17} {
		rng := rand.New(rand.NewPCG(seed, uint64(version)))
		b := start(t, t.TempDir(), "max.incremental.fetch.session.cache.slots=1")
		conn := dial(t, b.addr)
		ids, logs := map[string]wire.UUID{}, map[partKey]int64{}
		for _, name := range []string{"a", "b"} {
			conn.create(name, 4)
			for i := range int32(4) {
				logs[partKey{name, i}] = 0
			}
		}
		var all wire.MetadataResponse
		conn.call(12, &wire.MetadataRequest{}, &all)
		for _, topic := range all.Topics {
			ids[*topic.Name] = topic.TopicID
		}
		keys := slices.SortedFunc(maps.Keys(logs), func(a, b partKey) int { return int(a.index-b.index)*2 + int(a.name[0]) - int(b.name[0]) })
		named := func(topic *wire.FetchResponseTopic, index int32) partKey {
			for name, id := range ids {
				if string(topic.Name) == name || id == topic.TopicID {
					return partKey{name, index}
				}
			}
			return partKey{}
		}
		c := &consumerOf{at: map[partKey]int64{keys[0]: 0}, sent: map[partKey]int64{}, high: map[partKey]int64{}}
		answered, left := 0, 0
		for step := range 400 {
			k := keys[rng.IntN(len(keys))]
			switch rng.IntN(4) {
			case 0:
				conn.call(9, produceRequest(k.name, k.index, built(-1, 0, 0, fmt.Sprint(step))), new(wire.ProduceResponse))
				logs[k]++
				continue
			case 1:
				if _, wanted := c.at[k]; !wanted {
					c.at[k] = 0
				} else if len(c.at) > 1 { // a session of nothing is not begun
					delete(c.at, k)
					delete(c.high, k)
				}
			}
			var resp wire.FetchResponse
			conn.call(version, c.request(version >= 13, ids), &resp)
			if resp.ErrorCode != wire.CodeNone {
				t.Fatalf("version %d, step %d: %v", version, step, resp.ErrorCode)
			}
			c.id, c.epoch = resp.SessionID, c.epoch+1
			if c.id == 0 {
				t.Fatal("there is no session")
			}
			for i := range resp.Topics {
				for _, p := range resp.Topics[i].Partitions {
					k := named(&resp.Topics[i], p.PartitionIndex)
					c.high[k] = p.HighWatermark
					answered++
				}
			}
			for k := range c.at {
				if c.high[k] != logs[k] {
					t.Fatalf("version %d, step %d: the consumer believes that %v ends at %d, it does at %d", version, step, k, c.high[k], logs[k])
				}
				if rng.IntN(2) == 0 {
					c.at[k] = logs[k] // it has read
				}
			}
			left += len(c.at)
		}
		second := &consumerOf{at: map[partKey]int64{keys[0]: 0}}
		var other wire.FetchResponse
		if conn.call(version, second.request(version >= 13, ids), &other); other.SessionID != 0 || other.ErrorCode != wire.CodeNone {
			t.Errorf("version %d: there is one slot, and a second session: %v", version, other.ErrorCode)
		}
		for _, x := range []struct {
			name      string
			id, epoch int32
			want      wire.ErrorCode
		}{
			{"another's", c.id ^ 1, c.epoch, wire.CodeFetchSessionIDNotFound},
			{"an old epoch", c.id, c.epoch - 1, wire.CodeInvalidFetchSessionEpoch},
			{"ended", c.id, -1, wire.CodeNone},
			{"after its end", c.id, c.epoch, wire.CodeFetchSessionIDNotFound},
		} {
			var resp wire.FetchResponse
			conn.call(version, &wire.FetchRequest{ReplicaID: -1, SessionID: x.id, SessionEpoch: x.epoch}, &resp)
			if resp.ErrorCode != x.want || resp.SessionID != 0 {
				t.Errorf("version %d: %s: %v", version, x.name, resp.ErrorCode)
			}
		}
		if answered >= left {
			t.Errorf("version %d: %d partitions were told of, of %d asked for: nothing was left out", version, answered, left)
		}
	}
}
