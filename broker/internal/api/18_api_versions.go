package api

import (
	"regexp"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/wire"
)

// software is what KIP-511 lets a client call itself.
var software = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func apiVersions(r *request) (listen.Pending, error) {
	var req wire.APIVersionsRequest
	if err := req.Decode(r.version, r.body); err != nil {
		return nil, err
	}
	resp := new(wire.APIVersionsResponse)
	resp.Default()
	if r.version >= 3 && (!software.Match(req.ClientSoftwareName) || !software.Match(req.ClientSoftwareVersion)) {
		resp.ErrorCode = wire.CodeInvalidRequest
		return r.answer(resp), nil
	}
	resp.APIKeys = r.s.ranges
	image := r.s.Store.Image()
	resp.FinalizedFeaturesEpoch = image.FeaturesEpoch
	for _, f := range meta.Features {
		if f.Min > 0 || r.version >= 4 { // KAFKA-17011: older clients take a smallest level of 0 for damage
			resp.SupportedFeatures = append(resp.SupportedFeatures, wire.APIVersionsSupportedFeature{Name: f.Name, MinVersion: f.Min, MaxVersion: f.Max})
		}
		if level := image.Level(f.Name); level > 0 {
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, wire.APIVersionsFinalizedFeature{Name: f.Name, MinVersionLevel: level, MaxVersionLevel: level})
		}
	}
	return r.answer(resp), nil
}
