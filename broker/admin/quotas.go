package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Entity is whom a quota is for: the name for each of the types user, client-id and ip that it has. The empty name is the default: all
// that have no quota of their own. Kafka knows a user, a client id, both, or an address. As a filter it chooses the entities that have
// all its parts; the empty Entity chooses all.
type Entity map[string]string

// EntityTypes are the types of an entity's parts.
var EntityTypes = []string{"user", "client-id", "ip"}

// String is the entity as rows show it: client-id=<default>,user=alice.
func (e Entity) String() string {
	parts := make([]string, 0, len(e))
	for _, kind := range slices.Sorted(maps.Keys(e)) {
		parts = append(parts, kind+"="+cmp.Or(e[kind], "<default>"))
	}
	return strings.Join(parts, ",")
}

// The quotas that there are (KIP-13, KIP-124, KIP-599, KIP-612).
const (
	producerByteRate       = "producer_byte_rate"
	consumerByteRate       = "consumer_byte_rate"
	requestPercentage      = "request_percentage"
	controllerMutationRate = "controller_mutation_rate"
	connectionCreationRate = "connection_creation_rate"
)

// QuotaKeys lists the quotas that an entity may have. The slice is the caller's.
func QuotaKeys(of Entity) []string {
	if _, address := of["ip"]; address {
		return []string{connectionCreationRate}
	}
	return []string{producerByteRate, consumerByteRate, requestPercentage, controllerMutationRate}
}

// CheckQuotaKey says whether an entity may have a quota, and if not, which it may have.
func CheckQuotaKey(of Entity, key string) error {
	if keys := QuotaKeys(of); !slices.Contains(keys, key) {
		return fmt.Errorf("%q is no quota of %s; it may have %s", key, of, strings.Join(keys, ", "))
	}
	return nil
}

var quantity = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([A-Za-z%]*)$`)

// byteUnits are what bytes may be counted in.
var byteUnits = map[string]float64{
	"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// ParseQuota reads the value of a quota: bytes a second with a unit or none (10MB is 10,000,000, 10MiB is 10,485,760), percent of one
// processor with or without %, or a number a second.
func ParseQuota(key, text string) (float64, error) {
	units, like := map[string]float64{"": 1}, "a number a second, as in 20"
	switch key {
	case producerByteRate, consumerByteRate:
		units, like = byteUnits, "bytes a second, as in 10000000, 10MB (which is the same) or 10MiB (10485760); there are kB, MB, GB, KiB, MiB and GiB"
	case requestPercentage:
		units, like = map[string]float64{"": 1, "%": 1}, "percent of one processor, as in 50 or 50%"
	}
	m := quantity.FindStringSubmatch(text)
	if m == nil || units[m[2]] == 0 {
		return 0, fmt.Errorf("%s=%s: it must be %s", key, text, like)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%s=%s: it is too large", key, text)
	}
	if unit := units[m[2]]; unit > 1 {
		v = math.Round(v * unit)
	}
	return v, nil
}

// Quota is one limit of an entity.
type Quota struct {
	Entity string  `json:"entity"` // user=alice,client-id=<default>
	Key    string  `json:"key"`
	Value  float64 `json:"value"`
}

// Quotas lists the limits that were set, of the entities that a filter chooses.
func (c *Client) Quotas(ctx context.Context, filter Entity) ([]Quota, error) {
	ctx, done := c.within(ctx)
	defer done()
	return c.quotas(ctx, filter, false)
}

// quotas lists limits: of all that have the parts of an entity, or strict, of it alone.
func (c *Client) quotas(ctx context.Context, of Entity, strict bool) ([]Quota, error) {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = strict
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		one := kmsg.NewDescribeClientQuotasRequestComponent()
		one.EntityType, one.MatchType = kind, kmsg.QuotasMatchTypeDefault
		if name := of[kind]; name != "" {
			one.MatchType, one.Match = kmsg.QuotasMatchTypeExact, &name
		}
		req.Components = append(req.Components, one)
	}
	resp, err := call[*kmsg.DescribeClientQuotasResponse](ctx, c, "list quotas", req)
	if err != nil {
		return nil, err
	}
	if err := c.refusal("list quotas", resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	rows := []Quota{}
	for _, entry := range resp.Entries {
		e := Entity{}
		for _, p := range entry.Entity {
			e[p.Type] = deref(p.Name, "")
		}
		for _, v := range entry.Values {
			rows = append(rows, Quota{e.String(), v.Key, v.Value})
		}
	}
	slices.SortFunc(rows, func(a, b Quota) int {
		return cmp.Or(strings.Compare(a.Entity, b.Entity), strings.Compare(a.Key, b.Key))
	})
	return rows, nil
}

// AlteredQuota is what was done to one quota.
type AlteredQuota struct {
	Entity string  `json:"entity"`
	Key    string  `json:"key"`
	Value  float64 `json:"value"` // that was set; of one removed, what it was, -1 where there was none
	Done   string  `json:"done"`  // set, removed, not_set (there was none to remove); could_be_… where it was only asked
}

// AlterQuotas sets and removes quotas of an entity, all or none. DryRun only asks whether it could be. To remove what there is not is no
// error, but told: whoever mistypes a name shall not believe that something was removed.
func (c *Client) AlterQuotas(ctx context.Context, of Entity, set map[string]float64, remove []string, dryRun bool) ([]AlteredQuota, error) {
	ctx, done := c.within(ctx)
	defer done()
	was := map[string]float64{}
	if len(remove) > 0 {
		all, err := c.quotas(ctx, of, true)
		if err != nil {
			return nil, err
		}
		for _, q := range all {
			was[q.Key] = q.Value
		}
	}
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.ValidateOnly = dryRun
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		part := kmsg.NewAlterClientQuotasRequestEntryEntity()
		part.Type, part.Name = kind, optional(of[kind])
		entry.Entity = append(entry.Entity, part)
	}
	rows := []AlteredQuota{}
	add := func(key string, v float64, remove bool, what string) {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Remove = key, remove
		if !remove {
			op.Value = v
		}
		entry.Ops = append(entry.Ops, op)
		if dryRun && what != "not_set" {
			what = "could_be_" + what
		}
		rows = append(rows, AlteredQuota{of.String(), key, v, what})
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		add(key, set[key], false, "set")
	}
	for _, key := range slices.Compact(slices.Sorted(slices.Values(remove))) { // Kafka refuses one that is named twice
		if v, ok := was[key]; ok {
			add(key, v, true, "removed")
		} else {
			add(key, -1, true, "not_set")
		}
	}
	req.Entries = append(req.Entries, entry)
	what := "quotas of " + of.String()
	resp, err := call[*kmsg.AlterClientQuotasResponse](ctx, c, what, req)
	if err != nil {
		return nil, err
	}
	for _, e := range resp.Entries {
		if err := c.refusal(what, e.ErrorCode, e.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
