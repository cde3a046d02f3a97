package consumer

import "slices"

// Description is a group as ConsumerGroupDescribe tells it.
type Description struct {
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Assignor        string
	Members         []MemberDescription
}

// MemberDescription is a member in a Description. The slices are the caller's to read, not to change.
type MemberDescription struct {
	ID, Instance, Rack   string
	ClientID, ClientHost string
	Epoch                int32
	Classic              bool     // it speaks the classic protocol
	Topics               []string // named, not those of Regex
	Regex                string
	Assigned, Target     []TopicPartition // in order
}

// Describe tells of the group.
func (g *Group) Describe() Description {
	d := Description{State: g.State(), Epoch: g.epoch, AssignmentEpoch: g.targetEpoch, Assignor: g.Assignor()}
	for _, id := range g.order() {
		m := g.members[id]
		d.Members = append(d.Members, MemberDescription{
			ID: m.id, Instance: m.instance, Rack: m.rack, ClientID: m.clientID, ClientHost: m.clientHost, Epoch: m.epoch, Classic: m.classic != nil,
			Topics: slices.Clone(m.topics), Regex: m.regex, Assigned: m.assigned, Target: g.target[id],
		})
	}
	return d
}
