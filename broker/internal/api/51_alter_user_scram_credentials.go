package api

import (
	"bytes"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/wire"
)

// alterUserScramCredentials sets and deletes what users log in with. Salt and salted password are views of the frame, which is another
// request's when this one is over.
func alterUserScramCredentials(r *request) (listen.Pending, error) {
	var req wire.AlterUserSCRAMCredentialsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	var upserts []meta.ScramUpsert
	for _, u := range req.Upsertions {
		upserts = append(upserts, meta.ScramUpsert{
			User: u.Name, Mechanism: meta.Mechanism(u.Mechanism), Iterations: u.Iterations, Salt: bytes.Clone(u.Salt), SaltedPassword: bytes.Clone(u.SaltedPassword),
		})
	}
	var deletes []meta.ScramKey
	for _, d := range req.Deletions {
		deletes = append(deletes, meta.ScramKey{User: d.Name, Mechanism: meta.Mechanism(d.Mechanism)})
	}
	resp := new(wire.AlterUserSCRAMCredentialsResponse)
	for _, done := range r.s.Store.AlterScram(r.ctx, upserts, deletes) {
		if done.Err == nil {
			r.s.Logger.Info("credentials altered", "user", done.User, "client", r.clientID())
		}
		resp.Results = append(resp.Results, wire.AlterUserSCRAMCredentialsResponseResult{
			User: done.User, ErrorCode: r.s.codeOf(done.Err), ErrorMessage: message(done.Err),
		})
	}
	return r.answer(resp), nil
}
