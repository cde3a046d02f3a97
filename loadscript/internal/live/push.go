package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
)

// pushEvery is how often a Pusher sends, pushLimit how long a request may take.
const (
	pushEvery = 5 * time.Second
	pushLimit = 5 * time.Second
)

// Pusher sends the state to a remote-write endpoint (Prometheus remote write 1.0) every 5 s. What fails is not sent again: the
// counters of the next time hold it. Close sends the last state and returns what went wrong, if no request came through since.
type Pusher struct {
	url      string
	registry *prometheus.Registry
	client   *http.Client
	instance string
	stop     context.CancelFunc
	wg       sync.WaitGroup

	err    error // of the last request; owned by the goroutine until it has ended
	failed int   // requests
	sent   int
}

// NewPusher starts sending. report is told of the first failure; it is called from another goroutine.
func NewPusher(endpoint string, m *Metrics, report func(error)) (*Pusher, error) {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL of a remote-write endpoint: write http://prometheus:9090/api/v1/write", endpoint)
	}
	p := &Pusher{url: endpoint, registry: prometheus.NewRegistry(), client: &http.Client{Timeout: pushLimit, Transport: &http.Transport{}}}
	p.registry.MustRegister(m)
	p.instance, _ = os.Hostname() // an empty label is no label
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pushEvery):
			}
			if p.push(ctx); p.err != nil && p.failed == 1 {
				report(p.err)
			}
		}
	})
	return p, nil
}

// Close sends the last state.
func (p *Pusher) Close() error {
	p.stop()
	p.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), pushLimit)
	defer cancel()
	p.push(ctx)
	p.client.CloseIdleConnections()
	if p.err != nil {
		return fmt.Errorf("live: remote write to %s: %w (%d of %d requests failed)", p.url, p.err, p.failed, p.failed+p.sent)
	}
	return nil
}

func (p *Pusher) push(ctx context.Context) {
	families, err := p.registry.Gather()
	if err == nil {
		err = p.post(ctx, writeRequest(families, p.instance, time.Now()))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return // Close sends what this one would have
	}
	if p.err = err; err != nil {
		p.failed++
	} else {
		p.sent++
	}
}

func (p *Pusher) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	req.Header.Set("User-Agent", "loadscript")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // only to say more about a refusal
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// writeRequest encodes the families as a prometheus.WriteRequest. Its parts, as prompb/remote.proto and types.proto number them:
//
//	WriteRequest  1: TimeSeries*
//	TimeSeries    1: Label*   2: Sample*
//	Label         1: name     2: value        sorted by name
//	Sample        1: double   2: int64 milliseconds since 1970
func writeRequest(families []*dto.MetricFamily, instance string, at time.Time) []byte {
	var out []byte
	add := func(name string, m *dto.Metric, v float64, more ...string) {
		labels := map[string]string{"__name__": name, "job": "loadscript", "instance": instance}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		out = appendBytes(out, 1, timeSeries(labels, v, at))
	}
	for _, f := range families {
		name := f.GetName()
		for _, m := range f.GetMetric() {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				add(name, m, m.GetCounter().GetValue())
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				for _, b := range h.GetBucket() {
					add(name+"_bucket", m, float64(b.GetCumulativeCount()), "le", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
				}
				add(name+"_bucket", m, float64(h.GetSampleCount()), "le", "+Inf")
				add(name+"_sum", m, h.GetSampleSum())
				add(name+"_count", m, float64(h.GetSampleCount()))
			default:
				add(name, m, m.GetGauge().GetValue())
			}
		}
	}
	return out
}

func timeSeries(labels map[string]string, v float64, at time.Time) []byte {
	var series []byte
	for _, name := range slices.SortedFunc(maps.Keys(labels), cmp.Compare[string]) {
		if labels[name] == "" {
			continue // the protocol has no empty labels
		}
		var label []byte
		label = appendBytes(label, 1, []byte(name))
		label = appendBytes(label, 2, []byte(labels[name]))
		series = appendBytes(series, 1, label)
	}
	var sample []byte
	sample = protowire.AppendTag(sample, 1, protowire.Fixed64Type)
	sample = protowire.AppendFixed64(sample, math.Float64bits(v))
	sample = protowire.AppendTag(sample, 2, protowire.VarintType)
	sample = protowire.AppendVarint(sample, uint64(at.UnixMilli()))
	return appendBytes(series, 2, sample)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
