package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// size is a column of the guide's targets.
type size struct{ Title, record string }

var sizes = []size{{"small, 100 B", "100B"}, {"medium, 1 KiB", "1KiB"}, {"large, 10 KiB", "10KiB"}}

// target is one of the guide's. SIZE in its benchmark stands for the record size.
type target struct {
	what, bench, unit string
	limit             float64
	atLeast           bool    // the value has to be above the limit, else below
	scale             float64 // from the unit of the benchmark to that of the limit
	shown             string  // unit of the limit
}

const (
	endToEnd  = "E2E_Latency/durability=fsync/record=SIZE/rate=10000/partitions=4"
	producing = "Producer_Throughput/client=franz-go/durability=fsync/record=SIZE/codec=none/partitions=10"
	consuming = "Consumer_Throughput/client=franz-go/durability=fsync/record=SIZE/codec=none/partitions=10"
)

var targets = []target{
	{"end-to-end latency p50", endToEnd, "p50-us", 5, false, 1e-3, "ms"},
	{"end-to-end latency p95", endToEnd, "p95-us", 20, false, 1e-3, "ms"},
	{"end-to-end latency p99", endToEnd, "p99-us", 50, false, 1e-3, "ms"},
	{"end-to-end latency p99.9", endToEnd, "p99.9-us", 100, false, 1e-3, "ms"},
	{"one producer", producing, "records/s", 10_000, true, 1, "msgs/s"},
	{"one consumer", consuming, "records/s", 10_000, true, 1, "msgs/s"},
	{"broker's CPU at 10,000 msgs/s", endToEnd, "cores", 1, false, 1, "cores"},
	{"broker's memory at 10,000 msgs/s, at its peak", endToEnd, "peak-RSS-MiB", 500, false, 1.048576, "MB"},
	{"network overhead, producing", producing, "overhead-%", 10, false, 1, "%"},
	{"network overhead, consuming", consuming, "overhead-%", 10, false, 1, "%"},
}

// measured gives the target's value for a size.
func (t *target) measured(s set, z size) (float64, bool) {
	r, ok := s.find(strings.ReplaceAll(t.bench, "SIZE", z.record))
	v, has := r.values[t.unit]
	return v * t.scale, ok && has
}

// asked is the limit in words.
func (t *target) asked() string {
	sign := "<"
	if t.atLeast {
		sign = ">"
	}
	return fmt.Sprintf(" %s %g %s", sign, t.limit, t.shown)
}

func (t *target) met(v float64) bool {
	if t.atLeast {
		return v > t.limit
	}
	return v < t.limit
}

// document gives BENCHMARKS.md and the plots it shows, by file name, from the newest results.
func document(s set) map[string][]byte {
	d := &doc{files: map[string][]byte{}}
	d.line("# Benchmarks on record")
	d.line("")
	d.line("Made by `make docs` from `bench/results`, the newest run of each name; do not edit. [BENCHMARKING.md](BENCHMARKING.md) says how to measure.")
	d.line("")
	d.line("Compare ratios, not figures: each line was measured beside a limit of the same run, and figures of a shared machine change from minute to minute. Broker, clients and whatever else the machine did shared its cores.")
	d.runs(s)
	d.targets(s)
	d.limits(s)
	d.peers(s)
	d.everything(s)
	d.files["BENCHMARKS.md"] = []byte(d.b.String())
	return d.files
}

type doc struct {
	b     strings.Builder
	files map[string][]byte
}

