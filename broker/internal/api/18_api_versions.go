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
		if highest := r.s.highest(f.Name); highest > 0 {
			resp.SupportedFeatures = append(resp.SupportedFeatures, wire.APIVersionsSupportedFeature{Name: f.Name, MinVersion: f.Min, MaxVersion: highest})
		}
		if level := r.s.level(image, f.Name); level > 0 { // 0 is a feature that is not finalized
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, wire.APIVersionsFinalizedFeature{Name: f.Name, MinVersionLevel: level, MaxVersionLevel: level})
		}
	}
	return r.answer(resp), nil
}

// highest is the highest level that a feature can have here, 0 for one that is not known. It is where a level is capped, so that no client
// tries what is not here: what group.version promises is in the table or it is not.
func (s *Server) highest(feature string) int16 {
	if feature == "group.version" && !s.serves(wire.KeyConsumerGroupHeartbeat) {
		return 0
	}
	for _, f := range meta.Features {
		if f.Name == feature {
			return f.Max
		}
	}
	return 0
}

// level is the level of a feature that clients may rely on: the one that is set, but no more than what is here, and not above what the
// broker has started with (Options.Levels).
func (s *Server) level(image *meta.Image, feature string) int16 {
	level := min(image.Level(feature), s.highest(feature))
	if started, ok := s.Levels[feature]; ok {
		level = min(level, started)
	}
	return level
}

func (s *Server) serves(k wire.Key) bool {
	for _, r := range s.ranges {
		if r.Key == k {
			return true
		}
	}
	return false
}
