package drive

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBrokerConfigIsWhatWasSet(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(2))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		in := req.(*kmsg.DescribeConfigsRequest)
		resp := in.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range in.Resources {
			r := kmsg.NewDescribeConfigsResponseResource()
			r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
			add := func(name, value string, source kmsg.ConfigSource, sensitive bool) {
				e := kmsg.NewDescribeConfigsResponseResourceConfig()
				e.Name, e.Value, e.Source, e.IsSensitive = name, &value, source, sensitive
				r.Configs = append(r.Configs, e)
			}
			add("num.network.threads", "3", kmsg.ConfigSourceDefaultConfig, false)
			add("ssl.keystore.password", "x", kmsg.ConfigSourceStaticBrokerConfig, true)
			add("my.secret", "x", kmsg.ConfigSourceStaticBrokerConfig, false)
			add("log.flush.interval.messages", "1", kmsg.ConfigSourceStaticBrokerConfig, false)
			add("broker.rack", "rack-"+asked.ResourceName, kmsg.ConfigSourceStaticBrokerConfig, false)
			resp.Resources = append(resp.Resources, r)
		}
		return resp, nil, true
	})
	got := brokerConfig(t.Context(), kadm.NewClient(client), []int32{0, 1})
	if len(got) != 3 || got[0].Name != "broker.rack" || got[0].Value != "rack-0" || got[0].Broker != 0 || got[1].Broker != 1 ||
		got[2].Name != "log.flush.interval.messages" || got[2].Value != "1" || got[2].Broker != -1 {
		t.Errorf("%+v", got)
	}
}
