package wire

import "github.com/streambus/streambus/wire/prim"

// APIVersionsRequest is the first request on a connection, before login. It is
// decoded by hand: both fields are views of the body, nothing is allocated.
type APIVersionsRequest struct {
	ClientSoftwareName    []byte // 3+ (KIP-511)
	ClientSoftwareVersion []byte // 3+
}

// Key returns KeyAPIVersions.
func (*APIVersionsRequest) Key() Key { return KeyAPIVersions }

// Default sets Kafka's defaults.
func (r *APIVersionsRequest) Default() { *r = APIVersionsRequest{} }

// Decode is the package's Decode without its pool.
func (r *APIVersionsRequest) Decode(version int16, body []byte) error {
	if err := Supported(KeyAPIVersions, version); err != nil {
		return err
	}
	rd := prim.NewReader(body)
	r.read(&rd, version)
	if err := rd.End(); err != nil {
		return decodeError(KeyAPIVersions, version, err)
	}
	return nil
}

func (r *APIVersionsRequest) visit(v *visitor) {
	if v.decoding {
		r.read(&v.r, v.version)
		return
	}
	if v.version >= 3 {
		v.dst = prim.AppendString(v.dst, r.ClientSoftwareName, true)
		v.dst = prim.AppendString(v.dst, r.ClientSoftwareVersion, true)
		v.dst = append(v.dst, 0)
	}
}

func (r *APIVersionsRequest) read(rd *prim.Reader, version int16) {
	r.Default()
	if version >= 3 {
		r.ClientSoftwareName = rd.StringView(true, false)
		r.ClientSoftwareVersion = rd.StringView(true, false)
		rd.SkipTags()
	}
}

// APIVersionsResponse says which versions of which keys the broker speaks.
type APIVersionsResponse struct {
	ErrorCode              ErrorCode
	APIKeys                []Range
	ThrottleTimeMs         int32                         // 1+
	SupportedFeatures      []APIVersionsSupportedFeature // 3+, tag 0
	FinalizedFeaturesEpoch int64                         // 3+, tag 1; -1 unknown
	FinalizedFeatures      []APIVersionsFinalizedFeature // 3+, tag 2
	ZkMigrationReady       bool                          // 3+, tag 3
}

// APIVersionsSupportedFeature is a feature that the broker could run.
type APIVersionsSupportedFeature struct {
	Name       string
	MinVersion int16
	MaxVersion int16
}

// APIVersionsFinalizedFeature is a feature level that the cluster does run.
type APIVersionsFinalizedFeature struct {
	Name            string
	MaxVersionLevel int16
	MinVersionLevel int16
}

// UnsupportedAPIVersions answers an ApiVersions request of a version that is
// not served: encode it in version 0, whatever was asked. The ranges are what
// the broker advertises; they let the client try again instead of hanging up.
// The response keeps the slice.
func UnsupportedAPIVersions(served []Range) *APIVersionsResponse {
	return &APIVersionsResponse{
		ErrorCode:              CodeUnsupportedVersion,
		APIKeys:                served,
		FinalizedFeaturesEpoch: -1,
	}
}

// Key returns KeyAPIVersions.
func (*APIVersionsResponse) Key() Key { return KeyAPIVersions }

// Default sets Kafka's defaults.
func (r *APIVersionsResponse) Default() {
	*r = APIVersionsResponse{FinalizedFeaturesEpoch: -1}
}

func (r *APIVersionsResponse) visit(v *visitor) {
	v.code(&r.ErrorCode)
	array(v, &r.APIKeys, 6, (*Range).visit)
	if v.version >= 1 {
		v.int32(&r.ThrottleTimeMs)
	}
	tags := r
	if !v.decoding && v.version <= 3 {
		tags = r.withoutMinZero()
	}
	v.tagsOf(tags)
}

// withoutMinZero leaves out supported features with a minimum of 0: clients up
// to version 3 take such a range for an error (KAFKA-17011).
func (r *APIVersionsResponse) withoutMinZero() *APIVersionsResponse {
	kept := *r
	kept.SupportedFeatures = nil
	for _, f := range r.SupportedFeatures {
		if f.MinVersion != 0 {
			kept.SupportedFeatures = append(kept.SupportedFeatures, f)
		}
	}
	return &kept
}

func (*APIVersionsResponse) tagEnd() uint32 { return 4 }

func (r *APIVersionsResponse) sends(tag uint32) bool {
	switch tag {
	case 0:
		return len(r.SupportedFeatures) > 0
	case 1:
		return r.FinalizedFeaturesEpoch != -1
	case 2:
		return len(r.FinalizedFeatures) > 0
	}
	return r.ZkMigrationReady
}

func (r *APIVersionsResponse) visitTag(tag uint32, v *visitor) bool {
	switch tag {
	case 0:
		array(v, &r.SupportedFeatures, 6, (*APIVersionsSupportedFeature).visit)
	case 1:
		v.int64(&r.FinalizedFeaturesEpoch)
	case 2:
		array(v, &r.FinalizedFeatures, 6, (*APIVersionsFinalizedFeature).visit)
	case 3:
		v.boolean(&r.ZkMigrationReady)
	default:
		return false
	}
	return true
}

func (k *Range) visit(v *visitor) {
	v.key(&k.Key)
	v.int16(&k.Min)
	v.int16(&k.Max)
	v.tags()
}

func (f *APIVersionsSupportedFeature) visit(v *visitor) {
	v.str(&f.Name)
	v.int16(&f.MinVersion)
	v.int16(&f.MaxVersion)
	v.tags()
}

func (f *APIVersionsFinalizedFeature) visit(v *visitor) {
	v.str(&f.Name)
	v.int16(&f.MaxVersionLevel)
	v.int16(&f.MinVersionLevel)
	v.tags()
}
