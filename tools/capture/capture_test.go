package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	client4 = netip.MustParseAddrPort("10.0.0.1:40000")
	server4 = netip.MustParseAddrPort("10.0.0.2:9092")
	client6 = netip.MustParseAddrPort("[fd00::1]:40000")
	server6 = netip.MustParseAddrPort("[fd00::2]:9092")
	start   = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
)

// packets writes a short conversation and returns the file's header and its packets.
func packets(t testing.TB, client, server netip.AddrPort, pieces ...string) (head []byte, all [][]byte) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	must(t, err)
	head = bytes.Clone(b.Bytes())
	cut := func(err error) {
		must(t, err)
		b.Next(b.Len())
	}
	b.Reset()
	open := func() {
		must(t, w.Open(start, client, server))
		whole := bytes.Clone(b.Bytes())
		all = append(all, whole[:len(whole)/2], whole[len(whole)/2:])
		cut(nil)
	}
	open()
	for i, p := range pieces {
		from, to := client, server
		if i%2 == 1 {
			from, to = server, client
		}
		must(t, w.Data(start.Add(time.Duration(i)), from, to, []byte(p)))
		all = append(all, bytes.Clone(b.Bytes()))
		cut(nil)
	}
	must(t, w.Close(start, client, server))
	whole := bytes.Clone(b.Bytes())
	return head, append(all, whole[:len(whole)/2], whole[len(whole)/2:])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// heard is what Read gave, as text.
func heard(t *testing.T, file []byte) string {
	t.Helper()
	var b strings.Builder
	must(t, Read(bytes.NewReader(file), nil, func(c Chunk) error {
		switch {
		case c.End:
			fmt.Fprintf(&b, "%d end\n", c.Flow.ID)
		case c.FromClient:
			fmt.Fprintf(&b, "%d > lost %d %q\n", c.Flow.ID, c.Lost, c.Data)
		default:
			fmt.Fprintf(&b, "%d < lost %d %q\n", c.Flow.ID, c.Lost, c.Data)
		}
		return nil
	}))
	return b.String()
}

func file(head []byte, all ...[]byte) []byte {
	return append(bytes.Clone(head), bytes.Join(all, nil)...)
}

func TestConversation(t *testing.T) {
	for _, ends := range [][2]netip.AddrPort{{client4, server4}, {client6, server6}} {
		head, p := packets(t, ends[0], ends[1], "hello", "world", "again")
		var first Chunk
		must(t, Read(bytes.NewReader(file(head, p...)), nil, func(c Chunk) error {
			if first.Flow == nil {
				first = c
			}
			return nil
		}))
		if first.Flow.Client != ends[0] || first.Flow.Server != ends[1] || !first.At.Equal(start) {
			t.Errorf("%+v of %+v", first, first.Flow)
		}
		want := "1 > lost 0 \"hello\"\n1 < lost 0 \"world\"\n1 > lost 0 \"again\"\n1 end\n"
		if got := heard(t, file(head, p...)); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestOrder(t *testing.T) {
	head, p := packets(t, client4, server4, "one ", "", "two ", "", "three")
	syn, one, two, three, fins := p[0], p[2], p[4], p[6], p[7:]
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"early", file(head, syn, three, one, two), "1 > lost 0 \"one \"\n1 > lost 0 \"two \"\n1 > lost 0 \"three\"\n1 end\n"},
		{"twice", file(head, syn, one, one, syn, two, one), "1 > lost 0 \"one \"\n1 > lost 0 \"two \"\n1 end\n"},
		{"lost", file(head, syn, one, three), "1 > lost 0 \"one \"\n1 > lost 4 \"three\"\n1 end\n"},
		{"lost before the end", file(append(slices.Clip(head), file(nil, syn, one, three)...), fins...), "1 > lost 0 \"one \"\n1 > lost 4 \"three\"\n1 end\n"},
		{"from the middle", file(head, two, three), "1 > lost 0 \"two \"\n1 > lost 0 \"three\"\n1 end\n"},
		{"only the end", file(head, fins...), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := heard(t, c.file); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestShuffled: whatever the order of packets, and whatever is sent twice, the bytes come out as they were sent.
func TestShuffled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		var pieces []string
		var want string
		for range 30 {
			piece := strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(5))
			pieces, want = append(pieces, piece, ""), want+piece
		}
		head, p := packets(t, client4, server4, pieces...)
		syn, rest := p[0], p[2:len(p)-2]
		rest = append(rest, rest[:r.IntN(len(rest))]...)
		r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		var got string
		must(t, Read(bytes.NewReader(file(head, append([][]byte{syn}, rest...)...)), nil, func(c Chunk) error {
			if c.Lost > 0 {
				t.Errorf("lost %d", c.Lost)
			}
			got += string(c.Data)
			return nil
		}))
		if got != want {
			t.Fatalf("got %q, want %q; try again with seed %d", got, want, seed)
		}
	}
}

