package gen

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// part is a piece of a value, compiled: it appends itself and allocates nothing.
type part interface {
	append(g *Values, dst []byte) []byte
}

// compiler turns the plan's tree into parts. A leaf inside JSON is a JSON value, elsewhere it is plain text:
//
//	          in a template, or alone      in JSON
//	text      words                        "words"
//	seq, int  17                           17
//	uuid      0b2f…                        "0b2f…"
//	now       2026-11-23T18:00:00.000001Z  "2026-11-23T18:00:00.000001Z"
//	const     its text                     as it stands
//	pool      the line                     "the line", escaped
//	bytes     letters and digits           "letters and digits"
type compiler struct {
	seed            uint64
	worker, workers uint64
}

// noiseBytes is the size of the random bytes, or words, that values are cut from. Slices of the bytes repeat within a batch, so
// each value is also combined with its own random word: a compressor sees no match, which a test checks.
const noiseBytes = 256 << 10

func (c compiler) noise() []byte {
	rng := rand.New(rand.NewPCG(c.seed, 0x2545f4914f6cdd1d))
	pool := make([]byte, noiseBytes)
	for i := 0; i < len(pool); i += 8 {
		binary.LittleEndian.PutUint64(pool[i:], rng.Uint64())
	}
	return pool
}

func (c compiler) words() (words []byte) {
	rng := rand.New(rand.NewPCG(c.seed, 0x2545f4914f6cdd1d))
	for len(words) < noiseBytes {
		words = append(append(words, vocabulary[rng.IntN(len(vocabulary))]...), ' ')
	}
	return words
}

// json compiles an object (Fields), an array (List), or a leaf as JSON.
func (c compiler) json(v plan.Value) (part, error) {
	switch v.Kind {
	case "json":
	case "pick":
		return c.pick(v, c.json)
	case "seq", "int":
		return c.plain(v)
	case "const":
		if !json.Valid([]byte(v.Text)) {
			return nil, fmt.Errorf("gen: the constant %q is not JSON", v.Text)
		}
		return literal(v.Text), nil
	case "pool":
		escaped := make([][]byte, 0, len(v.Pool))
		for _, line := range v.Pool {
			escaped = append(escaped, appendString(nil, line))
		}
		return c.pool(escaped, v)
	case "template":
		inner, err := c.plain(v)
		return quoted{inner}, err
	default: // its text needs no escape
		inner, err := c.plain(v)
		return list{literal(`"`), inner, literal(`"`)}, err
	}
	var l list
	if len(v.Fields) == 0 && len(v.List) > 0 {
		for i, e := range v.List {
			inner, err := c.json(e)
			if err != nil {
				return nil, err
			}
			l = append(l, literal("[,"[min(i, 1):min(i, 1)+1]), inner)
		}
		return join(append(l, literal("]"))), nil
	}
	for i, f := range v.Fields {
		inner, err := c.json(f.Value)
		if err != nil {
			return nil, fmt.Errorf("%w (member %q)", err, f.Name)
		}
		name := append(appendString([]byte{"{,"[min(i, 1)]}, []byte(f.Name)), ':')
		l = append(l, literal(name), inner)
	}
	if len(l) == 0 {
		return literal("{}"), nil
	}
	return join(append(l, literal("}"))), nil
}

// plain compiles a value that stands alone or in a template.
func (c compiler) plain(v plan.Value) (part, error) {
	switch v.Kind {
	case "bytes":
		r, err := c.random(v)
		return printable{r}, err
	case "text":
		s, err := newSizes(v.Size, v.Sizes)
		return &prose{sizes: s, words: c.words()}, err
	case "json":
		return c.json(v)
	case "template":
		return c.template(v)
	case "pool":
		return c.pool(v.Pool, v)
	case "seq":
		return &counter{next: c.worker, step: c.workers}, nil
	case "uuid":
		return uuid{}, nil
	case "now":
		return now{}, nil
	case "int":
		if v.Lo > v.Hi {
			return nil, fmt.Errorf("gen: int from %d to %d: there is none", v.Lo, v.Hi)
		}
		return integer{v.Lo, uint64(v.Hi) - uint64(v.Lo)}, nil
	case "filler":
		return filler{}, nil
	case "pick":
		return c.pick(v, c.plain)
	case "const":
		var s string
		if json.Unmarshal([]byte(v.Text), &s) == nil {
			return literal(s), nil
		}
		return literal(v.Text), nil
	}
	return nil, errKind(v.Kind)
}

func (c compiler) random(v plan.Value) (*random, error) {
	s, err := newSizes(v.Size, v.Sizes)
	return &random{compressible: v.Compressible, sizes: s, noise: c.noise()}, err
}

func (c compiler) pick(v plan.Value, compile func(plan.Value) (part, error)) (part, error) {
	if len(v.List) == 0 {
		return nil, fmt.Errorf("gen: nothing to pick from")
	}
	p := pick{}
	for _, e := range v.List {
		inner, err := compile(e)
		if err != nil {
			return nil, err
		}
		p = append(p, inner)
	}
	return p, nil
}

func (c compiler) pool(lines [][]byte, v plan.Value) (part, error) {
	if len(lines) == 0 {
		return nil, fmt.Errorf("gen: %q holds no values", v.Path)
	}
	return &pool{lines: lines, next: c.worker % uint64(len(lines)), step: c.workers % uint64(len(lines))}, nil
}

var placeholder = regexp.MustCompile(`\{\{(\d+)\}\}`)

