package config

import (
	"slices"
)

// Origin says where a value comes from, with the numbers of DescribeConfigs (KIP-226).
type Origin int8

// The origins.
const (
	FromTopic   Origin = 1
	FromBroker  Origin = 2 // set over the wire for this broker
	FromCluster Origin = 3 // set over the wire for all brokers
	FromStatic  Origin = 4 // set when the broker was started
	FromDefault Origin = 5
	FromGroup   Origin = 8
)

// Synonym is a key that could give a value, and what it gives.
type Synonym struct {
	Name   string
	Value  *string // nil: sensitive
	Origin Origin
}

// Entry is one setting as DescribeConfigs tells it.
type Entry struct {
	*Def
	Value    *string // nil: sensitive
	Origin   Origin
	ReadOnly bool
	Synonyms []Synonym // the strongest first; the first is the value itself
}

// WireType is the type's number in DescribeConfigs (KIP-569).
func (d *Def) WireType() int8 {
	if d.Sensitive {
		return 9 // PASSWORD
	}
	return [...]int8{String: 2, Int: 3, Long: 5, Bool: 1, List: 7, Double: 6}[d.Kind]
}

// hide is a value for the wire (C4).
func (d *Def) hide(raw string) *string {
	if d.Sensitive {
		return nil
	}
	return &raw
}

// Describe lists the broker's settings by name; only those of names, where there are any.
func (v *View) Describe(names []string) []Entry {
	return entries(Defs, names, func(d *Def) Entry {
		return entryOf(d, v.chain(d), !d.Dynamic)
	})
}

// DescribeCluster lists what was set over the wire for all brokers.
func (v *View) DescribeCluster(names []string) []Entry {
	out := entries(Defs, names, func(d *Def) Entry {
		x, ok := v.cluster[d.Name]
		if !ok {
			return Entry{}
		}
		return entryOf(d, []Synonym{{d.Name, d.hide(x.Raw), FromCluster}}, false)
	})
	return slices.DeleteFunc(out, func(e Entry) bool { return e.Def == nil })
}

// DescribeTopic lists the settings of a topic, when set are those of its own.
func (v *View) DescribeTopic(set map[string]string, names []string) []Entry {
	return v.describe(TopicDefs, FromTopic, set, names)
}

// DescribeGroup lists the settings of a group.
func (v *View) DescribeGroup(set map[string]string, names []string) []Entry {
	return v.describe(GroupDefs, FromGroup, set, names)
}

func (v *View) describe(table []Def, own Origin, set map[string]string, names []string) []Entry {
	return entries(table, names, func(d *Def) Entry {
		var chain []Synonym
		if raw, ok := set[d.Name]; ok {
			chain = append(chain, Synonym{d.Name, d.hide(raw), own})
		}
		if d.Broker != "" {
			chain = append(chain, v.chain(Find(d.Broker))...)
		} else {
			chain = append(chain, Synonym{d.Name, d.hide(d.Default), FromDefault})
		}
		return entryOf(d, chain, false)
	})
}

// chain is what could give the value of a broker's key, the strongest first.
func (v *View) chain(d *Def) (out []Synonym) {
	if x, ok := v.broker[d.Name]; ok {
		out = append(out, Synonym{d.Name, d.hide(x.Raw), FromBroker})
	}
	if x, ok := v.cluster[d.Name]; ok {
		out = append(out, Synonym{d.Name, d.hide(x.Raw), FromCluster})
	}
	if x := v.static.Value(d.Name); x.Source != Default {
		out = append(out, Synonym{d.Name, d.hide(x.Raw), FromStatic})
	}
	return append(out, Synonym{d.Name, d.hide(d.Default), FromDefault})
}

func entryOf(d *Def, chain []Synonym, readOnly bool) Entry {
	return Entry{Def: d, Value: chain[0].Value, Origin: chain[0].Origin, ReadOnly: readOnly, Synonyms: chain}
}

func entries(table []Def, names []string, f func(*Def) Entry) []Entry {
	out := make([]Entry, 0, len(table))
	for _, d := range sorted(table) {
		if len(names) == 0 || slices.Contains(names, d.Name) {
			out = append(out, f(d))
		}
	}
	return out
}