func (d *doc) line(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// plot writes a plot beside the document and shows it.
func (d *doc) plot(name string, p plot) {
	if svg := p.svg(); svg != "" {
		d.files["benchmarks-"+name+".svg"] = []byte(svg)
		d.line("")
		d.line("![%s](benchmarks-%s.svg)", p.title, name)
	}
}

// runs lists where the results come from.
func (d *doc) runs(s set) {
	d.line("")
	d.line("| run | commit | machine | file system | Go | load when it began |")
	d.line("|---|---|---|---|---|---|")
	seen := map[string]bool{}
	for _, r := range slices.SortedFunc(slices.Values(s), func(a, b result) int { return cmp.Compare(a.file, b.file) }) {
		if seen[r.file] {
			continue
		}
		seen[r.file] = true
		c := r.config
		d.line("| [%s](../bench/results/%s) | %s | %s, %s cores, %s, %s | %s | %s | %s |", strings.TrimSuffix(r.file, ".txt"), r.file, c["commit"], c["processor"], c["cores"], c["memory"], c["kernel"], c["filesystem"], c["go"], c["load"])
	}
}

// targets is the guide's table. What was not measured says so.
func (d *doc) targets(s set) {
	d.line("")
	d.line("## The guide's targets")
	d.line("")
	d.line("Every acknowledged record is on the disk (`durability=fsync`). Latency is from the time a record was due, at 10,000 records/s, until a consumer had it.")
	d.line("")
	d.line("| target | %s | %s | %s |", sizes[0].Title, sizes[1].Title, sizes[2].Title)
	d.line("|---|---|---|---|")
	for _, t := range targets {
		row := fmt.Sprintf("| %s%s |", t.what, t.asked())
		for _, z := range sizes {
			v, ok := t.measured(s, z)
			switch {
			case !ok:
				row += " not measured |"
			case t.met(v):
				row += fmt.Sprintf(" %s |", number(v))
			default:
				row += fmt.Sprintf(" **%s, missed** |", number(v))
			}
		}
		d.line("%s", row)
	}
	latency := plot{title: "End-to-end latency at 10,000 records/s, and the targets", unit: "ms"}
	rates := plot{title: "One client, and the target of 10,000", unit: "records/s"}
	for _, z := range sizes {
		for _, t := range targets {
			if v, ok := t.measured(s, z); ok && t.shown == "ms" {
				latency.bars = append(latency.bars, bar{label: z.Title + ", " + strings.TrimPrefix(t.what, "end-to-end latency "), value: v, mark: t.limit})
			} else if ok && t.shown == "msgs/s" {
				rates.bars = append(rates.bars, bar{label: t.what + ", " + z.Title, value: v, mark: t.limit})
			}
		}
	}
	d.plot("latency", latency)
	d.plot("clients", rates)
}

// limits are the ratios to what the machine gave bare programs in the same rounds.
func (d *doc) limits(s set) {
	d.line("")
	d.line("## Beside the limits of the same run")
	d.line("")
	d.line("Bars are medians of ratios, whiskers their extremes over the rounds: `x-device` to a program that only writes and flushes, `x-bare-group` to one with a group commit and nothing else, `x-bare-append` and `x-bare-reads` to bare writes to and reads from files, `x-sink` to one that reads frames off the network, writes and flushes them, `x-sendfile` to one that only sends. 1 is that program's throughput. Lines of a whole client (franz-go) have its own work on the same cores in them, compression above all.")
	for _, l := range []struct{ name, title, family string }{
		{"storage-write", "Appends", "Storage_Write"}, {"storage-read", "Cold reads", "Storage_Sequential Storage_Random"},
		{"producers", "Producers", "Producer_Throughput Producer_Send Producer_SendBatch Concurrent_Producers"},
		{"consumers", "Consumers", "Consumer_Throughput Consumer_Receive Concurrent_Consumers"},
	} {
		p := plot{title: l.title + ", throughput over that of a bare program", unit: "ratio", line: 1}
		for _, family := range strings.Fields(l.family) {
			for _, r := range s.under(family) {
				for _, unit := range []string{"x-device", "x-bare-group", "x-bare-append", "x-bare-reads", "x-sink", "x-sendfile"} {
					if v, ok := r.values[unit]; ok {
						p.bars = append(p.bars, bar{label: short(family, r.tail()) + " " + unit, value: v, lo: r.values[unit+":min"], hi: r.values[unit+":max"]})
					}
				}
			}
		}
		d.plot(l.name, p)
	}
}

// short leaves out of a label what all have.
func short(family, tail string) string {
	_, family, _ = strings.Cut(family, "_")
	tail = strings.NewReplacer("durability=fsync/", "", "durability=", "", "codec=none/", "", "partitions=", "p=", "client=", "").Replace(tail)
	return family + " " + tail
}

// peers are the other brokers, beside StreamBus in the same run.
func (d *doc) peers(s set) {
	peers := s.under("Peer")
	slices.SortStableFunc(peers, func(a, b result) int {
		i, _ := measure(a)
		j, _ := measure(b)
		return cmp.Compare(i, j)
	})
	d.line("")
	d.line("## Other brokers, in the same run")
	d.line("")
	if len(peers) == 0 {
		d.line("None on record yet: `make benchmark-peers RECORD=1`.")
		return
	}
	d.line("`make benchmark-peers`: the same disk, payloads and programs, rounds in turn; the results' own file prints the settings. Each ratio is StreamBus over the peer within a round, the median with its extremes. **Bold: StreamBus loses.** CPU is the broker's, for a million records; latencies are at 2,000 records/s, from the time a record was due. [What to bear in mind of a run](../bench/results/README.md).")
	ratios := plot{title: "How many times better StreamBus is than a peer that promises as much; below 1 it loses", unit: "ratio", line: 1}
	for _, like := range []bool{true, false} {
		d.line("")
		if like {
			d.line("Against a peer that promises as much: both flush before they acknowledge (`kafka-flush`, `nats-sync`), or neither does.")
		} else {
			d.line("StreamBus flushes and the peer does not, which loses acknowledged records in a power cut:")
		}
		d.line("")
		d.line("| | measured by | peer | StreamBus | its figure | the peer's | StreamBus / peer | better is |")
		d.line("|---|---|---|---|---|---|---|---|")
		for _, r := range peers {
			if promisesAlike(r) == like {
				d.peer(r)
			}
		}
	}
	for _, r := range peers {
		if b, ok := likeForLike(r); ok {
			ratios.bars = append(ratios.bars, b)
		}
	}
	d.plot("peers", ratios)
}

// peerMeasures are what bench/peers measures, in the order of the tables.
var peerMeasures = []struct{ name, title string }{
	{"produce-MB_s", "produced, MB/s"}, {"produce-MiB_s", "produced, MiB/s"}, {"consume-MB_s", "consumed, MB/s"}, {"consume-MiB_s", "consumed, MiB/s"},
	{"ack-p50-us", "acknowledged p50, µs"}, {"ack-p99-us", "acknowledged p99, µs"}, {"e2e-p50-us", "received p50, µs"}, {"e2e-p99-us", "received p99, µs"},
	{"produce-CPU-s_Mrecord", "CPU of producing, s"}, {"consume-CPU-s_Mrecord", "CPU of consuming, s"}, {"rate-CPU-s_Mrecord", "CPU at 2,000 records/s, s"},
	{"idle-CPU-pct", "idle CPU, %"}, {"RSS-MiB", "memory (RSS), MiB"}, {"start-s", "start, s"},
}

// measure gives the place and the words of a result's measure; one that is not known comes last, by its name.
func measure(r result) (place int, title string) {
	name := part(r.name, "measure")
	for i, m := range peerMeasures {
		if m.name == name {
			return i, m.title
		}
	}
	return len(peerMeasures), name
}

// peer is a row of the table.
func (d *doc) peer(r result) {
	_, title := measure(r)
	x := r.values["x-peer"]
	cell := fmt.Sprintf("%.3g (%.3g to %.3g)", x, r.values["x-peer:min"], r.values["x-peer:max"])
	better := part(r.name, "better")
	if x > 1 != (better == "more") {
		cell = "**" + cell + "**"
	}
	by := part(r.name, "driver")
	switch {
	case by == "all":
		by = ""
	case by == "client" && strings.HasPrefix(part(r.name, "peer"), "nats"):
		by = "franz-go, nats.go"
	case by == "client":
		by = "franz-go"
	}
	d.line("| %s | %s | %s | %s | %s | %s | %s | %s |", title, by, part(r.name, "peer"), part(r.name, "streambus"), number(r.values["streambus"]), number(r.values["peer"]), cell, better)
}

// promisesAlike says whether the peer flushes before it acknowledges if StreamBus does, and only then.
func promisesAlike(r result) bool {
	peer := part(r.name, "peer")
	flushes := strings.HasSuffix(peer, "-flush") || strings.HasSuffix(peer, "-sync")
	return flushes == (part(r.name, "streambus") == "fsync")
}

// likeForLike is a bar for a peer that promises as much, turned so that more is better.
func likeForLike(r result) (bar, bool) {
	if !promisesAlike(r) || part(r.name, "driver") == "loadscript" {
		return bar{}, false
	}
	_, title := measure(r)
	if i := strings.LastIndex(title, ", "); i >= 0 {
		title = title[:i] // a ratio has no unit
	}
	b := bar{label: title + ", " + part(r.name, "peer"), value: r.values["x-peer"], lo: r.values["x-peer:min"], hi: r.values["x-peer:max"]}
	if strings.HasPrefix(part(r.name, "driver"), "kafka") {
		b.label += ", by Kafka's tool"
	}
	if part(r.name, "better") == "less" {
		b.value, b.lo, b.hi = inverse(b.value), inverse(b.hi), inverse(b.lo)
	}
	return b, true
}

func inverse(x float64) float64 {
	if x == 0 {
		return 0
	}
	return 1 / x
}

// part gives the value of key=value in a name.
func part(name, key string) string {
	for p := range strings.SplitSeq(name, "/") {
		if v, ok := strings.CutPrefix(p, key+"="); ok {
			return v
		}
	}
	return ""
}

// everything is a table for each family, of its main units.
func (d *doc) everything(s set) {
	d.line("")
	d.line("## All results")
	for _, family := range s.families() {
		if family == "Peer" {
			continue
		}
		rows := s.under(family)
		units := mainUnits(rows)
		d.line("")
		d.line("### %s", family)
		d.line("")
		d.line("| | %s |", strings.Join(units, " | "))
		d.line("|---|%s", strings.Repeat("---|", len(units)))
		for _, r := range rows {
			row := "| " + r.title() + " |"
			for _, u := range units {
				if v, ok := r.values[u]; ok {
					row += " " + number(v) + " |"
				} else {
					row += " |"
				}
			}
			d.line("%s", row)
		}
	}
}

// mainUnits are those that say most: the leading ones and the ratios, without their extremes; time for an op only where no rate says it better.
func mainUnits(rows set) (out []string) {
	units := rows.units()
	for _, u := range units {
		if u == "ns/op" && slices.ContainsFunc(units, saysMoreThanTime) {
			continue
		}
		if slices.Contains(leading, u) || strings.HasPrefix(u, "x-") && !strings.Contains(u, ":") {
			out = append(out, u)
		}
	}
	return out
}
