package wire

// What an UpdateFeaturesRequest's UpgradeType allows.
const (
	FeatureUpgrade         = 1
	FeatureSafeDowngrade   = 2
	FeatureUnsafeDowngrade = 3
)

// UpdateFeaturesRequest finalizes levels of features (KIP-584).
type UpdateFeaturesRequest struct {
	TimeoutMs      int32
	FeatureUpdates []UpdateFeaturesRequestUpdate
	ValidateOnly   bool // 1+
}

// UpdateFeaturesRequestUpdate finalizes one feature.
type UpdateFeaturesRequestUpdate struct {
	Feature         string
	MaxVersionLevel int16 // below 1 takes the feature away
	AllowDowngrade  bool  // 0
	UpgradeType     int8  // 1+
}

// Key returns KeyUpdateFeatures.
func (*UpdateFeaturesRequest) Key() Key { return KeyUpdateFeatures }

// Default sets Kafka's defaults.
func (r *UpdateFeaturesRequest) Default() { *r = UpdateFeaturesRequest{TimeoutMs: 60000} }

func (r *UpdateFeaturesRequest) visit(v *visitor) {
	v.int32(&r.TimeoutMs)
	array(v, &r.FeatureUpdates, 5, (*UpdateFeaturesRequestUpdate).visit)
	if v.version >= 1 {
		v.boolean(&r.ValidateOnly)
	}
	v.tags()
}

// Default sets Kafka's defaults.
func (u *UpdateFeaturesRequestUpdate) Default() {
	*u = UpdateFeaturesRequestUpdate{UpgradeType: FeatureUpgrade}
}

func (u *UpdateFeaturesRequestUpdate) visit(v *visitor) {
	if v.decoding {
		u.Default()
	}
	v.str(&u.Feature)
	v.int16(&u.MaxVersionLevel)
	if v.version <= 0 {
		v.boolean(&u.AllowDowngrade)
	}
	if v.version >= 1 {
		v.int8(&u.UpgradeType)
	}
	v.tags()
}

// UpdateFeaturesResponse answers an UpdateFeaturesRequest. From 2 on all updates
// fail together or none does.
type UpdateFeaturesResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode
	ErrorMessage   *string
	Results        []UpdateFeaturesResponseResult // 0 to 1
}

// UpdateFeaturesResponseResult is what became of one feature.
type UpdateFeaturesResponseResult struct {
	Feature      string
	ErrorCode    ErrorCode
	ErrorMessage *string
}

// Key returns KeyUpdateFeatures.
func (*UpdateFeaturesResponse) Key() Key { return KeyUpdateFeatures }

// Default sets Kafka's defaults.
func (r *UpdateFeaturesResponse) Default() { *r = UpdateFeaturesResponse{} }

func (r *UpdateFeaturesResponse) visit(v *visitor) {
	v.int32(&r.ThrottleTimeMs)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	if v.version <= 1 {
		array(v, &r.Results, 5, (*UpdateFeaturesResponseResult).visit)
	}
	v.tags()
}

func (r *UpdateFeaturesResponseResult) visit(v *visitor) {
	v.str(&r.Feature)
	v.code(&r.ErrorCode)
	v.nullStr(&r.ErrorMessage)
	v.tags()
}