// TestCut: packets that the capture has not kept whole leave a hole of the right size.
func TestCut(t *testing.T) {
	head, p := packets(t, client4, server4, "abcdef", "", "gh")
	one := bytes.Clone(p[2])
	binary.LittleEndian.PutUint32(one[8:], binary.LittleEndian.Uint32(one[8:])-2)
	want := "1 > lost 0 \"abcd\"\n1 > lost 2 \"\"\n1 > lost 0 \"gh\"\n1 end\n"
	if got := heard(t, file(head, p[0], one[:len(one)-2], p[4])); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestLinks: the same packets behind the headers of other links.
func TestLinks(t *testing.T) {
	head, p := packets(t, client4, server4, "hello")
	for _, c := range []struct {
		link   uint32
		header []byte
	}{
		{0, []byte{2, 0, 0, 0}},
		{1, append(make([]byte, 12), 0x08, 0x00)},
		{1, append(make([]byte, 12), 0x81, 0x00, 0, 7, 0x08, 0x00)},
		{113, append(make([]byte, 14), 0x08, 0x00)},
		{276, append([]byte{0x08, 0x00}, make([]byte, 18)...)},
	} {
		head := bytes.Clone(head)
		binary.LittleEndian.PutUint32(head[20:], c.link)
		var all [][]byte
		for _, packet := range p {
			b := slices.Concat(packet[:packetHead], c.header, packet[packetHead:])
			binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-packetHead))
			all = append(all, b)
		}
		if got := heard(t, file(head, all...)); got != "1 > lost 0 \"hello\"\n1 end\n" {
			t.Errorf("link %d with %d bytes: %s", c.link, len(c.header), got)
		}
	}
}

// TestWhoIsTheServer: without a SYN, a port tells.
func TestWhoIsTheServer(t *testing.T) {
	low := netip.MustParseAddrPort("10.0.0.1:2000") // a client with a lower port than the server's
	head, p := packets(t, low, server4, "q", "a")
	for _, first := range []int{2, 3} {
		if got := heard(t, file(head, p[first])); !strings.HasPrefix(got, []string{"1 > ", "1 < "}[first-2]) {
			t.Errorf("packet %d: %s", first, got)
		}
	}
}

func TestNotACapture(t *testing.T) {
	head, p := packets(t, client4, server4, "hello")
	huge := bytes.Clone(p[0][:packetHead])
	binary.LittleEndian.PutUint32(huge[8:], 1<<31)
	wrongLink := bytes.Clone(head)
	wrongLink[20] = 250
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "cut off"},
		{[]byte("\x0a\x0d\x0d\x0a and the rest of a pcapng"), "editcap"},
		{make([]byte, 100), "begins with 00000000"},
		{wrongLink, "type 250"},
		{file(head, p[0][:20]), "packet 1 is cut off"},
		{file(head, huge), "packet 1 claims"},
	} {
		err := Read(bytes.NewReader(c.file), nil, func(Chunk) error { return nil })
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: want %q", err, c.want)
		}
	}
}

// TestBounds: what comes early is held up to a bound, then the hole is given up.
func TestBounds(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b)
	must(t, err)
	must(t, w.Open(start, client4, server4))
	keep := b.Len()
	must(t, w.Data(start, client4, server4, []byte("lost")))
	b.Truncate(keep)
	data := make([]byte, 32<<10)
	n := MaxPending/len(data) + 1
	for range n {
		must(t, w.Data(start, client4, server4, data))
	}
	var lost, got int64
	seen := 0
	must(t, Read(&b, nil, func(c Chunk) error {
		lost, got = lost+c.Lost, got+int64(len(c.Data))
		if !c.End {
			seen++
		}
		return nil
	}))
	if lost != 4 || got != int64(n*len(data)) || seen != n {
		t.Errorf("lost %d, got %d bytes in %d pieces; want 4, %d, %d", lost, got, seen, n*len(data), n)
	}
}

func FuzzRead(f *testing.F) {
	for _, ends := range [][2]netip.AddrPort{{client4, server4}, {client6, server6}} {
		head, p := packets(f, ends[0], ends[1], "hello", "world")
		f.Add(file(head, p...))
		f.Add(file(head, p[3], p[2], p[2]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := Read(bytes.NewReader(b), nil, func(c Chunk) error {
			if c.Lost < 0 || c.Flow == nil {
				t.Errorf("%+v", c)
			}
			total += len(c.Data)
			return nil
		})
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%v", err)
		}
		if total > len(b) {
			t.Errorf("%d bytes came of %d", total, len(b))
		}
	})
}
