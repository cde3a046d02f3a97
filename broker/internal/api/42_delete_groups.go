package api

import (
	"context"
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/wire"
)

// deleteGroups deletes groups without members, each by itself, and answers when the last is gone from the disk, too. A group that is named
// twice is answered once.
func deleteGroups(r *request) (listen.Pending, error) {
	var req wire.DeleteGroupsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DeleteGroupsResponse)
	gone := map[string]*partition.Future{}
	for _, id := range once(req.GroupIDs) {
		f := partition.NewFuture()
		err := r.s.Groups.Delete(r.ctx, id, f)
		if err == nil {
			gone[id] = f
		}
		resp.Results = append(resp.Results, wire.DeleteGroupsResponseResult{GroupID: id, ErrorCode: r.s.groupCode(err)})
	}
	ready := func() bool {
		for _, f := range gone {
			if !f.Ready() {
				return false
			}
		}
		return true
	}
	return r.later(ready, func(ctx context.Context) (wire.Message, error) {
		for i := range resp.Results {
			f := gone[resp.Results[i].GroupID]
			if f == nil {
				continue
			}
			err := f.Wait(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			resp.Results[i].ErrorCode = r.s.groupCode(err)
		}
		return resp, nil
	}), nil
}

// once gives names without repetitions, in their order: a short request must not make a long answer.
func once(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// groupCode is codeOf for what a group's coordinator is asked to write: clients know no errors of the disk here, and try again.
func (s *Server) groupCode(err error) wire.ErrorCode {
	code := s.codeOf(err)
	if code == wire.CodeKafkaStorageError || code == wire.CodeNotLeaderOrFollower {
		return wire.CodeCoordinatorNotAvailable
	}
	return code
}
