package api

import (
	"regexp"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// metadataVersion is the finalized level of the feature metadata.version: 21, Kafka 3.9-IV0. Tools show the broker's version
// by it (kafka-ui), and 3.9 is what the ranges served come nearest to. group.version (KIP-848) and transaction.version are not
// finalized, which means 0, so that no client tries what is not here.
const metadataVersion = 21

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
	resp.FinalizedFeaturesEpoch = 0
	resp.SupportedFeatures = []wire.APIVersionsSupportedFeature{{Name: "metadata.version", MinVersion: metadataVersion, MaxVersion: metadataVersion}}
	resp.FinalizedFeatures = []wire.APIVersionsFinalizedFeature{{Name: "metadata.version", MinVersionLevel: metadataVersion, MaxVersionLevel: metadataVersion}}
	return r.answer(resp), nil
}
