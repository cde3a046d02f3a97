package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var (
	// ErrChange: a request to change settings contradicts itself (Kafka: INVALID_REQUEST).
	ErrChange = errors.New("invalid change of settings")
	// ErrSetting: a key is not known, or its value is not taken (Kafka: INVALID_CONFIG).
	ErrSetting = errors.New("invalid setting")
)

// Op is what a Change does, with the numbers of IncrementalAlterConfigs (KIP-339).
type Op int8

// The operations.
const (
	OpSet      Op = 0
	OpDelete   Op = 1
	OpAppend   Op = 2 // items that a list lacks
	OpSubtract Op = 3 // items that a list has
)

// Change is one change of one setting.
type Change struct {
	Name  string
	Op    Op
	Value *string // not looked at by OpDelete
}

// Apply gives set with changes made, checked by nothing but the table's types of operations; set stays as it is. now gives the
// value that counts, for a list that is appended to and not in set. Errors: ErrChange, ErrSetting.
func Apply(table []Def, set map[string]string, now func(name string) Value, changes []Change) (map[string]string, error) {
	out := maps.Clone(set)
	if out == nil {
		out = map[string]string{}
	}
	seen := map[string]bool{}
	for _, c := range changes {
		d := find(table, c.Name)
		switch {
		case seen[c.Name]:
			return nil, fmt.Errorf("%w: %s is changed twice", ErrChange, c.Name)
		case c.Op < OpSet || c.Op > OpSubtract:
			return nil, fmt.Errorf("%w: %s: operation %d is not known", ErrChange, c.Name, c.Op)
		case c.Op != OpDelete && c.Value == nil:
			return nil, fmt.Errorf("%w: %s must be given a value", ErrChange, c.Name)
		case d == nil && c.Op == OpDelete: // what another version set can be taken back
		case d == nil:
			return nil, fmt.Errorf("%w: unknown setting %s", ErrSetting, c.Name)
		case (c.Op == OpAppend || c.Op == OpSubtract) && d.Kind != List:
			return nil, fmt.Errorf("%w: %s is a %s; only lists can be appended to or subtracted from", ErrSetting, c.Name, d.Kind)
		}
		seen[c.Name] = true
		switch c.Op {
		case OpSet:
			out[c.Name] = strings.TrimSpace(*c.Value)
		case OpDelete:
			delete(out, c.Name)
		default:
			items := now(c.Name).Items
			if raw, ok := out[c.Name]; ok {
				items = splitList(raw)
			}
			out[c.Name] = strings.Join(edited(items, splitList(*c.Value), c.Op), ",")
		}
	}
	return out, nil
}

// edited is a list with items appended or subtracted.
func edited(list, items []string, op Op) []string {
	out := slices.Clone(list)
	for _, item := range items {
		switch {
		case op == OpSubtract:
			out = slices.DeleteFunc(out, func(s string) bool { return s == item })
		case !slices.Contains(out, item):
			out = append(out, item)
		}
	}
	return out
}
