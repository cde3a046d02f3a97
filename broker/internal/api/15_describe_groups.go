package api

import (
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// groupOperations is what a client may do with a group, as bits of Kafka's AclOperation: everything, as long as nobody is asked who he is.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// describeGroups tells of groups of the classic protocol. One that does not exist is dead, which from version 6 on is an error (KIP-1043).
func describeGroups(r *request) (listen.Pending, error) {
	var req wire.DescribeGroupsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	ids := once(req.Groups)
	resp := &wire.DescribeGroupsResponse{Groups: make([]wire.DescribeGroupsResponseGroup, len(ids))}
	for i, id := range ids {
		out := &resp.Groups[i]
		*out = r.describeGroup(id)
		if req.IncludeAuthorizedOperations && out.ErrorCode == wire.CodeNone {
			out.AuthorizedOperations = groupOperations
		}
	}
	return r.answer(resp), nil
}

func (r *request) describeGroup(id string) (out wire.DescribeGroupsResponseGroup) {
	out.Default()
	d, err := r.s.Groups.Describe(id)
	out.GroupID, out.GroupState, out.ProtocolType, out.ProtocolData = id, d.State, d.ProtocolType, d.Protocol
	code := r.s.codeOf(err)
	if code == wire.CodeGroupIDNotFound && r.version < 6 {
		return out
	}
	if out.ErrorCode, out.ErrorMessage = code, message(err); err != nil && code != wire.CodeGroupIDNotFound {
		out.GroupState = ""
	}
	for _, m := range d.Members {
		out.Members = append(out.Members, describedMember(m))
	}
	return out
}

func describedMember(m group.MemberDescription) wire.DescribeGroupsResponseMember {
	return wire.DescribeGroupsResponseMember{
		MemberID: m.Member, GroupInstanceID: orNil(m.Instance), ClientID: m.ClientID, ClientHost: m.ClientHost,
		MemberMetadata: m.Metadata, MemberAssignment: m.Assignment,
	}
}
