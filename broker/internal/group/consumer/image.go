package consumer

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/streambus/streambus/broker/internal/group/assign"
)

// ID is the id of a topic.
type ID = assign.ID

// TopicPartition is a partition, by its topic's id.
type TopicPartition = assign.TopicPartition

// Topic is a topic as the group sees it.
type Topic struct {
	ID         ID
	Partitions int32
}

// Image is the topics that there are at one moment. It does not change, and may be shared.
type Image struct {
	version int64
	byName  map[string]Topic
	names   map[ID]string
	sorted  []string
}

// NewImage makes an Image. version is above 0 and must differ from that of any other Image with other topics; it takes over the map.
func NewImage(version int64, topics map[string]Topic) *Image {
	i := &Image{version: version, byName: topics, names: make(map[ID]string, len(topics)), sorted: slices.Sorted(maps.Keys(topics))}
	for name, t := range topics {
		i.names[t.ID] = name
	}
	return i
}

// Name finds the name of a topic.
func (i *Image) Name(id ID) (name string, ok bool) {
	name, ok = i.names[id]
	return name, ok
}

// Topic finds a topic by name.
func (i *Image) Topic(name string) (t Topic, ok bool) {
	t, ok = i.byName[name]
	return t, ok
}

// hash sums up the topics named (each once, in order) as far as they exist: what a group's assignment depends on.
func (i *Image) hash(names []string) int64 {
	h := fnv.New64a()
	some := false
	for _, name := range names {
		t, ok := i.byName[name]
		if !ok {
			continue
		}
		some = true
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(t.Partitions))
		h.Write(t.ID[:])
		h.Write(n[:])
	}
	if !some {
		return 0
	}
	return int64(h.Sum64())
}
