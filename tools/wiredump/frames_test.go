package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// talk is a conversation whose events are kept and printed.
type talk struct {
	*conversation
	events []event
	out    bytes.Buffer
	p      *printer
}

func newTalk() *talk {
	k := &talk{}
	k.p = &printer{w: bufio.NewWriter(&k.out), live: true, most: 20}
	k.conversation = newConversation(1, "client:1", "broker:9092", 1<<20, func(e event) error {
		k.events = append(k.events, e)
		return k.p.event(e)
	})
	return k
}

func (k *talk) ask(t *testing.T, id int32, m wire.Message, version int16) {
	t.Helper()
	h := wire.RequestHeader{Version: version, CorrelationID: id, ClientID: "app", HasClientID: true}
	must(t, k.feed(noon.Add(time.Duration(id)*time.Millisecond), true, 0, wire.AppendRequestFrame(nil, h, m)))
}

func (k *talk) answer(t *testing.T, id int32, m wire.Message, version int16) {
	t.Helper()
	must(t, k.feed(noon.Add(time.Duration(id)*time.Millisecond+1500*time.Microsecond), false, 0, wire.AppendResponseFrame(nil, id, m, version)))
}

// records is a set of two batches, and the beginning of a third.
func records() []byte {
	var b batch.Builder
	at := time.UnixMilli(1767355200000)
	b.Add(at, []byte("key"), []byte("value"))
	b.Add(at.Add(time.Second), nil, []byte("other"))
	one := b.Batch()
	one.Stamp(7, 3)
	all := append([]byte(nil), one...)
	marker := batch.EndTxnMarker(batch.Abort, 42, 1, 5, at)
	marker.Stamp(9, 3)
	all = append(all, marker...)
	return append(all, one[:30]...)
}

// fill sets every exported field to something that is no default, so that all of them are met.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "RecordsSize" {
				fill(v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			text := []byte("bytes")
			if name == "Records" {
				text = records()
			}
			v.SetBytes(text)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name)
		fill(v.Index(1), name)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(i + 1))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Uint16:
		v.SetUint(5)
	default:
		v.SetInt(5)
	}
}

// TestAllMessages: every key and version, with all fields set, is understood in both directions and printed in both forms.
func TestAllMessages(t *testing.T) {
	seen := 0
	for _, r := range wire.Codecs() {
		for version := r.Min; version <= r.Max; version++ {
			t.Run(fmt.Sprintf("%s %d", r.Key, version), func(t *testing.T) {
				k := newTalk()
				k.p.all = true
				q, a := wire.NewRequest(r.Key), wire.NewResponse(r.Key)
				fill(reflect.ValueOf(q).Elem(), "")
				fill(reflect.ValueOf(a).Elem(), "")
				k.ask(t, 1, q, version)
				k.answer(t, 1, a, version)
				if len(k.events) != 2 || k.p.problems > 0 || k.events[1].Took != 1500*time.Microsecond {
					t.Fatalf("%d events: %s", len(k.events), k.out.String())
				}
				if n := strings.Count(k.out.String(), "\n"); n < 3 && reflect.TypeOf(q).Elem().NumField()+reflect.TypeOf(a).Elem().NumField() > 0 {
					t.Errorf("only %d lines: %s", n, k.out.String())
				}
				for i, e := range k.events {
					if _, err := json.Marshal(tree(e.Fields, i == 0, true)); err != nil {
						t.Error(err)
					}
				}
			})
			seen++
		}
	}
	if seen < 200 {
		t.Errorf("only %d keys and versions", seen)
	}
}