func (c compiler) template(v plan.Value) (part, error) {
	var l list
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(v.Text, -1) {
		i, err := strconv.Atoi(v.Text[m[2]:m[3]])
		if err != nil || i >= len(v.List) {
			return nil, fmt.Errorf("gen: the template names value %s of %d", v.Text[m[2]:m[3]], len(v.List))
		}
		inner, err := c.plain(v.List[i])
		if err != nil {
			return nil, err
		}
		l = append(l, literal(v.Text[at:m[0]]), inner)
		at = m[1]
	}
	return join(append(l, literal(v.Text[at:]))), nil
}

// join flattens lists and merges literals that meet.
func join(l list) part {
	var out list
	for _, p := range l {
		inner, nested := p.(list)
		if !nested {
			inner = list{p}
		}
		for _, p := range inner {
			text, isText := p.(literal)
			if n := len(out); isText && n > 0 {
				if before, ok := out[n-1].(literal); ok {
					out[n-1] = slices.Concat(before, text)
					continue
				}
			}
			out = append(out, p)
		}
	}
	return out
}

type literal []byte

func (p literal) append(_ *Values, dst []byte) []byte { return append(dst, p...) }

type list []part

func (p list) append(g *Values, dst []byte) []byte {
	for _, inner := range p {
		dst = inner.append(g, dst)
	}
	return dst
}

type pick []part

func (p pick) append(g *Values, dst []byte) []byte { return p[g.rng.IntN(len(p))].append(g, dst) }

// pool gives its lines in turn.
type pool struct {
	lines      [][]byte
	next, step uint64
}

func (p *pool) append(_ *Values, dst []byte) []byte {
	line := p.lines[p.next]
	p.next = (p.next + p.step) % uint64(len(p.lines))
	return append(dst, line...)
}

type counter struct{ next, step uint64 }

func (p *counter) append(_ *Values, dst []byte) []byte {
	dst = strconv.AppendUint(dst, p.next, 10)
	p.next += p.step
	return dst
}

// integer is lo plus [0, span].
type integer struct {
	lo   int64
	span uint64
}

func (p integer) append(g *Values, dst []byte) []byte {
	n := g.rng.Uint64()
	if p.span+1 != 0 {
		n = g.rng.Uint64N(p.span + 1)
	}
	return strconv.AppendInt(dst, int64(uint64(p.lo)+n), 10)
}

// uuid is a random one (version 4, RFC 9562).
type uuid struct{}

func (uuid) append(g *Values, dst []byte) []byte {
	const digits = "0123456789abcdef"
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], g.rng.Uint64())
	binary.BigEndian.PutUint64(raw[8:], g.rng.Uint64())
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	for i, b := range raw {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// now is the time of sending: RFC 3339, UTC, microseconds, always 27 bytes.
type now struct{}

func (now) append(g *Values, dst []byte) []byte {
	return time.Unix(0, g.nowNs).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// filler marks the place that Append fills up to the size of the value; only the first of a value grows.
type filler struct{}

func (filler) append(g *Values, dst []byte) []byte {
	if g.fillAt < 0 {
		g.fillAt = len(dst)
	}
	return dst
}

// prose is a stretch of the words.
type prose struct {
	sizes *sizes
	words []byte
}

func (p *prose) append(g *Values, dst []byte) []byte {
	n := p.sizes.draw(g.rng)
	at := int(g.rng.Uint64N(uint64(len(p.words))))
	for n > 0 {
		piece := p.words[at:min(at+n, len(p.words))]
		dst, n, at = append(dst, piece...), n-len(piece), 0
	}
	return dst
}

// random is bytes: noise, then the part that compresses away.
type random struct {
	sizes        *sizes
	compressible float64
	noise        []byte
}

func (p *random) append(g *Values, dst []byte) []byte {
	n := p.sizes.draw(g.rng)
	start := len(dst)
	dst = slices.Grow(dst, n)[:start+n]
	noisy := dst[start : start+int(float64(n)*(1-p.compressible)+0.5)]
	fill(dst[start+len(noisy):])
	nonce := g.rng.Uint64()
	at := int(g.rng.Uint64N(noiseBytes/8)) * 8
	for len(noisy) >= 8 {
		binary.LittleEndian.PutUint64(noisy, binary.LittleEndian.Uint64(p.noise[at:])^nonce)
		noisy = noisy[8:]
		if at += 8; at == noiseBytes {
			at, nonce = 0, g.rng.Uint64()
		}
	}
	for i := range noisy {
		noisy[i] = byte(nonce >> (8 * i))
	}
	return dst
}

// printable is random in letters, digits, "-" and "_": bytes that may stand in a text.
type printable struct{ *random }

func (p printable) append(g *Values, dst []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	start := len(dst)
	dst = p.random.append(g, dst)
	noisy := dst[start : start+int(float64(len(dst)-start)*(1-p.compressible)+0.5)]
	for i, b := range noisy {
		noisy[i] = alphabet[b&63]
	}
	return dst
}

// quoted is a text as a JSON string.
type quoted struct{ inner part }

func (p quoted) append(g *Values, dst []byte) []byte {
	had := g.fillAt
	g.fillAt = -1
	g.scratch = p.inner.append(g, g.scratch[:0])
	cut := g.fillAt
	dst = append(dst, '"')
	if cut >= 0 { // the filler moves with the text around it
		dst = appendEscaped(dst, g.scratch[:cut])
		g.fillAt = len(dst)
		dst = appendEscaped(dst, g.scratch[cut:])
	} else {
		dst = appendEscaped(dst, g.scratch)
	}
	if had >= 0 {
		g.fillAt = had
	}
	return append(dst, '"')
}

func appendString(dst, text []byte) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

// appendEscaped writes text as the inside of a JSON string (RFC 8259); what is not UTF-8 becomes U+FFFD.
func appendEscaped(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r) // RuneError is U+FFFD
		}
		text = text[n:]
	}
	return dst
}
