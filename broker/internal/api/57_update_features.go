package api

import (
	"fmt"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/wire"
)

// updateFeatures sets the levels of features: all of them or none, in every version.
func updateFeatures(r *request) (listen.Pending, error) {
	var req wire.UpdateFeaturesRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	updates := make([]meta.FeatureUpdate, len(req.FeatureUpdates))
	var err error
	for i, u := range req.FeatureUpdates {
		updates[i] = meta.FeatureUpdate{Name: u.Feature, Level: u.MaxVersionLevel, Way: meta.Upgrade(u.UpgradeType)}
		if r.version == 0 {
			updates[i].Way = meta.UpgradeOnly
			if u.AllowDowngrade {
				updates[i].Way = meta.SafeDowngrade
			}
		}
		if highest := r.s.highest(u.Feature); u.MaxVersionLevel > highest {
			err = fmt.Errorf("%w: %s at level %d; this broker works at %d at most", meta.ErrFeature, u.Feature, u.MaxVersionLevel, highest)
		}
	}
	if err == nil {
		err = r.s.Store.UpdateFeatures(r.ctx, updates, req.ValidateOnly)
	}
	resp := &wire.UpdateFeaturesResponse{ErrorCode: r.s.codeOf(err), ErrorMessage: message(err)}
	if err != nil {
		return r.answer(resp), nil
	}
	for _, u := range updates {
		if !req.ValidateOnly {
			r.s.Logger.Info("feature level set", "feature", u.Name, "level", u.Level, "client", r.clientID())
		}
		if r.version < 2 {
			resp.Results = append(resp.Results, wire.UpdateFeaturesResponseResult{Feature: u.Name})
		}
	}
	return r.answer(resp), nil
}
