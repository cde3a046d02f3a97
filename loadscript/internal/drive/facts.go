package drive

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// maxBrokerSettings bounds what is kept of a cluster's configuration.
const maxBrokerSettings = 300

// brokerConfig is what somebody set on the brokers: not the defaults, no secrets, and once what all brokers have alike. Nil where
// the cluster does not tell, as one that lets only administrators ask: a run is no less valid for it.
func brokerConfig(ctx context.Context, admin *kadm.Client, ids []int32) []report.BrokerSetting {
	described, err := admin.DescribeBrokerConfigs(ctx, ids...)
	if err != nil {
		return nil
	}
	type setting struct{ name, value string }
	brokers := map[setting][]string{}
	for _, r := range described {
		for _, c := range r.Configs {
			if r.Err != nil || c.Sensitive || c.Value == nil || *c.Value == "" || c.Source == kmsg.ConfigSourceDefaultConfig || secret(c.Key) {
				continue
			}
			s := setting{c.Key, *c.Value}
			brokers[s] = append(brokers[s], r.Name)
		}
	}
	var out []report.BrokerSetting
	for s, names := range brokers {
		if len(names) == len(described) {
			out = append(out, report.BrokerSetting{Name: s.name, Value: s.value, Broker: -1})
			continue
		}
		for _, id := range ids {
			if slices.Contains(names, strconv.Itoa(int(id))) {
				out = append(out, report.BrokerSetting{Name: s.name, Value: s.value, Broker: id})
			}
		}
	}
	slices.SortFunc(out, func(a, b report.BrokerSetting) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Broker, b.Broker))
	})
	return out[:min(len(out), maxBrokerSettings)]
}

// secret says whether a setting's name sounds as if its value were one, for brokers that do not mark them.
func secret(name string) bool {
	for _, word := range []string{"password", "secret", "jaas", "credential", "private", "token"} {
		if strings.Contains(strings.ToLower(name), word) {
			return true
		}
	}
	return false
}
