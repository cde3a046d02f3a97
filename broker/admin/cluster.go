package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Broker is one broker of a cluster.
type Broker struct {
	Cluster    string `json:"cluster"`
	ID         int32  `json:"id"`
	Host       string `json:"host"`
	Port       int32  `json:"port"`
	Rack       string `json:"rack"`
	Controller bool   `json:"controller"`
}

// Brokers lists the brokers.
func (c *Client) Brokers(ctx context.Context) ([]Broker, error) {
	ctx, done := c.within(ctx)
	defer done()
	m, err := c.kadm.BrokerMetadata(ctx)
	if err != nil {
		return nil, c.explain("describe the cluster", err)
	}
	rows := []Broker{}
	for _, b := range m.Brokers {
		rows = append(rows, Broker{m.Cluster, b.NodeID, b.Host, b.Port, deref(b.Rack, ""), b.NodeID == m.Controller})
	}
	slices.SortFunc(rows, func(a, b Broker) int { return int(a.ID) - int(b.ID) })
	return rows, nil
}

// Feature is a feature of a cluster (KIP-584): what it is at, and what the broker that was asked could do. -1: not at all.
type Feature struct {
	Feature   string `json:"feature"`
	Finalized int16  `json:"finalized"`
	Min       int16  `json:"min"`
	Max       int16  `json:"max"`
}

// Features lists the features.
func (c *Client) Features(ctx context.Context) ([]Feature, error) {
	all, err := c.versions(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string]*Feature{}
	of := func(name string) *Feature {
		if by[name] == nil {
			by[name] = &Feature{name, -1, -1, -1}
		}
		return by[name]
	}
	for _, v := range all {
		raw := v.Raw()
		if v.Err != nil || raw == nil {
			continue
		}
		for _, f := range raw.SupportedFeatures {
			one := of(f.Name)
			one.Min, one.Max = f.MinVersion, f.MaxVersion
		}
		for _, f := range raw.FinalizedFeatures {
			of(f.Name).Finalized = f.MaxVersionLevel
		}
	}
	rows := []Feature{}
	for _, f := range by {
		rows = append(rows, *f)
	}
	slices.SortFunc(rows, func(a, b Feature) int { return strings.Compare(a.Feature, b.Feature) })
	return rows, nil
}

// API is what a broker says of one API key.
type API struct {
	Broker int32  `json:"broker"`
	Key    int16  `json:"key"`
	Name   string `json:"name"`
	Min    int16  `json:"min"`
	Max    int16  `json:"max"`
}

// APIs lists what the brokers serve.
func (c *Client) APIs(ctx context.Context) ([]API, error) {
	all, err := c.versions(ctx)
	if err != nil {
		return nil, err
	}
	rows, errs := []API{}, []error{}
	for _, v := range all {
		if v.Err != nil {
			errs = append(errs, c.explain(fmt.Sprintf("versions of broker %d", v.NodeID), v.Err))
			continue
		}
		v.EachKeySorted(func(key, lo, hi int16) {
			name := strings.ReplaceAll(kmsg.NameForKey(key), " ", "")
			rows = append(rows, API{v.NodeID, key, name, lo, hi})
		})
	}
	return rows, errors.Join(errs...)
}

func (c *Client) versions(ctx context.Context) ([]kadm.BrokerApiVersions, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.ApiVersions(ctx)
	if err != nil {
		return nil, c.explain("API versions", err)
	}
	return all.Sorted(), nil
}

// LogDir is a data directory of a broker.
type LogDir struct {
	Broker     int32  `json:"broker"`
	Dir        string `json:"dir"`
	Partitions int    `json:"partitions"`
	Bytes      int64  `json:"bytes"`  // of the partitions
	Total      int64  `json:"total"`  // of the file system
	Usable     int64  `json:"usable"` // of the file system
}

// LogDirs lists the data directories.
func (c *Client) LogDirs(ctx context.Context) ([]LogDir, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, c.explain("describe data directories", err)
	}
	rows, errs := []LogDir{}, []error{}
	for _, d := range all.Sorted() {
		if d.Err != nil {
			errs = append(errs, c.explain(fmt.Sprintf("directory %s of broker %d", d.Dir, d.Broker), d.Err))
			continue
		}
		row := LogDir{Broker: d.Broker, Dir: d.Dir, Total: d.TotalBytes, Usable: d.UsableBytes}
		for _, p := range d.Topics.Sorted() {
			row.Partitions++
			row.Bytes += p.Size
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(errs...)
}
