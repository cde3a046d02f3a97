package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Default is the Source of a Value that nobody has set.
const Default = "default"

// Config is a value for every key of the table (C2). It does not change.
type Config struct {
	values   map[string]Value
	Warnings []string // keys passed over, and the like; for the log
}

// Sources say where values come from. Zero fields are no source.
type Sources struct {
	File    string   // path; .properties is read as such, all else as YAML
	Environ []string // as os.Environ gives it; only STREAMBUS_… is looked at
	Set     []string // key=value
	DataDir string   // --data-dir: log.dirs
}

// ErrInvalid is the class of all faults that Load finds in what the user wrote.
var ErrInvalid = errors.New("bad configuration")

// entry is one key as a source gave it, before it is looked up.
type entry struct {
	key, raw, source string
}

// Load reads all sources. The error, if any, is ErrInvalid and names every fault (C3); a file that cannot be read is one.
func Load(s Sources) (*Config, error) {
	l := loader{cfg: &Config{values: map[string]Value{}}, other: map[string]Value{}}
	for i := range Defs {
		v, fault := Defs[i].parse(Defs[i].Default, Default)
		if fault != "" {
			panic(fmt.Sprintf("config: default of %s: %s", Defs[i].Name, fault))
		}
		l.cfg.values[Defs[i].Name] = v
	}
	if s.File != "" {
		l.file(s.File)
	}
	l.environ(s.Environ)
	for _, kv := range s.Set {
		key, raw, ok := strings.Cut(kv, "=")
		if !ok {
			l.fault("--set %s: it must be key=value", kv)
			continue
		}
		l.put(entry{strings.TrimSpace(key), raw, "--set"})
	}
	if s.DataDir != "" {
		l.put(entry{"log.dirs", s.DataDir, "--data-dir"})
	}
	l.convert()
	l.faults = append(l.faults, across(l.cfg.Value)...)
	if e, on, _ := l.cfg.HTTP(); on && !e.Loopback() && l.cfg.Bool("http.pprof.enable") {
		l.fault("http.pprof.enable (%s) needs http.listeners (%s) on loopback, or anybody could read the broker's memory",
			l.cfg.Value("http.pprof.enable").Source, l.cfg.Value("http.listeners").Source)
	}
	if len(l.faults) > 0 {
		return nil, fmt.Errorf("%w:\n  %s", ErrInvalid, strings.Join(l.faults, "\n  "))
	}
	return l.cfg, nil
}

type loader struct {
	cfg    *Config
	other  map[string]Value // by alias: what was given in another unit
	faults []string
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *loader) file(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		l.fault("cannot read the configuration file: %v", err)
		return
	}
	read := readYAML
	if strings.HasSuffix(path, ".properties") {
		read = readProperties
	}
	entries, faults := read(path, b)
	l.faults = append(l.faults, faults...)
	l.batch(path, entries)
}

// batch puts the entries of one file: a key given twice there is a fault.
func (l *loader) batch(path string, entries []entry) {
	seen := map[string]string{}
	controllers := map[string]bool{}
	for _, e := range entries {
		if e.key == "controller.listener.names" {
			for _, name := range splitList(e.raw) {
				controllers[strings.ToUpper(name)] = true
			}
		}
	}
	for _, e := range entries {
		if first, twice := seen[e.key]; twice {
			l.fault("%s: %s was already given at %s", e.source, e.key, first)
			continue
		}
		seen[e.key] = e.source
		if e.key == "listeners" || e.key == "advertised.listeners" {
			e.raw = withoutControllers(e.raw, controllers)
		}
		l.put(e)
	}
}

// withoutControllers drops the listeners of a Kafka controller, which have no counterpart here.
func withoutControllers(raw string, controllers map[string]bool) string {
	items := slices.DeleteFunc(splitList(raw), func(s string) bool {
		name, _, _ := strings.Cut(s, "://")
		return controllers[strings.ToUpper(name)]
	})
	return strings.Join(items, ",")
}

// FailpointsVariable is in the environment of brokers that are to be broken (package failpoint). It is no setting: no file has it.
const FailpointsVariable = "STREAMBUS_FAILPOINTS"

// environ takes STREAMBUS_NODE_ID and the like.
func (l *loader) environ(env []string) {
	for _, kv := range env {
		name, raw, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, "STREAMBUS_")
		if !ok || rest == "" || name == FailpointsVariable {
			continue
		}
		l.put(entry{EnvKey(rest), raw, "environment " + name})
	}
}

// EnvKey turns the part after STREAMBUS_ into a key: _ is '.', __ is '_', ___ is '-'.
func EnvKey(s string) string {
	s = strings.ToLower(s)
	s = strings.ReplaceAll(s, "___", "-")
	s = strings.ReplaceAll(s, "__", "\x00")
	s = strings.ReplaceAll(s, "_", ".")
	return strings.ReplaceAll(s, "\x00", "_")
}