// story is a short conversation with what is worth seeing.
func story(t *testing.T, k *talk) {
	name := "orders"
	k.ask(t, 1, wire.NewRequest(wire.KeyAPIVersions), 0)
	versions := wire.NewResponse(wire.KeyAPIVersions).(*wire.APIVersionsResponse)
	versions.APIKeys = []wire.Range{{Key: wire.KeyProduce, Min: 3, Max: 13}}
	k.answer(t, 1, versions, 0)
	k.ask(t, 2, &wire.MetadataRequest{Topics: []wire.MetadataRequestTopic{{Name: &name}}, AllowAutoTopicCreation: true}, 12)
	k.ask(t, 3, &wire.ProduceRequest{Acks: -1, TimeoutMs: 30000, Topics: []wire.ProduceRequestTopic{{Name: []byte(name),
		Partitions: []wire.ProduceRequestPartition{{PartitionIndex: 2, Records: records()}}}}}, 9)
	produced := wire.NewResponse(wire.KeyProduce).(*wire.ProduceResponse)
	part := wire.ProduceResponsePartition{PartitionIndex: 2, ErrorCode: wire.CodeNotLeaderOrFollower, BaseOffset: -1}
	produced.Topics = []wire.ProduceResponseTopic{{Name: []byte(name), Partitions: []wire.ProduceResponsePartition{part}}}
	k.answer(t, 3, produced, 9)
	k.ask(t, 4, &wire.SASLAuthenticateRequest{AuthBytes: []byte("\x00alice\x00hunter2")}, 2)
	k.ask(t, 5, &wire.ProduceRequest{Acks: 0}, 9)
	configs := wire.NewResponse(wire.KeyDescribeConfigs).(*wire.DescribeConfigsResponse)
	secret := "hunter2"
	configs.Results = []wire.DescribeConfigsResponseResult{{ResourceName: "0", Configs: []wire.DescribeConfigsResponseConfig{
		{Name: "ssl.keystore.password", Value: &secret}, {Name: "num.partitions", Value: &name}}}}
	k.ask(t, 6, wire.NewRequest(wire.KeyDescribeConfigs), 4)
	k.answer(t, 6, configs, 4)
	k.answer(t, 99, produced, 9)
	must(t, k.feed(noon.Add(time.Second), true, 0, []byte("\x00\x00\x00\x0a\x00\x63\x00\x01\x00\x00\x00\x07\xff\xff")))
	must(t, k.feed(noon.Add(time.Second), true, 0, []byte("\x16\x03\x01\x02\x00\x01")))
	must(t, k.end(noon.Add(time.Second)))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs (-rewrite writes it anew); got\n%s", file, got)
	}
}

func TestStory(t *testing.T) {
	for _, c := range []struct {
		file string
		set  func(*printer)
	}{{"story.txt", func(*printer) {}}, {"story.jsonl", func(p *printer) { p.json = true }}} {
		k := newTalk()
		c.set(k.p)
		story(t, k)
		if strings.Contains(k.out.String(), "hunter2") {
			t.Errorf("%s shows a password", c.file)
		}
		golden(t, c.file, k.out.String())
	}
}

// TestPieces: it does not matter how the bytes are cut.
func TestPieces(t *testing.T) {
	var whole []byte
	for id := range int32(20) {
		h := wire.RequestHeader{CorrelationID: id}
		whole = wire.AppendRequestFrame(whole, h, wire.NewRequest(wire.KeyListGroups))
	}
	for size := 1; size < 60; size++ {
		k := newTalk()
		for at := 0; at < len(whole); at += size {
			must(t, k.feed(noon, true, 0, whole[at:min(at+size, len(whole))]))
		}
		if len(k.events) != 20 || k.events[19].Correlation != 19 || len(k.sides[0].buf) != 0 {
			t.Fatalf("pieces of %d: %d events, %d bytes left", size, len(k.events), len(k.sides[0].buf))
		}
	}
}

// TestHole: after a hole the next chunk that begins with a frame is understood again.
func TestHole(t *testing.T) {
	k := newTalk()
	frame := wire.AppendRequestFrame(nil, wire.RequestHeader{CorrelationID: 5, ClientID: "app", HasClientID: true}, wire.NewRequest(wire.KeyListGroups))
	must(t, k.feed(noon, true, 0, frame[:6]))
	must(t, k.feed(noon, true, 100, []byte("the rest of something large")))
	must(t, k.feed(noon, true, 0, frame))
	must(t, k.end(noon))
	want := "lost request unanswered"
	if got := kinds(k.events); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	k = newTalk() // the same for answers, which say less about themselves
	k.ask(t, 8, wire.NewRequest(wire.KeyListGroups), 0)
	must(t, k.feed(noon, false, 1, []byte("garbage, and enough of it")))
	k.answer(t, 8, wire.NewResponse(wire.KeyListGroups), 0)
	must(t, k.end(noon))
	if got := kinds(k.events); got != "request lost response" {
		t.Errorf("%s", got)
	}
}

func kinds(all []event) string {
	var k []string
	for _, e := range all {
		k = append(k, e.Kind)
	}
	return strings.Join(k, " ")
}

// TestForgotten: requests whose answers never come take bounded memory.
func TestForgotten(t *testing.T) {
	k := newTalk()
	k.emit = func(event) error { return nil }
	q := wire.NewRequest(wire.KeyListGroups)
	for id := range int32(3 * mostAsked) {
		k.ask(t, id, q, 0)
		if id%2 == 0 {
			k.answer(t, id, wire.NewResponse(wire.KeyListGroups), 0)
		}
	}
	if len(k.due) > mostAsked || len(k.order) > 2*mostAsked {
		t.Errorf("%d due, %d in order", len(k.due), len(k.order))
	}
	if _, ok := k.due[3*mostAsked-1]; !ok {
		t.Error("the newest was forgotten")
	}
}

