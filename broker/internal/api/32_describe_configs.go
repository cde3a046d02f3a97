package api

import (
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

func describeConfigs(r *request) (listen.Pending, error) {
	var req wire.DescribeConfigsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DescribeConfigsResponse)
	for _, in := range req.Resources {
		out := wire.DescribeConfigsResponseResult{ResourceType: in.ResourceType, ResourceName: in.ResourceName}
		entries, err := r.s.Topics.DescribeConfigs(topics.Resource{Kind: topics.ResourceKind(in.ResourceType), Name: in.ResourceName}, in.ConfigurationKeys)
		out.ErrorCode, out.ErrorMessage = r.s.codeOf(err), message(err)
		for _, e := range entries {
			out.Configs = append(out.Configs, settingOf(e, &req))
		}
		resp.Results = append(resp.Results, out)
	}
	return r.answer(resp), nil
}

// settingOf shows one setting, with as much as the request asks for.
func settingOf(e config.Entry, req *wire.DescribeConfigsRequest) wire.DescribeConfigsResponseConfig {
	out := wire.DescribeConfigsResponseConfig{
		Name: e.Name, Value: e.Value, ReadOnly: e.ReadOnly, ConfigSource: int8(e.Origin), IsSensitive: e.Sensitive, ConfigType: e.WireType(),
	}
	if req.IncludeSynonyms {
		for _, s := range e.Synonyms {
			out.Synonyms = append(out.Synonyms, wire.DescribeConfigsResponseSynonym{Name: s.Name, Value: s.Value, Source: int8(s.Origin)})
		}
	}
	if req.IncludeDocumentation {
		out.Documentation = &e.Doc
	}
	return out
}
