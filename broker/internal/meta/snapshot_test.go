package meta

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/engine/batch"
	"pgregory.net/rapid"
)

// same compares Images as who reads them sees them.
func same(a, b *Image) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Image{}, "open"), cmp.AllowUnexported(Image{}, Topic{}))
}

// change makes one random change, and gives an error only where the store has one.
func change(t *rapid.T, s *Store) error {
	ctx := context.Background()
	name := fmt.Sprint("t", rapid.IntRange(0, 4).Draw(t, "name"))
	settings := map[string]string{}
	for range rapid.IntRange(0, 2).Draw(t, "settings") {
		settings[fmt.Sprint("k", rapid.IntRange(0, 3).Draw(t, "key"))] = strings.Repeat("v", rapid.IntRange(0, 300).Draw(t, "value"))
	}
	topic := s.Image().Topics[name]
	switch rapid.IntRange(0, 9).Draw(t, "change") {
	case 0, 1:
		if topic == nil {
			_, err := s.CreateTopic(ctx, name, 1+rapid.IntRange(0, 3).Draw(t, "partitions"), settings)
			return err
		}
		return s.ChangeTopic(ctx, topic.ID, settings)
	case 2:
		if topic != nil {
			return s.SetPartitions(ctx, topic.ID, topic.Partitions+1)
		}
	case 3:
		if topic != nil {
			return s.DeleteTopic(ctx, topic.ID)
		}
	case 4:
		for id := range s.Image().Deleted {
			return s.Dropped(ctx, id)
		}
	case 5:
		return s.SetBroker(ctx, int32(rapid.IntRange(-1, 1).Draw(t, "node")), settings)
	case 6:
		return s.SetGroup(ctx, name, settings)
	case 7:
		return s.AlterQuotas(ctx, []QuotaChange{{[]quota.NamedPart{{Type: "user", Name: &name}}, []quota.Change{
			{Key: quota.ProducerByteRate, Value: 1 + float64(rapid.IntRange(0, 9).Draw(t, "rate")), Remove: rapid.Bool().Draw(t, "remove")},
		}}}, false)[0]
	case 8:
		return s.UpdateFeatures(ctx, []FeatureUpdate{{"transaction.version", int16(rapid.IntRange(0, 2).Draw(t, "level")), UnsafeDowngrade}}, false)
	default:
		_, err := s.NewProducerID(ctx)
		return err
	}
	return nil
}

// TestCrashAnywhere crashes after each write and each trim of random histories, with a snapshot after every few records: what is
// replayed is what was published then (M2).
func TestCrashAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := &memory{}
		s := open(t, j)
		var trims int
		j.done = func() {
			p := newReplay()
			if err := j.Replay(p.batch); err != nil {
				t.Fatalf("replay: %v", err)
			}
			// Between a durable write and its publishing the log is one change ahead; so compare with the Image to come.
			if diff := same(p.image, expected(t, s, j)); diff != "" {
				t.Fatalf("M2 (-replayed +expected):\n%s", diff)
			}
			if len(j.batches) > 0 && j.batches[0].BaseOffset() > 0 {
				trims++
			}
		}
		for range rapid.IntRange(5, 60).Draw(t, "changes") {
			if rapid.IntRange(0, 3).Draw(t, "soon") == 0 {
				s.since += snapshotEvery // as if it were due
			}
			if err := change(t, s); err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrFeature) {
				t.Fatal(err)
			}
		}
		before := s.Image()
		j.done = nil
		after := open(t, j).Image()
		want := *before
		want.starts++
		if diff := same(after, &want); diff != "" {
			t.Fatalf("M2 (-after +before):\n%s", diff)
		}
	})
}

