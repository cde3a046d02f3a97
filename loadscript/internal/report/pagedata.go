package report

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// plotData is what page.js draws. Times are seconds, latencies milliseconds, rates per second, sizes bytes; null = not known.
// It travels as JSON, gzip and base64 (URL alphabet): an hour of seconds takes some 300 KB.
type plotData struct {
	Name     string       `json:"name"`
	Warmup   float64      `json:"warmup"`
	End      float64      `json:"end"` // of the last stage
	Reads    bool         `json:"reads"`
	Stages   []span       `json:"stages"`
	Faults   []span       `json:"faults"`
	Marks    []mark       `json:"marks"` // moments: rebalances, leader changes, aborts
	Silences []span       `json:"silences"`
	Hidden   int          `json:"hidden"` // partitions with silences beyond maxLanes
	T        []float64    `json:"t"`
	Series   []namedData  `json:"series"`
	Lags     []namedData  `json:"lags"` // by group
	Brokers  []brokerData `json:"brokers"`
	Curves   []curveData  `json:"curves"`
	Heat     *heatData    `json:"heat"`
	Bucket   float64      `json:"bucket"` // seconds per point, when seconds were put together; else 0
}

type span struct {
	Name string  `json:"name"`
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

type mark struct {
	Name string  `json:"name"`
	At   float64 `json:"at"`
}

type namedData struct {
	Key    string     `json:"key"`
	Values []*float64 `json:"values"`
}

type brokerData struct {
	Name   string      `json:"name"`
	Series []namedData `json:"series"`
}

type curveData struct {
	Metric string     `json:"metric"`
	Stage  string     `json:"stage"`
	X      []float64  `json:"x"`
	Y      []*float64 `json:"y"`
}

// heatData is the heat map: counts[column * rows + row].
type heatData struct {
	Edges  []float64 `json:"edges"`
	Width  float64   `json:"width"`
	Counts []int64   `json:"counts"`
}

// Limits of what a plot can show.
const (
	maxLanes  = 24 // partitions with silences
	maxGroups = 8
	maxNodes  = 8
	maxMarks  = 400
)

func newPlotData(s *Scenario, points int) plotData {
	// Empty lists, not nil ones: nil would be null on the page.
	d := plotData{
		Name: s.Name, Warmup: seconds(s.WarmupNs), Reads: len(s.Config.Consume) > 0,
		Stages: []span{}, Faults: []span{}, Marks: []mark{}, Silences: []span{}, T: []float64{}, Series: []namedData{}, Lags: []namedData{},
		Brokers: []brokerData{}, Curves: []curveData{}, Heat: newHeat(s.Heat),
	}
	for _, st := range s.Stages {
		d.Stages = append(d.Stages, span{st.Name, seconds(st.StartNs), seconds(st.EndNs)})
		d.End = seconds(st.EndNs)
	}
	d.events(s)
	d.silences(s)
	rows, size := squeeze(s.Series, points)
	if size > 1 {
		d.Bucket = float64(size)
	}
	for _, row := range rows {
		d.T = append(d.T, short(seconds(row.TNs), 5))
	}
	for _, c := range plotColumns {
		d.Series = append(d.Series, namedData{c.key, column(rows, c.digits, c.of)})
	}
	d.lags(rows)
	d.brokers(rows)
	d.curves(s)
	return d
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// events sorts what happened into stretches and moments. A fault that is not over lasts to the end.
func (d *plotData) events(s *Scenario) {
	for _, e := range s.Events {
		switch {
		case e.Kind == "fault" && e.Error == "":
			to := e.EndNs
			if to == 0 {
				to = max(e.TNs, int64(d.End*1e9))
			}
			d.Faults = append(d.Faults, span{e.Name, seconds(e.TNs), seconds(to)})
		case e.Kind == "stage" || e.Kind == "phase" || len(d.Marks) >= maxMarks:
		default:
			name := e.Kind + " " + e.Name
			if e.Error != "" {
				name += ": " + e.Error
			}
			d.Marks = append(d.Marks, mark{name, seconds(e.TNs)})
		}
	}
}

// silences keeps the partitions that were silent longest, in order of their names.
func (d *plotData) silences(s *Scenario) {
	type lane struct {
		topic     string
		partition int32
	}
	longest := map[lane]int64{}
	for _, q := range s.Silences {
		l := lane{q.Topic, q.Partition}
		longest[l] = max(longest[l], q.EndNs-q.BeginNs)
	}
	lanes := slices.SortedFunc(maps.Keys(longest), func(a, b lane) int {
		return cmp.Or(cmp.Compare(longest[b], longest[a]), cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	d.Hidden = max(len(lanes)-maxLanes, 0)
	lanes = lanes[:len(lanes)-d.Hidden]
	slices.SortFunc(lanes, func(a, b lane) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for _, l := range lanes {
		for _, q := range s.Silences {
			if q.Topic == l.topic && q.Partition == l.partition {
				d.Silences = append(d.Silences, span{fmt.Sprintf("%s/%d", l.topic, l.partition), seconds(q.BeginNs), seconds(q.EndNs)})
			}
		}
	}
}

func (d *plotData) lags(rows []Second) {
	worst := map[string]int64{}
	for i := range rows {
		for g, n := range rows[i].Lags {
			worst[g] = max(worst[g], n)
		}
	}
	groups := slices.SortedFunc(maps.Keys(worst), func(a, b string) int { return cmp.Or(cmp.Compare(worst[b], worst[a]), cmp.Compare(a, b)) })
	groups = groups[:min(len(groups), maxGroups)]
	slices.Sort(groups)
	for _, g := range groups {
		d.Lags = append(d.Lags, namedData{g, column(rows, 3, func(r *Second) float64 {
			if n, ok := r.Lags[g]; ok {
				return float64(n)
			}
			return -1
		})})
	}
}

// brokerColumns are the series of one broker.
var brokerColumns = []struct {
	key string
	of  func(*Broker) float64
}{
	{"cpu", func(b *Broker) float64 { return b.CPU }},
	{"rss", func(b *Broker) float64 { return float64(b.RSS) }},
	{"read", func(b *Broker) float64 { return b.DiskRead }},
	{"write", func(b *Broker) float64 { return b.DiskWrite }},
	{"in", func(b *Broker) float64 { return b.NetIn }},
	{"out", func(b *Broker) float64 { return b.NetOut }},
}

func (d *plotData) brokers(rows []Second) {
	ids := map[int32]bool{}
	for i := range rows {
		for _, b := range rows[i].Brokers {
			ids[b.ID] = true
		}
	}
	list := slices.Sorted(maps.Keys(ids))
	for _, id := range list[:min(len(list), maxNodes)] {
		bd := brokerData{Name: "broker"}
		if len(list) > 1 {
			bd.Name = fmt.Sprintf("broker %d", id)
		}
		for _, c := range brokerColumns {
			bd.Series = append(bd.Series, namedData{c.key, column(rows, 3, func(r *Second) float64 {
				for i := range r.Brokers {
					if r.Brokers[i].ID == id {
						return c.of(&r.Brokers[i])
					}
				}
				return -1
			})})
		}
		d.Brokers = append(d.Brokers, bd)
	}
}

func (d *plotData) curves(s *Scenario) {
	for _, c := range s.Curves {
		if len(c.Points) == 0 {
			continue
		}
		cd := curveData{Metric: c.Metric, Stage: c.Stage}
		for _, p := range c.Points {
			v := short(float64(p.ValueNs)/1e6, 4)
			cd.X, cd.Y = append(cd.X, short(p.Inverse, 5)), append(cd.Y, &v)
		}
		d.Curves = append(d.Curves, cd)
	}
}

func newHeat(h *Heat) *heatData {
	if h == nil || len(h.EdgesNs) < 2 || len(h.Columns) == 0 {
		return nil
	}
	d := &heatData{Width: seconds(h.WidthNs)}
	for _, e := range h.EdgesNs {
		d.Edges = append(d.Edges, short(float64(e)/1e6, 4))
	}
	rows := len(h.EdgesNs) - 1
	for _, c := range h.Columns {
		for i := range rows {
			n := int64(0)
			if i < len(c) {
				n = c[i]
			}
			d.Counts = append(d.Counts, n)
		}
	}
	return d
}

// column takes one value of each row; a negative one is not known.
func column(rows []Second, digits int, of func(*Second) float64) []*float64 {
	values := make([]*float64, len(rows))
	for i := range rows {
		if v := of(&rows[i]); v >= 0 {
			v = short(v, digits)
			values[i] = &v
		}
	}
	return values
}

// plotColumns are the series of the page; a negative value is one that is not known. digits is what a plot can show of them.
var plotColumns = []struct {
	key    string
	digits int
	of     func(*Second) float64
}{
	{"offered", 4, func(r *Second) float64 { return perSecond(r, r.Offered) }},
	{"acked", 4, func(r *Second) float64 { return perSecond(r, float64(r.Acked)) }},
	{"delivered", 4, func(r *Second) float64 { return perSecond(r, float64(r.Delivered)) }},
	{"errors", 4, func(r *Second) float64 { return perSecond(r, float64(r.Errors)) }},
	{"dropped", 4, func(r *Second) float64 { return perSecond(r, float64(r.Dropped)) }},
	{"inflight", 3, func(r *Second) float64 { return float64(r.InFlight) }},
	{"lag", 3, func(r *Second) float64 { return float64(r.Lag) }},
	{"gencpu", 3, func(r *Second) float64 { return r.GenCPU }},
	{"genrss", 3, func(r *Second) float64 { return known(float64(r.GenRSS)) }},
	{"gcpause", 3, func(r *Second) float64 { return float64(r.GCPauseNs) / 1e6 }},
	{"brokercpu", 3, func(r *Second) float64 { return r.BrokerCPU }},
	{"n", 3, func(r *Second) float64 { return float64(r.Produce.N) }},
	{"p50", 3, func(r *Second) float64 { return ms(r.Produce, r.Produce.P50Ns) }},
	{"p99", 3, func(r *Second) float64 { return ms(r.Produce, r.Produce.P99Ns) }},
	{"p999", 3, func(r *Second) float64 { return ms(r.Produce, r.Produce.P999Ns) }},
	{"max", 3, func(r *Second) float64 { return ms(r.Produce, r.Produce.MaxNs) }},
	{"delay99", 3, func(r *Second) float64 { return ms(r.Delay, r.Delay.P99Ns) }},
	{"en", 3, func(r *Second) float64 { return float64(r.E2E.N) }},
	{"e50", 3, func(r *Second) float64 { return ms(r.E2E, r.E2E.P50Ns) }},
	{"e99", 3, func(r *Second) float64 { return ms(r.E2E, r.E2E.P99Ns) }},
	{"e999", 3, func(r *Second) float64 { return ms(r.E2E, r.E2E.P999Ns) }},
	{"emax", 3, func(r *Second) float64 { return ms(r.E2E, r.E2E.MaxNs) }},
}

// known turns a zero that stands for "not measured" into -1.
func known(v float64) float64 {
	if v == 0 {
		return -1
	}
	return v
}

func perSecond(r *Second, n float64) float64 {
	if r.WidthNs <= 0 {
		return -1
	}
	return n / (float64(r.WidthNs) / 1e9)
}

func ms(q Quantiles, ns int64) float64 {
	if q.N == 0 {
		return -1
	}
	return float64(ns) / 1e6
}

// short keeps so many significant digits.
func short(v float64, digits int) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	// By a power of ten that is exact: dividing by 1e-3 would leave a tail of digits.
	if e := digits - 1 - int(math.Floor(math.Log10(math.Abs(v)))); e >= 0 {
		scale := math.Pow(10, float64(e))
		return math.Round(v*scale) / scale
	} else {
		scale := math.Pow(10, float64(-e))
		return math.Round(v/scale) * scale
	}
}

// squeeze puts neighbouring seconds together until there are at most n points. Counts add up; of percentiles, queues and CPU
// the worst second stands for all: percentiles of several seconds cannot be averaged. The last, short second is dropped when it
// would distort rates.
func squeeze(rows []Second, n int) (out []Second, size int) {
	if k := len(rows); k > 1 && rows[k-1].WidthNs < int64(time.Second)/5 {
		rows = rows[:k-1]
	}
	size = (len(rows) + n - 1) / n
	if size <= 1 {
		return rows, 1
	}
	for i := 0; i < len(rows); i += size {
		sum := rows[i]
		sum.Lags, sum.Brokers = maps.Clone(sum.Lags), slices.Clone(sum.Brokers)
		for j := range rows[i+1 : min(i+size, len(rows))] {
			sum.add(&rows[i+1+j])
		}
		out = append(out, sum)
	}
	return out, size
}

// add puts the next second to this one.
func (r *Second) add(next *Second) {
	r.TNs, r.WidthNs = next.TNs, r.WidthNs+next.WidthNs
	r.Offered += next.Offered
	r.Handed += next.Handed
	r.Acked += next.Acked
	r.Errors += next.Errors
	r.Dropped += next.Dropped
	r.Delivered += next.Delivered
	r.InFlight, r.Lag = max(r.InFlight, next.InFlight), max(r.Lag, next.Lag)
	r.GenCPU, r.BrokerCPU = max(r.GenCPU, next.GenCPU), max(r.BrokerCPU, next.BrokerCPU)
	r.GenRSS, r.GCPauseNs = max(r.GenRSS, next.GenRSS), max(r.GCPauseNs, next.GCPauseNs)
	r.Produce, r.E2E, r.Delay = worst(r.Produce, next.Produce), worst(r.E2E, next.E2E), worst(r.Delay, next.Delay)
	for g, n := range next.Lags {
		if r.Lags == nil {
			r.Lags = map[string]int64{}
		}
		r.Lags[g] = max(r.Lags[g], n)
	}
	for _, b := range next.Brokers {
		i := slices.IndexFunc(r.Brokers, func(have Broker) bool { return have.ID == b.ID })
		if i < 0 {
			r.Brokers = append(r.Brokers, b)
			continue
		}
		have := &r.Brokers[i]
		have.CPU, have.RSS = max(have.CPU, b.CPU), max(have.RSS, b.RSS)
		have.DiskRead, have.DiskWrite = max(have.DiskRead, b.DiskRead), max(have.DiskWrite, b.DiskWrite)
		have.NetIn, have.NetOut = max(have.NetIn, b.NetIn), max(have.NetOut, b.NetOut)
		have.FDs, have.Goroutines = max(have.FDs, b.FDs), max(have.Goroutines, b.Goroutines)
	}
}

// worst takes the larger of each percentile, and the smaller number of samples that stands behind one.
func worst(a, b Quantiles) Quantiles {
	if a.N == 0 || b.N == 0 {
		return Quantiles{a.N + b.N, a.P50Ns + b.P50Ns, a.P90Ns + b.P90Ns, a.P99Ns + b.P99Ns, a.P999Ns + b.P999Ns, a.MaxNs + b.MaxNs}
	}
	return Quantiles{
		min(a.N, b.N), max(a.P50Ns, b.P50Ns), max(a.P90Ns, b.P90Ns), max(a.P99Ns, b.P99Ns), max(a.P999Ns, b.P999Ns), max(a.MaxNs, b.MaxNs),
	}
}

// pack is the data as the page carries it.
func pack(data []plotData) (string, error) {
	var b bytes.Buffer
	zw, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if err := json.NewEncoder(zw).Encode(data); err != nil {
		return "", err
	}
	if err := zw.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes()), nil
}
