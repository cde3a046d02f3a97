package broker

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/topics"
)

// TestGroupSettings: every setting of groups is one that the group room has.
func TestGroupSettings(t *testing.T) {
	c, err := config.Load(config.Sources{DataDir: t.TempDir(), Set: []string{
		"listeners=PLAINTEXT://127.0.0.1:0", "http.listeners=", "commit.log.file.bytes=2097152", "commit.log.files=2", "log.reserve.bytes=0",
		"group.min.session.timeout.ms=1000", "group.max.session.timeout.ms=2000", "group.max.size=3", "group.initial.rebalance.delay.ms=4",
		"group.consumer.max.size=5", "group.consumer.assignors=range", "group.consumer.migration.policy=downgrade",
		"group.consumer.min.session.timeout.ms=100", "group.consumer.session.timeout.ms=200", "group.consumer.min.heartbeat.interval.ms=6",
		"group.consumer.heartbeat.interval.ms=7", "offsets.retention.minutes=8", "offsets.retention.check.interval.ms=9",
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(t.Context(), Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := b.groupLimits(newTopicView())
	if got.Settings == nil || got.Topics == nil {
		t.Error("no settings of groups, or no topics")
	}
	if s := got.Settings("g"); s != (group.Settings{Session: 200 * time.Millisecond, Heartbeat: 7 * time.Millisecond}) {
		t.Errorf("a group that sets nothing: %+v", s)
	}
	change := []config.Change{{Name: "consumer.session.timeout.ms", Value: ptrTo("300")}}
	if err := b.topics.IncrementalAlterConfigs(t.Context(), topics.Resource{Kind: topics.GroupResource, Name: "g"}, change, false); err != nil {
		t.Fatal(err)
	}
	if s := got.Settings("g"); s != (group.Settings{Session: 300 * time.Millisecond, Heartbeat: 7 * time.Millisecond}) {
		t.Errorf("a group that sets its own: %+v", s)
	}
	if got.Now == nil || got.Steady == nil {
		t.Error("no clocks")
	}
	got.Settings, got.Topics, got.Now, got.Steady = nil, nil, nil, nil
	if want := (group.Limits{
		MinSession: time.Second, MaxSession: 2 * time.Second, MaxSize: 3, InitialDelay: 4 * time.Millisecond,
		ConsumerMaxSize: 5, Assignors: []string{"range"}, Migration: group.OnlyDowngrade, Retention: 8 * time.Minute, CheckInterval: 9 * time.Millisecond,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for _, policy := range []string{"bidirectional", "upgrade", "downgrade", "disabled"} {
		if _, ok := migrations[policy]; !ok {
			t.Errorf("no policy %s", policy)
		}
	}
}

func ptrTo(s string) *string { return &s }

// TestTopicView: an image stays as it is, is not made anew for what groups do not see, and every other one has another version.
func TestTopicView(t *testing.T) {
	v := newTopicView()
	event := func(kind topics.Kind, name string, id byte, partitions int) {
		v.follow(topics.Event{Kind: kind, Topic: &topics.Topic{Topic: &meta.Topic{Name: name, ID: meta.UUID{id}, Partitions: partitions}}})
	}
	empty := v.current()
	event(topics.Created, "a", 1, 2)
	event(topics.Created, "b", 2, 1)
	two := v.current()
	if a, ok := two.Topic("a"); !ok || a != (consumer.Topic{ID: consumer.ID{1}, Partitions: 2}) {
		t.Errorf("%+v", a)
	}
	event(topics.Changed, "a", 1, 2)
	if v.current() != two {
		t.Error("settings make a new image")
	}
	event(topics.Grown, "a", 1, 5)
	event(topics.Deleted, "b", 2, 1)
	now := v.current()
	if a, _ := now.Topic("a"); a.Partitions != 5 {
		t.Errorf("%+v", a)
	}
	if _, ok := now.Topic("b"); ok {
		t.Error("b is there")
	}
	if _, ok := two.Topic("b"); !ok || now == two || two == empty {
		t.Error("an image has changed")
	}
}
