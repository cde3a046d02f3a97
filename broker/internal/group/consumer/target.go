package consumer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/streambus/streambus/broker/internal/group/assign"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// maxRegex bounds the length of a regular expression in bytes: Go's engine is RE2, so matching takes time linear in the name, but the program
// grows with the expression.
const maxRegex = 1024

// regex is a regular expression that members subscribe by, and the topics it stood for when it was held against an image.
type regex struct {
	re     *regexp.Regexp
	topics []string // sorted
	at     int64    // version of the image; 0: not held against one yet
}

// compile reads the expression of a heartbeat; nil where there is none, or it is known. The whole name must match, as in Kafka.
// Errors: ErrInvalidRegex.
func (g *Group) compile(e Heartbeat) (*regex, error) {
	if e.Regex == nil || *e.Regex == "" || g.regexes[*e.Regex] != nil {
		return nil, nil
	}
	return compileRegex(*e.Regex)
}

func compileRegex(text string) (*regex, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrInvalidRegex, len(text), maxRegex)
	}
	if _, err := regexp.Compile(text); err != nil { // alone: it must not close the group below
		return nil, fmt.Errorf("%w: %q: %w", ErrInvalidRegex, text, err)
	}
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrInvalidRegex, text, err)
	}
	return &regex{re: re}, nil
}

// resolve holds a regular expression against the image.
func (g *Group) resolve(text string, re *regex) {
	if re.at == g.image.version {
		return
	}
	var topics []string
	for _, name := range g.image.sorted {
		if re.re.MatchString(name) {
			topics = append(topics, name)
		}
	}
	first := re.at == 0
	re.at = g.image.version
	if first || !slices.Equal(topics, re.topics) {
		re.topics = topics
		g.emit(record.Regex, text, &record.RegexValue{Topics: topics, Version: re.at, AtMs: g.now.UnixMilli()})
	}
}

// dropRegexes forgets the regular expressions that nobody subscribes by any more.
func (g *Group) dropRegexes() {
	for _, text := range slices.Sorted(maps.Keys(g.regexes)) {
		used := false
		for _, m := range g.members {
			used = used || m.regex == text
		}
		if !used {
			delete(g.regexes, text)
			g.emit(record.Regex, text, nil)
		}
	}
}

// subscribed is what a member reads: names, sorted, each once. Whether they exist is another matter.
func (g *Group) subscribed(m *member) []string {
	re := g.regexes[m.regex]
	if m.regex == "" || re == nil || len(re.topics) == 0 {
		return m.topics
	}
	all := append(slices.Clone(m.topics), re.topics...)
	slices.Sort(all)
	return slices.Compact(all)
}

// refresh bumps the group epoch when members have changed, or what exists of what they read has.
func (g *Group) refresh(changed bool) {
	if !changed && g.seen == g.image.version {
		return
	}
	g.seen = g.image.version
	g.dropRegexes()
	for _, text := range slices.Sorted(maps.Keys(g.regexes)) {
		g.resolve(text, g.regexes[text])
	}
	names := map[string]bool{}
	for _, m := range g.members {
		for _, name := range g.subscribed(m) {
			names[name] = true
		}
	}
	hash := g.image.hash(slices.Sorted(maps.Keys(names)))
	if hash != g.hash || changed {
		g.hash = hash
		g.bump()
	}
}

// retarget makes the target assignment anew when the group epoch has gone beyond it.
func (g *Group) retarget() {
	if g.epoch == g.targetEpoch {
		return
	}
	partitions := map[ID]int32{}
	members := make([]assign.Member, 0, len(g.members))
	for _, id := range g.order() {
		m := g.members[id]
		one := assign.Member{ID: id, Instance: m.instance, Has: g.target[id]}
		for _, name := range g.subscribed(m) {
			if t, ok := g.image.Topic(name); ok {
				partitions[t.ID] = t.Partitions
				one.Topics = append(one.Topics, t.ID)
			}
		}
		members = append(members, one)
	}
	made := assign.ByName(g.Assignor())(members, partitions)
	for _, one := range members {
		old, had := g.target[one.ID]
		if had && slices.Equal(old, made[one.ID]) {
			continue
		}
		g.target[one.ID] = made[one.ID]
		g.emit(record.TargetOf, one.ID, targetValue(made[one.ID]))
	}
	g.targetEpoch = g.epoch
	g.emit(record.Target, "", &record.TargetValue{Epoch: g.targetEpoch, MadeMs: g.now.UnixMilli()})
}

func targetValue(all []TopicPartition) *record.TargetOfValue {
	return &record.TargetOfValue{Topics: byTopic(all)}
}

// Assignor is the assignor that most members name, of those on offer; the default, when none does.
func (g *Group) Assignor() string {
	votes := map[string]int{}
	best := g.assignors[0]
	for _, id := range g.order() {
		name := g.members[id].assignor
		if !slices.Contains(g.assignors, name) { // "", or no more on offer since a restart
			continue
		}
		if votes[name]++; votes[name] > votes[best] {
			best = name
		}
	}
	return best
}
