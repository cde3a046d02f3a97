package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMessagesAreGolden(t *testing.T) {
	cases := []struct {
		name, file, text string
		set, env         []string
		want             string
	}{
		{"unknown key in YAML", "s.yaml", "node.id: 3\nlog:\n  segmnt:\n    bytes: 1\n", nil, nil,
			`s.yaml:4: unknown key "log.segmnt.bytes"; did you mean "log.segment.bytes"?`},
		{"unknown key in properties", "s.properties", "# x\nnum.partition=3\n", nil, nil,
			`s.properties:2: unknown key "num.partition"; did you mean "num.partitions"?`},
		{"nothing near", "s.yaml", "completely: wrong\n", nil, nil,
			`s.yaml:1: unknown key "completely"; "streambus config docs" lists all keys`},
		{"bad number", "s.yaml", "num.partitions: many\n", nil, nil,
			`s.yaml:1: num.partitions = "many": it must be a whole number from 1 to 10000`},
		{"too small", "", "", []string{"log.segment.bytes=10"}, nil,
			`--set: log.segment.bytes = "10": it must be a whole number of at least 65536`},
		{"replication", "", "", []string{"default.replication.factor=3"}, nil,
			`--set: default.replication.factor = "3": it must be 1, the only value served yet`},
		{"bad switch", "", "", nil, []string{"STREAMBUS_AUTO_CREATE_TOPICS_ENABLE=yes", "HOME=/root"},
			`environment STREAMBUS_AUTO_CREATE_TOPICS_ENABLE: auto.create.topics.enable = "yes": it must be true or false`},
		{"unknown environment", "", "", nil, []string{"STREAMBUS_NODE_IDS=1"},
			`environment STREAMBUS_NODE_IDS: unknown key "node.ids"; did you mean "node.id"?`},
		{"no value", "s.yaml", "node.id:\n", nil, nil, `s.yaml:1: node.id has no value`},
		{"twice", "s.yaml", "node.id: 1\nnode:\n  id: 2\n", nil, nil, `s.yaml:3: node.id was already given at s.yaml:1`},
		{"not YAML", "s.yaml", "a: [\n", nil, nil, `s.yaml: not YAML: line 1: did not find expected node content`},
		{"not a mapping", "s.yaml", "- a\n", nil, nil, `s.yaml:1: the file must hold key: value pairs`},
		{"nested list", "s.yaml", "log.dirs: [[a]]\n", nil, nil, `s.yaml:1: log.dirs must be a list of words`},
		{"no equals sign", "s.properties", "hello\n", nil, nil, `s.properties:1: "hello" must be key=value`},
		{"set without value", "", "", []string{"x"}, nil, `--set x: it must be key=value`},
		{"no such file", "none.yaml", "", nil, nil, `cannot read the configuration file: open none.yaml: no such file or directory`},
		{"SSL", "", "", []string{"listeners=SSL://:9093"}, nil,
			`--set: listeners = "SSL://:9093": only PLAINTEXT listeners are served yet`},
		{"listener without protocol", "", "", []string{"listeners=localhost:9092"}, nil,
			`--set: listeners = "localhost:9092": it must look like PLAINTEXT://host:port`},
		{"port", "", "", []string{"listeners=PLAINTEXT://h:99999"}, nil,
			`--set: listeners = "PLAINTEXT://h:99999": the port "99999" must be a number from 0 to 65535`},
		{"advertised", "", "", []string{"advertised.listeners=PLAINTEXT://0.0.0.0:1"}, nil,
			`--set: advertised.listeners = "PLAINTEXT://0.0.0.0:1": clients must be told an address that they can reach, not all addresses`},
		{"http", "", "", []string{"http.listeners=127.0.0.1:1"}, nil, `--set: http.listeners = "127.0.0.1:1": it must look like http://host:port`},
		{"two http", "", "", []string{"http.listeners=http://a:1,http://b:1"}, nil, `--set: http.listeners = "http://a:1,http://b:1": one HTTP listener is served`},
		{"pprof for all", "", "", []string{"http.listeners=http://:1", "http.pprof.enable=true"}, nil,
			`http.pprof.enable (--set) needs http.listeners (--set) on loopback, or anybody could read the broker's memory`},
		{"two dirs", "", "", []string{"log.dirs=/a,/b"}, nil, `--set: log.dirs = "/a,/b": one data directory is served yet`},
		{"across", "", "", []string{"group.min.session.timeout.ms=9", "group.max.session.timeout.ms=8"}, nil,
			`group.min.session.timeout.ms = 9 (--set) is above group.max.session.timeout.ms = 8 (--set)`},
		{"all faults at once", "s.properties", "nod.id=1\nnum.partitions=0\n", nil, nil,
			"s.properties:1: unknown key \"nod.id\"; did you mean \"node.id\"?\n  s.properties:2: num.partitions = \"0\": it must be a whole number from 1 to 10000"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.text != "" {
				write(t, c.file, c.text)
			}
			_, err := Load(Sources{File: c.file, Set: c.set, Environ: c.env})
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("Load = %v, want ErrInvalid", err)
			}
			if diff := cmp.Diff("bad configuration:\n  "+c.want, err.Error()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrderOfSources(t *testing.T) {
	write(t, "s.yaml", "node.id: 2\nnum:\n  partitions: 2\nlog.index.interval.bytes: 256\n")
	c, err := Load(Sources{
		File:    "s.yaml",
		Environ: []string{"STREAMBUS_NUM_PARTITIONS=3", "STREAMBUS_LOG_INDEX_INTERVAL_BYTES=512"},
		Set:     []string{"log.index.interval.bytes=1024"},
		DataDir: "/data",
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Value{
		"node.id":                  {Raw: "2", Num: 2, Source: "s.yaml:1"},
		"num.partitions":           {Raw: "3", Num: 3, Source: "environment STREAMBUS_NUM_PARTITIONS"},
		"log.index.interval.bytes": {Raw: "1024", Num: 1024, Source: "--set"},
		"group.max.size":           {Raw: "2147483647", Num: 2147483647, Source: "default"},
		"log.dirs":                 {Raw: "/data", Items: []string{"/data"}, Source: "--data-dir"},
	} {
		if diff := cmp.Diff(want, c.Value(key)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if c.DataDir() != "/data" {
		t.Errorf("DataDir = %q", c.DataDir())
	}
}

// The file that Apache Kafka 4 ships as config/server.properties, without its comments.
const kafkaServerProperties = `process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

func TestKafkasOwnFileIsTaken(t *testing.T) {
	c, err := Load(Sources{File: write(t, "server.properties", kafkaServerProperties)})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Listener(); e != (Endpoint{"PLAINTEXT", "", 9092}) || e.Loopback() || e.Addr() != ":9092" {
		t.Errorf("Listener = %+v", e)
	}
	if e, ok := c.Advertised(); !ok || e.Host != "localhost" || !e.Loopback() {
		t.Errorf("Advertised = %+v, %t", e, ok)
	}
	if c.Int("node.id") != 7 || c.DataDir() != "/tmp/kraft-combined-logs" {
		t.Errorf("node.id = %d, DataDir = %q", c.Int("node.id"), c.DataDir())
	}
	want := "server.properties:1: process.roles has no effect here: this broker is its own controller"
	if !slices.Contains(c.Warnings, want) {
		t.Errorf("warnings lack %q: %q", want, c.Warnings)
	}
}

func TestPropertiesSyntax(t *testing.T) {
	text := "! comment\r\n  node.id : 4\nlisteners = \\\n   PLAINTEXT://127.0.0.1:1\n\n"
	got, faults := readProperties("f", []byte(text))
	want := []entry{{"node.id", "4", "f:2"}, {"listeners", "PLAINTEXT://127.0.0.1:1", "f:3"}}
	if !slices.Equal(got, want) || faults != nil {
		t.Errorf("got %q, %q; want %q", got, faults, want)
	}
}

func TestEnvKey(t *testing.T) {
	for in, want := range map[string]string{"NODE_ID": "node.id", "A__B": "a_b", "A___B_C": "a-b.c"} {
		if got := EnvKey(in); got != want {
			t.Errorf("EnvKey(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDumpLoadsAgain(t *testing.T) {
	a, err := Load(Sources{Set: []string{"num.partitions=12", "log.dirs=/x y"}})
	if err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	if err := a.Dump(&dump); err != nil {
		t.Fatal(err)
	}
	b, err := Load(Sources{File: write(t, "dump.yaml", dump.String())})
	if err != nil {
		t.Fatalf("%v\n%s", err, dump.String())
	}
	for _, d := range Defs {
		if va, vb := a.Value(d.Name), b.Value(d.Name); va.Raw != vb.Raw {
			t.Errorf("%s: %q became %q", d.Name, va.Raw, vb.Raw)
		}
	}
}

func TestSensitiveIsMasked(t *testing.T) {
	d := Def{Sensitive: true}
	if d.shown("secret") != masked || d.shown("") != "" {
		t.Error("a sensitive value is shown, or an empty one is not")
	}
}

func TestDocsAndTable(t *testing.T) {
	var docs bytes.Buffer
	if err := Docs(&docs); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range Defs {
		if seen[d.Name] || d.Doc == "" || foreign[d.Name] != "" {
			t.Errorf("%s: twice, without doc, or foreign as well", d.Name)
		}
		seen[d.Name] = true
		if !strings.Contains(docs.String(), "## `"+d.Name+"`") {
			t.Errorf("docs lack %s", d.Name)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(kafkaServerProperties), true)
	f.Add([]byte("log:\n  segment: {bytes: 5}\nlisteners: [a, b]\n"), false)
	f.Add([]byte("a: &a [*a]\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, properties bool) {
		dir := t.TempDir()
		path := filepath.Join(dir, "f.yaml")
		if properties {
			path = filepath.Join(dir, "f.properties")
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Sources{File: path})
		if (c == nil) == (err == nil) || (err != nil && !errors.Is(err, ErrInvalid)) {
			t.Errorf("Load = %v, %v", c, err)
		}
	})
}
