package api

import (
	"fmt"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// alterConfigs sets all of each resource's own settings. Resources are changed one after the other, each wholly or not at all.
func alterConfigs(r *request) (listen.Pending, error) {
	var req wire.AlterConfigsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	times := map[topics.Resource]int{}
	for _, in := range req.Resources {
		times[resourceOf(in.ResourceType, in.ResourceName)]++
	}
	resp := new(wire.AlterConfigsResponse)
	for _, in := range req.Resources {
		to := resourceOf(in.ResourceType, in.ResourceName)
		err := errResourceTwice
		if times[to] == 1 {
			err = r.alterOne(to, in.Configs, req.ValidateOnly)
		}
		resp.Responses = append(resp.Responses, wire.AlterConfigsResponseResource{
			ErrorCode: r.s.codeOf(err), ErrorMessage: message(err), ResourceType: in.ResourceType, ResourceName: in.ResourceName,
		})
	}
	return r.answer(resp), nil
}

func (r *request) alterOne(to topics.Resource, configs []wire.AlterConfigsRequestConfig, validateOnly bool) error {
	next := map[string]*string{}
	for _, c := range configs {
		if _, ok := next[c.Name]; ok {
			return fmt.Errorf("%w: %s", errSettingTwice, c.Name)
		}
		next[c.Name] = c.Value
	}
	err := r.s.Topics.AlterConfigs(r.ctx, to, next, validateOnly)
	r.altered(to, validateOnly, err)
	return err
}

func resourceOf(kind int8, name string) topics.Resource {
	return topics.Resource{Kind: topics.ResourceKind(kind), Name: name}
}

// altered logs that settings were changed, not to what: they may be secrets.
func (r *request) altered(to topics.Resource, validateOnly bool, err error) {
	if err == nil && !validateOnly {
		r.s.Logger.Info("settings altered", "kind", to.Kind, "name", to.Name, "client", r.clientID())
	}
}
