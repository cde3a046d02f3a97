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

func sorted() []*Def {
	out := make([]*Def, len(Defs))
	for i := range Defs {
		out[i] = &Defs[i]
	}
	slices.SortFunc(out, func(a, b *Def) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Dump writes every key, its value and where the value came from, as a file that Load takes.
func (c *Config) Dump(w io.Writer) error {
	for _, d := range sorted() {
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

// Docs writes the table for people, in Markdown.
func Docs(w io.Writer) error {
	if _, err := fmt.Fprint(w, docsHead); err != nil {
		return err
	}
	for _, d := range sorted() {
		if _, err := fmt.Fprintf(w, "## `%s`\n\n%s\n\n%s\n", d.Name, d.facts(), d.Doc); err != nil {
			return err
		}
		if d.Why != "" {
			if _, err := fmt.Fprintf(w, "\nWhy not Kafka's default: %s\n", d.Why); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

const docsHead = `# Configuration of the StreamBus broker

Keys are Kafka's. A value comes from, the strongest first: ` + "`--set key=value`" + `, the environment (` + "`STREAMBUS_NODE_ID`" + `: _ is a dot,
__ an underscore, ___ a dash), the file given by ` + "`--config`" + ` (YAML, nested or dotted, or .properties), the default.

`

func (d *Def) facts() string {
	facts := []string{d.Kind.String()}
	if d.Default == "" {
		facts = append(facts, "no default")
	} else {
		facts = append(facts, "default "+d.Default)
	}
	if d.Kind == Int || d.Kind == Long {
		facts = append(facts, d.wanted())
	}
	if d.Own {
		facts = append(facts, "StreamBus's own")
	}
	return strings.Join(facts, "; ")
}
