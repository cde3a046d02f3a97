package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func describeUserScramCredentials(r *request) (listen.Pending, error) {
	var req wire.DescribeUserSCRAMCredentialsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	var users []string
	for _, u := range req.Users {
		users = append(users, u.Name)
	}
	resp := new(wire.DescribeUserSCRAMCredentialsResponse)
	for _, found := range r.s.Store.Image().DescribeScram(users) {
		out := wire.DescribeUserSCRAMCredentialsResponseResult{User: found.User, ErrorCode: r.s.codeOf(found.Err), ErrorMessage: message(found.Err)}
		for _, c := range found.Creds {
			out.CredentialInfos = append(out.CredentialInfos, wire.DescribeUserSCRAMCredentialsResponseInfo{Mechanism: int8(c.Mechanism), Iterations: c.Iterations})
		}
		resp.Results = append(resp.Results, out)
	}
	return r.answer(resp), nil
}
