package gen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

func values(t testing.TB, v plan.Value, seed uint64) *Values {
	t.Helper()
	g, err := NewValues(v, seed, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const at = 1_700_000_000_123_456_789 // 2023-11-14T22:13:20.123456Z

// leaves are all that can stand in a document.
var leaves = []plan.Value{
	{Kind: "seq"}, {Kind: "uuid"}, {Kind: "now"}, {Kind: "int", Lo: -3, Hi: 3}, {Kind: "const", Text: `"a \"b\" \\ c"`}, {Kind: "const", Text: "null"},
	{Kind: "pick", List: []plan.Value{{Kind: "const", Text: `"eur"`}, {Kind: "const", Text: `12.5`}}},
	{Kind: "text", Size: 20}, {Kind: "bytes", Size: 17, Compressible: 0.3},
	{Kind: "pool", Pool: [][]byte{[]byte("plain"), []byte(`with "quotes"` + "\n\t\x01"), {0xff, 'x'}}},
	{Kind: "template", Text: "<{{0}}\n{{1}}>", List: []plan.Value{{Kind: "int", Lo: 1, Hi: 9}, {Kind: "const", Text: `"\"q\""`}}},
	{Kind: "json", List: []plan.Value{{Kind: "int", Hi: 9}, {Kind: "json"}}},
}

func document(size int, fillerAt int) plan.Value {
	doc := plan.Value{Kind: "json", Size: size}
	for i, l := range leaves {
		if i == fillerAt {
			doc.Fields = append(doc.Fields, plan.Field{Name: "pad", Value: plan.Value{Kind: "filler"}})
		}
		doc.Fields = append(doc.Fields, plan.Field{Name: fmt.Sprintf("f%d \"é\"", i), Value: l})
	}
	return doc
}

// What comes out is JSON, with its members in the script's order, of the size that the plan asks for (G1).
func TestDocumentsAreJSON(t *testing.T) {
	for _, fillerAt := range []int{-1, 0, 5} {
		for _, size := range []int{0, 100, 600, 601, 605, 2000} {
			g := values(t, document(size, fillerAt), 3)
			for range 200 {
				got := g.Append([]byte("before"), at)[len("before"):]
				if !json.Valid(got) {
					t.Fatalf("filler %d, size %d: not JSON: %s", fillerAt, size, got)
				}
				if size >= 600 && len(got) != size {
					t.Fatalf("filler %d: %d bytes, want %d: %s", fillerAt, len(got), size, got)
				}
				last := -1
				for i := range leaves {
					at := bytes.Index(got, fmt.Appendf(nil, `"f%d `, i))
					if at <= last {
						t.Fatalf("member %d is not where it should be: %s", i, got)
					}
					last = at
				}
			}
		}
	}
}

func TestLeavesMean(t *testing.T) {
	type doc struct {
		Seq   int    `json:"seq"`
		ID    string `json:"id"`
		At    string `json:"at"`
		N     int64  `json:"n"`
		Word  string `json:"word"`
		Price string `json:"price"`
		Line  string `json:"line"`
	}
	g := values(t, plan.Value{Kind: "json", Fields: []plan.Field{
		{Name: "seq", Value: plan.Value{Kind: "seq"}}, {Name: "id", Value: plan.Value{Kind: "uuid"}}, {Name: "at", Value: plan.Value{Kind: "now"}},
		{Name: "n", Value: plan.Value{Kind: "int", Lo: math.MinInt64, Hi: math.MaxInt64}}, {Name: "word", Value: plan.Value{Kind: "text", Size: 12}},
		{Name: "price", Value: plan.Value{Kind: "template", Text: `{{0}} "EUR"`, List: []plan.Value{{Kind: "int", Lo: 5, Hi: 5}}}},
		{Name: "line", Value: plan.Value{Kind: "pool", Pool: [][]byte{[]byte("a\"1"), []byte("b\\2")}}},
	}}, 1)
	ids := map[string]bool{}
	for i := range 10 {
		var d doc
		if err := json.Unmarshal(g.Append(nil, at), &d); err != nil {
			t.Fatal(err)
		}
		want := doc{i, d.ID, "2023-11-14T22:13:20.123456Z", d.N, d.Word, `5 "EUR"`, []string{"a\"1", "b\\2"}[i%2]}
		if d != want || len(d.Word) != 12 {
			t.Errorf("got %+v, want %+v", d, want)
		}
		if ids[d.ID] = true; len(d.ID) != 36 || d.ID[14] != '4' || !strings.ContainsRune("89ab", rune(d.ID[19])) {
			t.Errorf("%q is no random UUID", d.ID)
		}
	}
	if len(ids) != 10 {
		t.Errorf("%d different UUIDs of 10", len(ids))
	}
}

// A template's own text stands as it is written; with a size it is filled up.
func TestTemplates(t *testing.T) {
	g := values(t, plan.Value{Kind: "template", Text: "id={{1}};{{0}}|{{1}}", List: []plan.Value{{Kind: "const", Text: `"x"`}, {Kind: "seq"}}}, 1)
	for _, want := range []string{"id=0;x|0", "id=1;x|1"} {
		if got := g.Append(nil, 0); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, text := range []string{"<{{0}}>", "<>"} {
		g = values(t, plan.Value{Kind: "template", Text: text, Size: 50, List: []plan.Value{{Kind: "filler"}}}, 1)
		if got := g.Append(nil, 0); len(got) != 50 || got[0] != '<' || text != "<>" && got[49] != '>' {
			t.Errorf("got %q, want 50 bytes", got)
		}
	}
}

// Workers share what goes in turn.
func TestWorkersTakeTurns(t *testing.T) {
	v := plan.Value{Kind: "template", Text: "{{0}} {{1}}", List: []plan.Value{
		{Kind: "seq"}, {Kind: "pool", Pool: [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e")}},
	}}
	var got []string
	for worker := range 3 {
		g, err := NewValues(v, 1, worker, 3)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			got = append(got, string(g.Append(nil, 0)))
		}
	}
	slices.Sort(got)
	for i, n := range []int{0, 1, 10, 11, 12, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9} {
		if want := fmt.Sprintf("%d %c", n, "abcde"[n%5]); got[i] != want {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}
}

func TestSizes(t *testing.T) {
	for name, c := range map[string]struct {
		sizes    plan.Sizes
		mean     float64
		quantile map[float64]float64
	}{
		"uniform":   {plan.Sizes{Kind: "uniform", A: 100, B: 300}, 200, map[float64]float64{0: 100, .5: 200, 1: 300}},
		"normal":    {plan.Sizes{Kind: "normal", A: 1000, B: 100}, 1000, map[float64]float64{.5: 1000, .8413: 1100}},
		"lognormal": {plan.Sizes{Kind: "lognormal", A: 600, B: 8192}, 0, map[float64]float64{.5: 600, .99: 8192}},
		"cut":       {plan.Sizes{Kind: "lognormal", A: 600, B: 8192, Max: 4000}, 0, map[float64]float64{.5: 600, .99: 4000, 1: 4000}},
		"mix":       {plan.Sizes{Kind: "mix", Values: []int{1024, 65536}, Weights: []float64{9, 1}}, .9*1024 + .1*65536, map[float64]float64{.5: 1024, .95: 65536}},
		"fixed":     {plan.Sizes{Kind: "fixed", A: 77}, 77, map[float64]float64{0: 77, 1: 77}},
	} {
		g := values(t, plan.Value{Kind: "text", Sizes: &c.sizes}, 9)
		const n = 40_000
		var buf []byte
		sum, all := 0.0, make([]int, n)
		for i := range n {
			buf = g.Append(buf[:0], 0)
			all[i] = len(buf)
			sum += float64(len(buf))
		}
		slices.Sort(all)
		if mean := sum / n; c.mean > 0 && math.Abs(mean-c.mean) > 0.03*c.mean {
			t.Errorf("%s: mean %v, want %v", name, mean, c.mean)
		}
		for q, want := range c.quantile {
			if got := float64(all[min(int(q*n), n-1)]); math.Abs(got-want) > 0.05*want {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
		}
	}
}

// The stamp of whatever is made can be read back, and leaves the value alone where it means something (G2, G5).
func TestStampFitsEveryKind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(append(leaves, document(900, 2), plan.Value{Kind: "filler", Size: 30})).Draw(t, "value")
		g, err := NewValues(v, 1, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		value := g.Append(nil, at)
		before := bytes.Clone(value)
		var header []byte
		if !g.Stamped() || len(value) < StampSize {
			header = make([]byte, StampSize)
		}
		Encode(Stamp{RunID: 1, Sequence: 7}, []byte("k"), value, header)
		if s, condition := Decode([]byte("k"), value, header); condition != Intact || s.Sequence != 7 {
			t.Fatalf("read back %+v, condition %d", s, condition)
		}
		if v.Kind != "bytes" && !bytes.Equal(before, value) {
			t.Fatalf("the stamp changed %q to %q", before, value)
		}
	})
}

func TestMakingAllocatesNothing(t *testing.T) { // G4
	k, err := NewKeys(plan.Key{Kind: "zipf", N: 1000, S: 0.99}, 1, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(leaves, document(2000, 3), plan.Value{Kind: "bytes", Sizes: &plan.Sizes{Kind: "uniform", A: 0, B: 4000}},
		plan.Value{Kind: "json", Fields: []plan.Field{{Name: "s", Value: document(0, -1)}}, Sizes: &plan.Sizes{Kind: "lognormal", A: 700, B: 3000, Max: 4000}}) {
		g := values(t, v, 1)
		buf, key, header := make([]byte, 0, 4096), make([]byte, 0, MaxKeySize), make([]byte, StampSize)
		g.scratch = make([]byte, 0, 100)
		if n := testing.AllocsPerRun(100, func() {
			value := g.Append(buf, at)
			got, _ := k.Append(key)
			Encode(Stamp{}, got, value, header)
		}); n != 0 {
			t.Errorf("%s: %v allocations per record, want none", v.Kind, n)
		}
	}
}

func TestBadValues(t *testing.T) {
	for name, v := range map[string]plan.Value{
		"kind":       {Kind: "xml"},
		"inner kind": {Kind: "json", Fields: []plan.Field{{Name: "a", Value: plan.Value{Kind: "xml"}}}},
		"element":    {Kind: "json", List: []plan.Value{{Kind: "xml"}}},
		"pick":       {Kind: "pick"},
		"pool":       {Kind: "pool", Path: "x.ndjson"},
		"int":        {Kind: "int", Lo: 2, Hi: 1},
		"const":      {Kind: "json", List: []plan.Value{{Kind: "const", Text: "{"}}},
		"template":   {Kind: "template", Text: "{{3}}"},
		"sizes":      {Kind: "bytes", Sizes: &plan.Sizes{Kind: "zeta"}},
		"uniform":    {Kind: "text", Sizes: &plan.Sizes{Kind: "uniform", A: 2, B: 1}},
		"lognormal":  {Kind: "text", Sizes: &plan.Sizes{Kind: "lognormal"}},
		"mix":        {Kind: "json", Sizes: &plan.Sizes{Kind: "mix", Values: []int{1}, Weights: []float64{0}}},
	} {
		if _, err := NewValues(v, 1, 0, 1); err == nil {
			t.Errorf("%s: %+v was accepted", name, v)
		}
	}
}

func TestKeysOfAFile(t *testing.T) {
	k := plan.Key{Kind: "file", Path: "keys.txt", Pool: [][]byte{[]byte("ada"), []byte("bob"), []byte("cy")}}
	seen := map[string]int{}
	for worker := range 2 {
		g, err := NewKeys(k, 1, worker, 2)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			key, ok := g.Append(nil)
			if !ok {
				t.Fatal("no key")
			}
			seen[string(key)]++
		}
	}
	if len(seen) != 3 || seen["ada"] != 4 || seen["bob"] != 4 || seen["cy"] != 4 {
		t.Errorf("%v, want each key four times", seen)
	}
	k.Pool = nil
	if _, err := NewKeys(k, 1, 0, 1); err == nil {
		t.Error("a file without keys was accepted")
	}
}