// expected applies the last batch of the log to what was published, unless it is a snapshot's.
func expected(t *rapid.T, s *Store, j *memory) *Image {
	image := s.Image()
	err := j.batches[len(j.batches)-1].Each(func(r batch.Record) bool {
		rec, err := decodeRecord(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rec.kind >= snapshotPart {
			return false
		}
		if next, err := image.apply(rec); err == nil {
			image = next
		} else {
			t.Fatal(err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestSnapshotBoundsTheLog(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	a, err := s.CreateTopic(t.Context(), "a", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 * snapshotEvery {
		if err := s.ChangeTopic(t.Context(), a.ID, map[string]string{"k": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.batches) > snapshotEvery+1 {
		t.Errorf("%d batches after %d changes", len(j.batches), 5*snapshotEvery)
	}
	if got := open(t, j).Image().Topics["a"].Settings["k"]; got != fmt.Sprint(5*snapshotEvery-1) {
		t.Errorf("k = %s", got)
	}
}

// A snapshot of several parts that is cut off at any of them counts for nothing, whatever follows.
func TestSnapshotOfManyPartsCutOff(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	for i := range 40 {
		if _, err := s.CreateTopic(t.Context(), fmt.Sprint("t", i), 1, map[string]string{"k": strings.Repeat("v", 60_000)}); err != nil {
			t.Fatal(err)
		}
	}
	want := s.Image()
	parts := want.parts()
	if len(parts) < 5 {
		t.Fatalf("%d parts", len(parts))
	}
	before := slices.Clone(j.batches)
	for n := range len(parts) + 1 {
		j := &memory{batches: slices.Clone(before), end: s.journal.HighWatermark()}
		cut := &Store{journal: j, turn: make(chan struct{}, 1)}
		cut.image.Store(want)
		for _, p := range parts[:n] {
			if err := cut.put(p); err != nil {
				t.Fatal(err)
			}
		}
		after := open(t, j) // appends a start behind it
		wanted := *want
		wanted.starts++
		if diff := same(after.Image(), &wanted); diff != "" {
			t.Fatalf("after %d of %d parts:\n%s", n, len(parts), diff)
		}
		after = open(t, j)
		wanted.starts++
		if diff := same(after.Image(), &wanted); diff != "" {
			t.Fatalf("after %d of %d parts, and a start:\n%s", n, len(parts), diff)
		}
	}
}

func TestFullDiskPutsTheSnapshotOff(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	a, _ := s.CreateTopic(t.Context(), "a", 1, nil)
	s.since = snapshotEvery
	j.done = func() { j.refuse = errors.New("disk is full") } // after the next write
	if err := s.ChangeTopic(t.Context(), a.ID, nil); err != nil {
		t.Fatalf("the change failed with the snapshot: %v", err)
	}
	if len(j.batches) != 4 {
		t.Errorf("%d batches, want the cluster, a start, a topic and a change", len(j.batches))
	}
	j.done, j.refuse = nil, nil
	if err := s.ChangeTopic(t.Context(), a.ID, nil); err != nil || len(j.batches) != 1 {
		t.Errorf("%v: %d batches, want the snapshot only", err, len(j.batches))
	}
}

func TestTooLong(t *testing.T) {
	s := open(t, &memory{})
	before := s.Image()
	for name, settings := range map[string]map[string]string{
		"a value": {"k": strings.Repeat("v", 65536)},
		"all":     {"a": strings.Repeat("v", 65000), "b": strings.Repeat("v", 65000), "c": strings.Repeat("v", 65000), "d": strings.Repeat("v", 65000), "e": strings.Repeat("v", 65000)},
	} {
		if err := s.SetGroup(t.Context(), "g", settings); !errors.Is(err, ErrTooLong) || s.Image() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFeatures(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	for _, c := range []struct {
		u    FeatureUpdate
		want error
		at   int16
	}{
		{FeatureUpdate{"transaction.version", 1, UpgradeOnly}, ErrFeature, 2},
		{FeatureUpdate{"transaction.version", 1, SafeDowngrade}, nil, 1},
		{FeatureUpdate{"transaction.version", 2, SafeDowngrade}, ErrFeature, 1},
		{FeatureUpdate{"transaction.version", 3, UpgradeOnly}, ErrFeature, 1},
		{FeatureUpdate{"transaction.version", 2, UpgradeOnly}, nil, 2},
		{FeatureUpdate{"transaction.version", 2, UpgradeOnly}, nil, 2},
		{FeatureUpdate{"transaction.version", 2, 7}, ErrFeatureRequest, 2},
		{FeatureUpdate{"no.such", 1, UpgradeOnly}, ErrFeature, 0},
	} {
		before := s.Image()
		if err := s.UpdateFeatures(t.Context(), []FeatureUpdate{c.u}, true); !errors.Is(err, c.want) || s.Image() != before {
			t.Errorf("%+v, only asked: %v", c.u, err)
		}
		if err := s.UpdateFeatures(t.Context(), []FeatureUpdate{c.u}, false); !errors.Is(err, c.want) || s.Image().Level(c.u.Name) != c.at {
			t.Errorf("%+v: %v, level %d", c.u, err, s.Image().Level(c.u.Name))
		}
	}
	if s.Image().FeaturesEpoch != 2 {
		t.Errorf("epoch %d, want 2", s.Image().FeaturesEpoch)
	}
	twice := []FeatureUpdate{{"group.version", 0, SafeDowngrade}, {"group.version", 1, UpgradeOnly}}
	if err := s.UpdateFeatures(t.Context(), twice, false); !errors.Is(err, ErrFeatureRequest) {
		t.Error(err)
	}
}

// The example of RFC 7677, section 3.
func TestScramKeepsWhatTheRFCSays(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	salted, err := pbkdf2.Key(sha256.New, "pencil", salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	u := ScramUpsert{"user", ScramSHA256, 4096, salt, salted}
	c, err := u.credential()
	if err != nil {
		t.Fatal(err)
	}
	const authMessage = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	if got := serverSignature(c, authMessage); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("the server's signature is %s", got)
	}
}

func TestAlterScram(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	set := func(user string, m Mechanism, iterations int32, size int) ScramUpsert {
		return ScramUpsert{user, m, iterations, []byte("salt"), make([]byte, size)}
	}
	results := s.AlterScram(t.Context(), []ScramUpsert{
		set("ann", ScramSHA256, 4096, 32), set("ann", ScramSHA512, 8192, 64), set("few", ScramSHA256, 4095, 32), set("many", ScramSHA256, 16385, 32),
		set("odd", 3, 4096, 32), set("short", ScramSHA256, 4096, 31), set("", ScramSHA256, 4096, 32),
		set("twice", ScramSHA256, 4096, 32), set("twice", ScramSHA256, 4096, 32), set("half", ScramSHA256, 4096, 32), set("half", ScramSHA512, 1, 64),
	}, []ScramKey{{"gone", ScramSHA256}})
	want := map[string]error{"ann": nil, "few": ErrCredential, "many": ErrCredential, "odd": ErrMechanism, "short": ErrCredential, "": ErrCredential,
		"twice": ErrDuplicate, "half": ErrCredential, "gone": ErrUser}
	if len(results) != len(want) {
		t.Errorf("%d results", len(results))
	}
	for _, r := range results {
		if !errors.Is(r.Err, want[r.User]) || want[r.User] == nil && r.Err != nil {
			t.Errorf("%q: %v, want %v", r.User, r.Err, want[r.User])
		}
	}
	s = open(t, j)
	if len(s.Image().Scram) != 2 {
		t.Errorf("%d credentials after a restart, want ann's two", len(s.Image().Scram))
	}
	got := s.Image().DescribeScram(nil)
	if len(got) != 1 || len(got[0].Creds) != 2 || got[0].Creds[1].Iterations != 8192 || got[0].Creds[0].Salt != "" {
		t.Errorf("%+v", got)
	}
	got = s.Image().DescribeScram([]string{"ann", "ann", "bob"})
	if len(got) != 2 || !errors.Is(got[0].Err, ErrDuplicate) || !errors.Is(got[1].Err, ErrUser) {
		t.Errorf("%+v", got)
	}
	if r := s.AlterScram(t.Context(), nil, []ScramKey{{"ann", ScramSHA256}}); r[0].Err != nil || len(s.Image().Scram) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestQuotas(t *testing.T) {
	j := &memory{}
	s := open(t, j)
	ann := "ann"
	of := []quota.NamedPart{{Type: quota.TypeUser, Name: &ann}, {Type: quota.TypeClientID}}
	e := quota.Entity{User: quota.Named("ann"), ClientID: quota.TheDefault}
	alter := func(only bool, ops ...quota.Change) error {
		return s.AlterQuotas(t.Context(), []QuotaChange{{of, ops}}, only)[0]
	}
	if err := alter(true, quota.Change{Key: quota.RequestPercentage, Value: 0.1}); err != nil || len(s.Image().Quotas) != 0 {
		t.Errorf("only asked: %v, %v", err, s.Image().Quotas)
	}
	if err := alter(false, quota.Change{Key: quota.RequestPercentage, Value: 0.1}, quota.Change{Key: quota.ProducerByteRate, Value: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if err := alter(false, quota.Change{Key: quota.ProducerByteRate, Value: -1}); !errors.Is(err, quota.ErrRequest) {
		t.Error(err)
	}
	s = open(t, j)
	if diff := cmp.Diff(map[string]float64{quota.RequestPercentage: 0.1, quota.ProducerByteRate: 1 << 40}, s.Image().Quotas[e]); diff != "" {
		t.Error(diff)
	}
	if err := alter(false, quota.Change{Key: quota.RequestPercentage, Remove: true}, quota.Change{Key: quota.ProducerByteRate, Remove: true}); err != nil || len(s.Image().Quotas) != 0 {
		t.Errorf("%v, %v", err, s.Image().Quotas)
	}
}

// serverSignature is what the server proves itself with.
func serverSignature(c Scram, authMessage string) string {
	m := hmac.New(sha256.New, []byte(c.ServerKey))
	m.Write([]byte(authMessage))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestWatch(t *testing.T) {
	s := open(t, &memory{})
	var seen []int
	cancel, err := s.Watch(t.Context(), func(i *Image) { seen = append(seen, len(i.Groups)) })
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []string{"a", "b"} {
		if err := s.SetGroup(t.Context(), g, map[string]string{"k": "v"}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := s.SetGroup(t.Context(), "c", map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []int{0, 1, 2}) {
		t.Errorf("%v", seen)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	u := ScramUpsert{"ann", ScramSHA256, 4096, []byte("salt"), []byte("password-password-password-passw")}
	c, err := u.credential()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %v", c, []Scram{c}, u); strings.Contains(got, "salt") || strings.Contains(got, "112") || strings.Contains(got, c.StoredKey) {
		t.Error(got)
	}
}
