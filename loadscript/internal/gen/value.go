package gen

import (
	"fmt"
	"math/rand/v2"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Values makes record values. It is not safe for concurrent use: one per worker.
type Values struct {
	root    part
	kind    string
	sizes   *sizes // what to fill up to; nil: the value is as long as its parts
	mean    int
	rng     *rand.Rand
	nowNs   int64  // time of the value being made
	fillAt  int    // where the first filler of the value being made stands; -1: none yet
	scratch []byte // for templates inside JSON
}

// NewValues returns the values of one worker out of workers; what goes in turn (gen.seq, lines of a file) is dealt out so
// that the workers together walk through all of it.
func NewValues(v plan.Value, seed uint64, worker, workers int) (*Values, error) {
	g := &Values{kind: v.Kind, mean: v.Size, rng: rand.New(rand.NewPCG(seed, 0xda3e39cb94b95bdb^uint64(worker)))}
	if g.kind == "" {
		g.kind = "bytes"
	}
	c := compiler{seed: seed, worker: uint64(worker), workers: uint64(max(workers, 1))}
	var err error
	switch g.kind {
	case "bytes":
		g.root, err = c.random(v)
	case "json":
		g.root, err = c.json(v)
	default:
		g.root, err = c.plain(v)
	}
	if err != nil {
		return nil, err
	}
	switch g.kind {
	case "json", "template", "filler": // what has a length of its own, and is filled up to the size that the plan asks for
		if v.Size > 0 || v.Sizes != nil {
			g.sizes, err = newSizes(v.Size, v.Sizes)
		}
	}
	return g, err
}

// Size is the mean size of the values in bytes as the plan says it; 0 where it does not.
func (g *Values) Size() int { return g.mean }

// Stamped says whether the head of a value may be written over: only of bytes that mean nothing. All others take their stamp
// in a record header, so that JSON stays JSON.
func (g *Values) Stamped() bool { return g.kind == "bytes" }

// Append appends the next value to dst; nowNs (since 1970) is what gen.now() writes. Once dst has room for the longest value,
// nothing is allocated.
func (g *Values) Append(dst []byte, nowNs int64) []byte {
	g.nowNs, g.fillAt = nowNs, -1
	if g.sizes == nil {
		return g.root.append(g, dst)
	}
	start := len(dst)
	want := g.sizes.draw(g.rng)
	dst = g.root.append(g, dst)
	missing := want - (len(dst) - start)
	switch {
	case missing <= 0: // what the script wrote out is longer: cutting it would break it
	case g.fillAt >= 0:
		dst = appendFiller(dst, missing)
		copy(dst[g.fillAt+missing:], dst[g.fillAt:len(dst)-missing])
		fill(dst[g.fillAt : g.fillAt+missing])
	case g.kind == "json":
		dst = pad(dst, start, missing)
	default:
		dst = appendFiller(dst, missing)
	}
	return dst
}

// pad makes a JSON text longer by missing bytes: by a last member or element that is filler, or, where that has no room, by
// spaces, which mean nothing in JSON.
func pad(dst []byte, start, missing int) []byte {
	last := dst[len(dst)-1]
	head := ""
	switch empty := len(dst)-start == 2; {
	case last == '}' && empty:
		head = `"filler":"`
	case last == '}':
		head = `,"filler":"`
	case last == ']' && empty:
		head = `"`
	case last == ']':
		head = `,"`
	}
	if head == "" || missing < len(head)+1 {
		for range missing {
			dst = append(dst, ' ')
		}
		return dst
	}
	dst = append(dst[:len(dst)-1], head...)
	dst = appendFiller(dst, missing-len(head)-1)
	return append(dst, '"', last)
}

// fillerText is what filler and the compressible part of bytes repeat. It needs no escape in JSON.
const fillerText = "the quick brown fox jumps over the lazy dog; "

func fill(dst []byte) {
	for len(dst) > 0 {
		dst = dst[copy(dst, fillerText):]
	}
}

func appendFiller(dst []byte, n int) []byte {
	for ; n > len(fillerText); n -= len(fillerText) {
		dst = append(dst, fillerText...)
	}
	return append(dst, fillerText[:n]...)
}

// vocabulary is what texts consist of: frequent English words.
var vocabulary = []string{
	"the", "of", "and", "to", "in", "that", "is", "was", "for", "on", "are", "with", "as", "his", "they", "at", "be", "this",
	"from", "have", "or", "by", "one", "had", "not", "but", "what", "all", "were", "when", "we", "there", "can", "an", "your",
	"which", "their", "said", "if", "do", "will", "each", "about", "how", "up", "out", "them", "then", "she", "many", "some",
	"these", "would", "other", "into", "has", "more", "two", "like", "him", "see", "time", "could", "make", "than", "first",
	"been", "its", "who", "now", "people", "over", "did", "down", "only", "way", "find", "use", "may", "water", "long",
	"little", "very", "after", "words", "called", "just", "where", "most", "know", "order", "payment", "customer", "account",
	"delivery", "street", "number", "country", "message", "system", "morning", "evening", "between", "thousand", "question",
}

// errKind is what an unknown kind of value gets.
func errKind(kind string) error { return fmt.Errorf("gen: unknown kind of value %q", kind) }
