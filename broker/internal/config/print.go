package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// masked stands for a sensitive value (C4).
const masked = "[hidden]"

func (d *Def) shown(raw string) string {
	if d.Sensitive && raw != "" {
		return masked
	}
	return raw
}

func sorted(table []Def) []*Def {
	out := make([]*Def, len(table))
	for i := range table {
		out[i] = &table[i]
	}
	slices.SortFunc(out, func(a, b *Def) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Dump writes every key, its value and where the value came from, as a file that Load takes.
func (c *Config) Dump(w io.Writer) error {
	for _, d := range sorted(Defs) {
		v := c.Value(d.Name)
		if _, err := fmt.Fprintf(w, "%-40s # %s\n", d.Name+": "+yamlScalar(d, d.shown(v.Raw)), v.Source); err != nil {
			return err
		}
	}
	return nil
}

func yamlScalar(d *Def, raw string) string {
	if d.Kind == String || d.Kind == List {
		return fmt.Sprintf("%q", raw)
	}
	return raw
}

// Docs writes the tables for people, in Markdown.
func Docs(w io.Writer) error {
	for _, part := range []struct {
		head  string
		table []Def
	}{{docsHead, Defs}, {topicsHead, TopicDefs}, {groupsHead, GroupDefs}} {
		if _, err := fmt.Fprint(w, part.head); err != nil {
			return err
		}
		for _, d := range sorted(part.table) {
			if err := d.doc(w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Def) doc(w io.Writer) error {
	why := ""
	if d.Why != "" {
		why = "Why not Kafka's default: " + d.Why + "\n\n"
	}
	_, err := fmt.Fprintf(w, "## `%s`\n\n%s\n\n%s\n\n%s", d.Name, d.facts(), d.Doc, why)
	return err
}

const docsHead = `# Configuration of the StreamBus broker

Keys are Kafka's. A value comes from, the strongest first: ` + "`--set key=value`" + `, the environment (` + "`STREAMBUS_NODE_ID`" + `: _ is a dot,
__ an underscore, ___ a dash), the file given by ` + "`--config`" + ` (YAML, nested or dotted, or .properties), the default.

`

const topicsHead = `# Settings of topics

They are given when a topic is created, or changed later, and take effect without a restart. One that is not set follows the
broker's key that is named with it.

`

const groupsHead = `# Settings of groups

`

func (d *Def) facts() string {
	facts := []string{d.Kind.String()}
	switch {
	case d.Broker != "":
		facts = append(facts, "default: the broker's "+d.Broker)
	case d.Default == "":
		facts = append(facts, "no default")
	default:
		facts = append(facts, "default "+d.Default)
	}
	if d.Kind == Int || d.Kind == Long {
		facts = append(facts, d.wanted())
	}
	facts = append(facts, d.Importance.String()+" importance")
	if d.Dynamic {
		facts = append(facts, "may be changed while the broker runs")
	}
	if d.Own {
		facts = append(facts, "StreamBus's own")
	}
	return strings.Join(facts, "; ")
}
