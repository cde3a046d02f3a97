package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// View is the broker's settings at one moment: what was set over the wire lies above what was set at the start. It does not change.
type View struct {
	static  *Config
	broker  map[string]Value // for this broker
	cluster map[string]Value // for all brokers
}

// Sources of values that were set over the wire.
const (
	dynamicBroker  = "set for this broker"
	dynamicCluster = "set for all brokers"
)

// Value gives the value that counts; asking for a key that is not in the table is a bug and panics.
func (v *View) Value(name string) Value {
	if x, ok := v.broker[name]; ok {
		return x
	}
	if x, ok := v.cluster[name]; ok {
		return x
	}
	return v.static.Value(name)
}

// Int is a number's value.
func (v *View) Int(name string) int { return int(v.Value(name).Num) }

// Long is a number's value.
func (v *View) Long(name string) int64 { return v.Value(name).Num }

// Bool is a switch's value.
func (v *View) Bool(name string) bool { return v.Value(name).On }

// Live is the broker's settings as they are now. Its methods may be called by any goroutine.
type Live struct {
	view atomic.Pointer[View]

	mu      sync.Mutex // held while watchers are told, so that they are told in order
	watches map[*watch]struct{}
}

type watch struct{ f func(*View) }

// NewLive begins with what was set at the start.
func NewLive(c *Config) *Live {
	l := &Live{watches: map[*watch]struct{}{}}
	l.view.Store(&View{static: c})
	return l
}

// View is the settings as they are now.
func (l *Live) View() *View { return l.view.Load() }

// Watch has f called with the settings that there are, at once, and with each later View, until cancel is called. Calls come one
// at a time; f must not call Watch, cancel or Set.
func (l *Live) Watch(f func(*View)) (cancel func()) {
	w := &watch{f}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches[w] = struct{}{}
	f(l.View())
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watches, w)
	}
}

// Set replaces all that was set over the wire, for this broker and for all. What this program does not take (another version
// wrote it) does not count, and is named in passedOver.
func (l *Live) Set(broker, cluster map[string]string) (passedOver []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &View{static: l.View().static}
	v.broker, passedOver = parseAll(broker, dynamicBroker, nil)
	v.cluster, passedOver = parseAll(cluster, dynamicCluster, passedOver)
	l.view.Store(v)
	for w := range l.watches {
		w.f(v)
	}
	return passedOver
}

func parseAll(given map[string]string, source string, passedOver []string) (map[string]Value, []string) {
	out := make(map[string]Value, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		d := Find(name)
		if d == nil || !d.Dynamic {
			passedOver = append(passedOver, name+": it cannot be set while the broker runs")
			continue
		}
		v, fault := d.parse(given[name], source)
		if fault != "" {
			passedOver = append(passedOver, fmt.Sprintf("%s = %q: %s", name, d.shown(given[name]), fault))
			continue
		}
		out[name] = v
	}
	return out, passedOver
}

// CheckBroker says what is wrong with settings that are to be set over the wire, for this broker and for all; "" when nothing is.
func (v *View) CheckBroker(broker, cluster map[string]string) (fault string) {
	next := &View{static: v.static}
	var faults []string
	next.broker, faults = parseAll(broker, dynamicBroker, nil)
	next.cluster, faults = parseAll(cluster, dynamicCluster, faults)
	return strings.Join(append(faults, across(next.Value)...), "; ")
}

// Topic gives a topic's value of a key of TopicDefs, when set are the settings of its own; another key is a bug and panics. A
// setting that is not taken (another version wrote it) does not count.
func (v *View) Topic(set map[string]string, name string) Value { return v.of(TopicDefs, set, name) }

// Group is Topic for GroupDefs.
func (v *View) Group(set map[string]string, name string) Value { return v.of(GroupDefs, set, name) }

func (v *View) of(table []Def, set map[string]string, name string) Value {
	d := find(table, name)
	if d == nil {
		panic("config: no such key: " + name)
	}
	if raw, ok := set[name]; ok {
		if x, fault := d.parse(raw, "set"); fault == "" {
			return x
		}
	}
	if d.Broker != "" {
		return v.Value(d.Broker)
	}
	x, _ := d.parse(d.Default, Default)
	return x
}

// CheckTopic says what is wrong with the settings of a topic; "" when nothing is.
func (v *View) CheckTopic(set map[string]string) (fault string) {
	if fault = checkAll(TopicDefs, set); fault != "" {
		return fault
	}
	if lo, hi := v.Topic(set, "min.compaction.lag.ms").Num, v.Topic(set, "max.compaction.lag.ms").Num; lo > hi {
		return fmt.Sprintf("min.compaction.lag.ms = %d is above max.compaction.lag.ms = %d", lo, hi)
	}
	if n, file := v.Topic(set, "max.message.bytes").Num, v.Long("commit.log.file.bytes"); set["max.message.bytes"] != "" && n+64*kib > file {
		return fmt.Sprintf("max.message.bytes = %d does not fit a commit-log file: the broker's commit.log.file.bytes = %d", n, file)
	}
	return ""
}

// CheckGroup says what is wrong with the settings of a group; "" when nothing is.
func (v *View) CheckGroup(set map[string]string) (fault string) {
	if fault = checkAll(GroupDefs, set); fault != "" {
		return fault
	}
	for name, limits := range map[string][2]string{
		"consumer.heartbeat.interval.ms": {"group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
		"consumer.session.timeout.ms":    {"group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	} {
		n, lo, hi := v.Group(set, name).Num, v.Long(limits[0]), v.Long(limits[1])
		if _, given := set[name]; given && (n < lo || n > hi) {
			return fmt.Sprintf("%s = %d: it must be from %d (%s) to %d (%s)", name, n, lo, limits[0], hi, limits[1])
		}
	}
	return ""
}

// checkAll holds settings against a table, in the order of their names.
func checkAll(table []Def, set map[string]string) (fault string) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d := find(table, name)
		if d == nil {
			return "unknown setting " + name
		}
		if _, fault := d.parse(set[name], ""); fault != "" {
			return fmt.Sprintf("%s = %q: %s", name, d.shown(set[name]), fault)
		}
	}
	return ""
}