// TestOldAPIVersions: a broker that does not know the version answers in version 0.
func TestOldAPIVersions(t *testing.T) {
	k := newTalk()
	a := wire.NewResponse(wire.KeyAPIVersions).(*wire.APIVersionsResponse)
	a.ErrorCode = wire.CodeUnsupportedVersion
	k.ask(t, 1, wire.NewRequest(wire.KeyAPIVersions), 4)
	k.answer(t, 1, a, 0)
	if e := k.events[1]; e.Version != 0 || e.Problem != "" || !strings.Contains(k.out.String(), "UNSUPPORTED_VERSION") {
		t.Errorf("%+v\n%s", e, k.out.String())
	}
}

// TestTopicID: an ID looks as Kafka's tools print it.
func TestTopicID(t *testing.T) {
	k := newTalk()
	k.ask(t, 1, &wire.ProduceRequest{Acks: 1, Topics: []wire.ProduceRequestTopic{{TopicID: wire.UUID{0xfb, 15: 1}}}}, 13)
	if out := k.out.String(); !strings.Contains(out, "TopicID -wAAAAAAAAAAAAAAAAAAAQ") {
		t.Error(out)
	}
}

// TestAlterSCRAM: what a password can be guessed from is not shown.
func TestAlterSCRAM(t *testing.T) {
	k := newTalk()
	k.ask(t, 1, &wire.AlterUserSCRAMCredentialsRequest{Upsertions: []wire.AlterUserSCRAMCredentialsRequestUpsertion{
		{Name: "alice", Mechanism: 1, Iterations: 4096, Salt: []byte("pepper"), SaltedPassword: []byte("hunter2")}}}, 0)
	if out := k.out.String(); strings.Contains(out, "hunter2") || strings.Contains(out, "pepper") || !strings.Contains(out, "alice") {
		t.Error(out)
	}
}

func TestDamagedRecords(t *testing.T) {
	b := records()
	b[70] ^= 1
	k := newTalk()
	k.ask(t, 1, &wire.ProduceRequest{Acks: 1, Topics: []wire.ProduceRequestTopic{{Name: []byte("x"), Partitions: []wire.ProduceRequestPartition{{Records: b}}}}}, 9)
	if out := k.out.String(); !strings.Contains(out, "but its bytes have") {
		t.Error(out)
	}
	b[16] = 1 // an old format
	k = newTalk()
	k.ask(t, 1, &wire.ProduceRequest{Topics: []wire.ProduceRequestTopic{{Partitions: []wire.ProduceRequestPartition{{Records: b}}}}}, 9)
	if out := k.out.String(); !strings.Contains(out, batch.ErrMagic.Error()) {
		t.Error(out)
	}
}

// TestStops: an error of the output ends the reading.
func TestStops(t *testing.T) {
	want := errors.New("full")
	c := newConversation(1, "", "", 100, func(event) error { return want })
	if err := c.feed(noon, true, 0, wire.AppendRequestFrame(nil, wire.RequestHeader{}, wire.NewRequest(wire.KeyListGroups))); !errors.Is(err, want) {
		t.Error(err)
	}
}

// FuzzFeed: no input makes it panic, and what it holds stays within what has come.
func FuzzFeed(f *testing.F) {
	f.Add(wire.AppendRequestFrame(nil, wire.RequestHeader{}, wire.NewRequest(wire.KeyListGroups)), wire.AppendResponseFrame(nil, 0, wire.NewResponse(wire.KeyListGroups), 0), uint8(3), true)
	q := &wire.ProduceRequest{Acks: 1, Topics: []wire.ProduceRequestTopic{{Name: []byte("x"), Partitions: []wire.ProduceRequestPartition{{Records: records()}}}}}
	f.Add(wire.AppendRequestFrame(nil, wire.RequestHeader{Version: 9}, q), []byte("\x00\x00\x00\x04\x00\x00\x00\x00"), uint8(40), false)
	f.Fuzz(func(t *testing.T, requests, answers []byte, size uint8, asJSON bool) {
		var out bytes.Buffer
		p := &printer{w: bufio.NewWriter(&out), json: asJSON, all: size%2 == 0, most: 3}
		c := newConversation(1, "a", "b", 1<<16, p.event)
		step := int(size) + 1
		for at := 0; at < max(len(requests), len(answers)); at += step {
			for i, b := range [][]byte{requests, answers} {
				lost := int64(0)
				if at/step%17 == 16 {
					lost = 1
				}
				must(t, c.feed(noon, i == 0, lost, b[min(at, len(b)):min(at+step, len(b))]))
				if held := len(c.sides[i].buf); held > at+step {
					t.Fatalf("%d bytes are held of %d", held, at+step)
				}
			}
		}
		must(t, c.end(noon))
	})
}
