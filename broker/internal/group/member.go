package group

import (
	"bytes"
	"time"
)

// member is one member as the group knows it.
type member struct {
	Identity
	clientID, clientHost string
	protocols            []Protocol
	sessionTimeout       time.Duration
	rebalanceTimeout     time.Duration
	assignment           []byte
	join, sync           Ticket    // parked requests, 0 when none
	fresh                bool      // has never been told its generation
	synced               bool      // has asked for the assignment of this generation
	deadline             time.Time // of the session; not looked at while a request is parked, but for a fresh member's
}

// newMemberTimeout is how long a new member's JoinGroup may be parked. The client does not know its id yet, so it cannot
// send heartbeats, and would be a dead weight for ever if it went away (Kafka has the same 5 minutes).
const newMemberTimeout = 5 * time.Minute

func (m *member) supports(name string) bool {
	for _, p := range m.protocols {
		if p.Name == name {
			return true
		}
	}
	return false
}

func (m *member) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.Name == name {
			return p.Metadata
		}
	}
	return nil
}

// matches says that a join brings nothing new.
func (m *member) matches(protocols []Protocol) bool {
	if len(m.protocols) != len(protocols) {
		return false
	}
	for i, p := range protocols {
		if m.protocols[i].Name != p.Name || !bytes.Equal(m.protocols[i].Metadata, p.Metadata) {
			return false
		}
	}
	return true
}

// due is when the member must be taken out unless it is heard of; ok is false while it is known to wait.
func (m *member) due() (at time.Time, ok bool) {
	parked := m.join != 0 || m.sync != 0
	return m.deadline, !parked || m.fresh
}
