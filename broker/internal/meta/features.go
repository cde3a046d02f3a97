package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Feature is a feature whose level the cluster agrees on (KIP-584): no broker does what only a higher level allows.
type Feature struct {
	Name     string
	Min, Max int16 // levels that this broker can work at; level 0 is none, always allowed unless Min is above 1
	Default  int16 // until it is set
}

// Features are those that this broker knows, by name. Callers must not change it.
//
// metadata.version counts Kafka's releases, and clients read from it what they may ask for; this broker's own metadata does not
// depend on it. 25 is 4.0, 7 is 3.3, the first.
var Features = []Feature{
	{Name: "group.version", Min: 0, Max: 1, Default: 1},
	{Name: "metadata.version", Min: 7, Max: 25, Default: 25},
	{Name: "transaction.version", Min: 0, Max: 2, Default: 2},
}

var (
	// ErrFeature: there is no such feature, or it cannot have that level (Kafka: INVALID_UPDATE_VERSION).
	ErrFeature = errors.New("the feature cannot have that level")
	// ErrFeatureRequest: a request that contradicts itself (Kafka: INVALID_REQUEST).
	ErrFeatureRequest = errors.New("invalid feature update")
)

// Level is the level at which a feature stands: 0 for one that this broker does not know.
func (i *Image) Level(name string) int16 {
	if l, ok := i.features[name]; ok {
		return l
	}
	for _, f := range Features {
		if f.Name == name {
			return f.Default
		}
	}
	return 0
}

// Upgrade says which way a feature's level may go, with the numbers of UpdateFeatures (KIP-778).
type Upgrade int8

// The ways.
const (
	UpgradeOnly     Upgrade = 1
	SafeDowngrade   Upgrade = 2 // down, where nothing is lost by it
	UnsafeDowngrade Upgrade = 3 // down, whatever is lost
)

// FeatureUpdate asks for a level.
type FeatureUpdate struct {
	Name  string
	Level int16
	Way   Upgrade
}

// UpdateFeatures sets levels: all of them or none. What the levels stand for is kept in no format of its own, so that a downgrade
// loses nothing. Errors: ErrFeature, ErrFeatureRequest, or the journal's.
func (s *Store) UpdateFeatures(ctx context.Context, updates []FeatureUpdate, validateOnly bool) error {
	return s.changes(ctx, func(i *Image) (recs []record, err error) {
		seen := map[string]bool{}
		for _, u := range updates {
			if seen[u.Name] {
				return nil, fmt.Errorf("%w: %s is updated twice", ErrFeatureRequest, u.Name)
			}
			seen[u.Name] = true
			if err := i.checkFeature(u); err != nil {
				return nil, err
			}
			if u.Level != i.Level(u.Name) {
				recs = append(recs, record{kind: featureLevel, name: u.Name, level: uint16(u.Level)})
			}
		}
		if validateOnly {
			return nil, nil
		}
		return recs, nil
	})
}

func (i *Image) checkFeature(u FeatureUpdate) error {
	at := slices.IndexFunc(Features, func(f Feature) bool { return f.Name == u.Name })
	if at < 0 {
		return fmt.Errorf("%w: %q is not known to this broker", ErrFeature, u.Name)
	}
	f, now := Features[at], i.Level(u.Name)
	switch {
	case u.Way < UpgradeOnly || u.Way > UnsafeDowngrade:
		return fmt.Errorf("%w: upgrade type %d of %s is not known", ErrFeatureRequest, u.Way, u.Name)
	case u.Level < f.Min || u.Level > f.Max:
		return fmt.Errorf("%w: %s at level %d; this broker works at %d to %d", ErrFeature, u.Name, u.Level, f.Min, f.Max)
	case u.Level < now && u.Way == UpgradeOnly:
		return fmt.Errorf("%w: %s is at level %d; to go down to %d, allow a downgrade", ErrFeature, u.Name, now, u.Level)
	case u.Level > now && u.Way != UpgradeOnly:
		return fmt.Errorf("%w: %s is at level %d; %d is no downgrade", ErrFeature, u.Name, now, u.Level)
	}
	return nil
}
