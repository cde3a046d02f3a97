package meta

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// What a request about credentials may be told.
var (
	ErrUser       = errors.New("no such credential")               // Kafka: RESOURCE_NOT_FOUND
	ErrDuplicate  = errors.New("a user is named twice")            // DUPLICATE_RESOURCE
	ErrMechanism  = errors.New("unknown SASL mechanism")           // UNSUPPORTED_SASL_MECHANISM
	ErrCredential = errors.New("such a credential is not allowed") // UNACCEPTABLE_CREDENTIAL
)

// Mechanism is a SCRAM mechanism, with Kafka's number.
type Mechanism int8

// The mechanisms.
const (
	ScramSHA256 Mechanism = 1
	ScramSHA512 Mechanism = 2
)

func (m Mechanism) String() string {
	switch m {
	case ScramSHA256:
		return "SCRAM-SHA-256"
	case ScramSHA512:
		return "SCRAM-SHA-512"
	}
	return fmt.Sprintf("Mechanism(%d)", int8(m))
}

func (m Mechanism) hash() func() hash.Hash {
	switch m {
	case ScramSHA256:
		return sha256.New
	case ScramSHA512:
		return sha512.New
	}
	return nil
}

// The limits of iterations: RFC 7677's least, and what a login may cost.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// ScramKey is whom a credential is of, and for what.
type ScramKey struct {
	User      string
	Mechanism Mechanism
}

// Scram is what a broker keeps of a password (RFC 5802). It cannot be turned back into one, but who has it can log in as the server
// does: it is a secret. The texts are bytes.
type Scram struct {
	Mechanism                  Mechanism
	Iterations                 int32
	Salt, StoredKey, ServerKey string
}

// String leaves the secrets out.
func (c Scram) String() string { return fmt.Sprintf("%v, %d iterations", c.Mechanism, c.Iterations) }

// ScramUpsert sets a credential. SaltedPassword is what the client made of the password by Iterations rounds over Salt.
type ScramUpsert struct {
	User           string
	Mechanism      Mechanism
	Iterations     int32
	Salt           []byte
	SaltedPassword []byte
}

// String leaves the secrets out.
func (u ScramUpsert) String() string {
	return fmt.Sprintf("%q: %v, %d iterations", u.User, u.Mechanism, u.Iterations)
}

// ScramResult is what became of a user's change, or description.
type ScramResult struct {
	User  string
	Creds []Scram // of a description; keys and salt are left out
	Err   error   // ErrUser, ErrDuplicate, ErrMechanism, ErrCredential, ErrTooLong, or the journal's
}

// credential makes what is kept. Errors: ErrMechanism, ErrCredential.
func (u *ScramUpsert) credential() (Scram, error) {
	h := u.Mechanism.hash()
	switch {
	case u.User == "":
		return Scram{}, fmt.Errorf("%w: the user's name is empty", ErrCredential)
	case h == nil:
		return Scram{}, fmt.Errorf("%w: %v", ErrMechanism, u.Mechanism)
	case u.Iterations < MinIterations || u.Iterations > MaxIterations:
		return Scram{}, fmt.Errorf("%w: %d iterations; they must be from %d to %d", ErrCredential, u.Iterations, MinIterations, MaxIterations)
	case len(u.Salt) == 0:
		return Scram{}, fmt.Errorf("%w: the salt is empty", ErrCredential)
	case len(u.SaltedPassword) != h().Size():
		return Scram{}, fmt.Errorf("%w: the salted password has %d bytes, %v makes %d", ErrCredential, len(u.SaltedPassword), u.Mechanism, h().Size())
	}
	sum := func(text string) []byte {
		m := hmac.New(h, u.SaltedPassword)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := h()
	stored.Write(sum("Client Key"))
	return Scram{
		Mechanism: u.Mechanism, Iterations: u.Iterations, Salt: string(u.Salt),
		StoredKey: string(stored.Sum(nil)), ServerKey: string(sum("Server Key")),
	}, nil
}

// AlterScram removes and sets credentials. A user that is named twice, or of whom anything is wrong, stays as it is; the others are
// changed together. There is a result for each user, by name.
func (s *Store) AlterScram(ctx context.Context, upserts []ScramUpsert, deletes []ScramKey) []ScramResult {
	results := map[string]error{}
	times := map[ScramKey]int{}
	for _, u := range upserts {
		times[ScramKey{u.User, u.Mechanism}]++
	}
	for _, k := range deletes {
		times[k]++
	}
	err := s.changes(ctx, func(i *Image) ([]record, error) {
		var recs []record
		for _, k := range deletes {
			results[k.User] = errors.Join(results[k.User], deletable(i, k, times[k]))
			recs = append(recs, record{kind: scramRemoved, name: k.User, scram: Scram{Mechanism: k.Mechanism}})
		}
		for _, u := range upserts {
			c, err := u.credential()
			if times[ScramKey{u.User, u.Mechanism}] > 1 {
				err = fmt.Errorf("%w: %q", ErrDuplicate, u.User)
			}
			r := record{kind: scramSet, name: u.User, scram: c}
			if _, long := r.encode(); err == nil {
				err = long
			}
			results[u.User] = errors.Join(results[u.User], err)
			recs = append(recs, r)
		}
		return slices.DeleteFunc(recs, func(r record) bool { return results[r.name] != nil }), nil
	})
	var out []ScramResult
	for _, user := range slices.Sorted(maps.Keys(results)) {
		r := ScramResult{User: user, Err: results[user]}
		if r.Err == nil {
			r.Err = err
		}
		out = append(out, r)
	}
	if len(results) == 0 && err != nil { // the turn was not had
		for k := range times {
			out = append(out, ScramResult{User: k.User, Err: err})
		}
	}
	return out
}

func deletable(i *Image, k ScramKey, times int) error {
	switch {
	case k.Mechanism.hash() == nil:
		return fmt.Errorf("%w: %v", ErrMechanism, k.Mechanism)
	case times > 1:
		return fmt.Errorf("%w: %q", ErrDuplicate, k.User)
	case i.Scram[k].Mechanism == 0:
		return fmt.Errorf("%w: %q has none for %v", ErrUser, k.User, k.Mechanism)
	}
	return nil
}

// DescribeScram lists the credentials of users, without their secrets; of all users where none is named.
func (i *Image) DescribeScram(users []string) []ScramResult {
	byUser := map[string][]Scram{}
	for k, c := range i.Scram {
		byUser[k.User] = append(byUser[k.User], Scram{Mechanism: c.Mechanism, Iterations: c.Iterations})
	}
	times := map[string]int{}
	for _, u := range users {
		times[u]++
	}
	if len(users) == 0 {
		for u := range byUser {
			times[u] = 1
		}
	}
	var out []ScramResult
	for _, u := range slices.SortedFunc(maps.Keys(times), strings.Compare) {
		r := ScramResult{User: u, Creds: byUser[u]}
		slices.SortFunc(r.Creds, func(a, b Scram) int { return int(a.Mechanism) - int(b.Mechanism) })
		switch {
		case times[u] > 1:
			r.Creds, r.Err = nil, fmt.Errorf("%w: %q", ErrDuplicate, u)
		case r.Creds == nil:
			r.Err = fmt.Errorf("%w: there is no user %q", ErrUser, u)
		}
		out = append(out, r)
	}
	return out
}
