package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// API keys whose answers hold addresses that clients connect to. DescribeQuorum names controllers, which clients of brokers
// do not talk to, and DescribeTopicPartitions names brokers by id only.
const (
	keyProduce          = int16(kmsg.Produce)
	keyFetch            = int16(kmsg.Fetch)
	keyMetadata         = int16(kmsg.Metadata)
	keyFindCoordinator  = int16(kmsg.FindCoordinator)
	keyApiVersions      = int16(kmsg.ApiVersions)
	keyDescribeCluster  = int16(kmsg.DescribeCluster)
	keyShareFetch       = int16(kmsg.ShareFetch)
	keyShareAcknowledge = int16(kmsg.ShareAcknowledge)
)

// KIP-951: the answer to a request that went to the wrong broker names the right one.
const (
	produceWithLeaders = 10
	fetchWithLeaders   = 16
)

const unsupportedVersion = 35

var errShort = errors.New("the header does not end")

// holdsAddresses says whether the answer to a request must be read. That to ApiVersions must: see capVersions.
func holdsAddresses(c call) bool {
	switch c.key {
	case keyProduce:
		return c.version >= produceWithLeaders
	case keyFetch:
		return c.version >= fetchWithLeaders
	case keyMetadata, keyFindCoordinator, keyApiVersions, keyDescribeCluster, keyShareFetch, keyShareAcknowledge:
		return true
	}
	return false
}

// codecMax is the highest version of an API that can be read here.
func codecMax(key int16) int16 { return kmsg.RequestForKey(key).MaxVersion() }

// local gives the address to tell in place of a broker's.
type local func(host string, port int32) (string, int32, error)

// rewrite replaces the brokers' addresses in the frame of an answer, which it may keep and change:
//
//	| int32 size | int32 correlation | tags, if flexible | body |
func rewrite(c call, frame []byte, to local) ([]byte, error) {
	resp := kmsg.ResponseForKey(c.key)
	if c.version < 0 || c.version > resp.MaxVersion() {
		return nil, fmt.Errorf("version %d of API key %d is unknown: its answers cannot be rewritten", c.version, c.key)
	}
	resp.SetVersion(c.version)
	head := 8
	// ApiVersions has the old header in every version, for clients that do not know yet who they talk to.
	if c.key != keyApiVersions && resp.IsFlexible() {
		n, err := tagsLen(frame[head:])
		if err != nil {
			return nil, err
		}
		head += n
	}
	if c.key == keyApiVersions && len(frame) >= head+2 && binary.BigEndian.Uint16(frame[head:]) == unsupportedVersion {
		resp.SetVersion(0) // in which a broker says that it does not know the version asked for (KIP-511)
	}
	if err := resp.ReadFrom(frame[head:]); err != nil {
		return nil, fmt.Errorf("the answer to API key %d, version %d: %w", c.key, c.version, err)
	}
	changed, err := replace(resp, to)
	if err != nil || !changed {
		return frame, err
	}
	out := resp.AppendTo(append([]byte(nil), frame[:head]...))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

// tagsLen is the length of a section of tagged fields: | uvarint count | { uvarint tag | uvarint size | bytes } … |
func tagsLen(b []byte) (int, error) {
	at := 0
	next := func() (uint64, bool) {
		v, n := binary.Uvarint(b[at:])
		at += max(n, 0)
		return v, n > 0
	}
	count, ok := next()
	for ; ok && count > 0; count-- {
		if _, ok = next(); !ok {
			break
		}
		var size uint64
		if size, ok = next(); !ok || size > uint64(len(b)-at) {
			return 0, errShort
		}
		at += int(size)
	}
	if !ok {
		return 0, errShort
	}
	return at, nil
}

// replace changes every address in place.
func replace(resp kmsg.Response, to local) (changed bool, err error) {
	set := func(host *string, port *int32) {
		if *host == "" || err != nil {
			return // an answer that names nobody, because of an error of its own
		}
		changed = true
		*host, *port, err = to(*host, *port)
	}
	switch r := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		return capVersions(r), nil
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			set(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		set(&r.Host, &r.Port)
		for i := range r.Coordinators {
			set(&r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			set(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			set(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			set(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.ShareFetchResponse:
		for i := range r.NodeEndpoints {
			set(&r.NodeEndpoints[i].Host, &r.NodeEndpoints[i].Port)
		}
	case *kmsg.ShareAcknowledgeResponse:
		for i := range r.NodeEndpoints {
			set(&r.NodeEndpoints[i].Host, &r.NodeEndpoints[i].Port)
		}
	}
	return changed, err
}

// capVersions hides versions of the requests above whose answers could not be read here. All others pass: nobody looks inside.
func capVersions(r *kmsg.ApiVersionsResponse) (changed bool) {
	for i := range r.ApiKeys {
		k := &r.ApiKeys[i]
		switch k.ApiKey {
		case keyProduce, keyFetch, keyMetadata, keyFindCoordinator, keyApiVersions, keyDescribeCluster, keyShareFetch, keyShareAcknowledge:
			if most := codecMax(k.ApiKey); k.MaxVersion > most {
				k.MaxVersion, changed = most, true
			}
		}
	}
	return changed
}