// put looks the key up and parses the value (C1).
func (l *loader) put(e entry) {
	if e.key == "log.dir" {
		e.key = "log.dirs"
	}
	d := Find(e.key)
	if d == nil {
		if l.alias(e) {
			return
		}
		if why, ok := foreign[e.key]; ok {
			l.cfg.Warnings = append(l.cfg.Warnings, fmt.Sprintf("%s: %s has no effect here: %s", e.source, e.key, why))
			return
		}
		l.fault("%s: unknown key %q%s", e.source, e.key, didYouMean(e.key))
		return
	}
	v, fault := d.parse(e.raw, e.source)
	if fault != "" {
		l.fault("%s: %s = %q: %s", e.source, d.Name, d.shown(v.Raw), fault)
		return
	}
	l.cfg.values[d.Name] = v
}

// convert takes over what was given in another unit, where the key itself was not given.
func (l *loader) convert() {
	for _, a := range aliases {
		if v, given := l.other[a.name]; given && l.cfg.values[a.key].Source == Default {
			l.cfg.values[a.key] = v
		}
	}
}

// alias takes a key that is another unit of one of the table. It says false where it is none.
func (l *loader) alias(e entry) bool {
	for _, a := range aliases {
		if a.name != e.key {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(e.raw), 10, 32)
		if n > 0 {
			n *= a.factor
		}
		v, fault := Find(a.key).parse(strconv.FormatInt(n, 10), e.source)
		if err != nil {
			fault = "it must be a whole number"
		}
		if fault != "" {
			l.fault("%s: %s = %q (%s in other units): %s", e.source, e.key, e.raw, a.key, fault)
		}
		l.other[a.name] = v
		return true
	}
	return false
}

// across checks what concerns two keys of the broker, and gives the faults.
func across(value func(name string) Value) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, pair := range [][2]string{
		{"group.min.session.timeout.ms", "group.max.session.timeout.ms"},
		{"group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"},
		{"group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
		{"group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"},
		{"group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
		{"log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"},
	} {
		if lo, hi := value(pair[0]), value(pair[1]); lo.Num > hi.Num {
			fault("%s = %d (%s) is above %s = %d (%s)", pair[0], lo.Num, lo.Source, pair[1], hi.Num, hi.Source)
		}
	}
	batch, request := value("message.max.bytes"), value("socket.request.max.bytes")
	if batch.Num > request.Num {
		fault("message.max.bytes = %d (%s) is above socket.request.max.bytes = %d (%s): such a batch could never arrive",
			batch.Num, batch.Source, request.Num, request.Source)
	}
	file := value("commit.log.file.bytes")
	if batch.Num+64*kib > file.Num {
		fault("message.max.bytes = %d (%s) does not fit a commit-log file: commit.log.file.bytes = %d (%s)",
			batch.Num, batch.Source, file.Num, file.Source)
	}
	return faults
}

// Find gives the definition of a key of the broker, or nil.
func Find(name string) *Def { return find(Defs, name) }

func find(table []Def, name string) *Def {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// Value gives the value of a key of the table; asking for another one is a bug and panics.
func (c *Config) Value(name string) Value {
	v, ok := c.values[name]
	if !ok {
		panic("config: no such key: " + name)
	}
	return v
}

// Int is a number's value.
func (c *Config) Int(name string) int { return int(c.Value(name).Num) }

// Long is a number's value.
func (c *Config) Long(name string) int64 { return c.Value(name).Num }

// Bool is a switch's value.
func (c *Config) Bool(name string) bool { return c.Value(name).On }

// Listener is the one endpoint to listen on.
func (c *Config) Listener() Endpoint {
	e, fault := ParseEndpoint(c.Value("listeners").Items[0])
	if fault != "" {
		panic("config: listeners passed its check and does not parse: " + fault) // C2
	}
	return e
}

// HTTP is the endpoint for health and metrics, where there is to be one. chosen says that somebody has set it.
func (c *Config) HTTP() (e Endpoint, on, chosen bool) {
	v := c.Value("http.listeners")
	if len(v.Items) == 0 {
		return e, false, false
	}
	e, _ = ParseEndpoint(v.Items[0])
	return e, true, v.Source != Default
}

// Advertised is the endpoint that clients are told, where one is set.
func (c *Config) Advertised() (e Endpoint, ok bool) {
	items := c.Value("advertised.listeners").Items
	if len(items) == 0 {
		return e, false
	}
	e, _ = ParseEndpoint(items[0])
	return e, true
}

// DataDir is the one data directory, "" when none was given.
func (c *Config) DataDir() string {
	if items := c.Value("log.dirs").Items; len(items) > 0 {
		return items[0]
	}
	return ""
}
