//go:build clients

package clients

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// document writes docs/CLIENTS.md. It holds nothing that differs from run to run: no times, no counts.
func document(results []result) []byte {
	var b bytes.Buffer
	b.WriteString(`# Clients

Written by ` + "`make test-clients RECORD=1`" + `, which runs these clients against StreamBus and compares each cell with what is expected
(broker/clients/expect_test.go). The same programs are run against Apache Kafka ` + kafkaVersion + ` with PEER=kafka, to try the tests themselves.

**pass**, **FAIL** (unexpected), *later* (expected to fail: see below), n.a. (the client cannot do it).

| client | version | from |
|---|---|---|
`)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, r.version, r.from)
	}
	var same, own []result // those that do the same things, and those with cells of their own
	for _, r := range results {
		if r.cells[0].name == features[0].name {
			same = append(same, r)
		} else {
			own = append(own, r)
		}
	}
	b.WriteString("\n## What works\n\n| cell |")
	header(&b, same)
	for _, c := range features {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, r := range same {
			fmt.Fprintf(&b, " %s |", mark(r.outcomes[c.name]))
		}
		b.WriteByte('\n')
	}
	for _, r := range own {
		fmt.Fprintf(&b, "\n| %s | does | |\n|---|---|---|\n", r.name)
		for _, c := range r.cells {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, c.what, mark(r.outcomes[c.name]))
		}
	}
	b.WriteString("\n## What each cell is\n\n")
	for _, c := range features {
		fmt.Fprintf(&b, "* **%s**: %s\n", c.name, c.what)
	}
	why(&b, results)
	versions(&b, results)
	return b.Bytes()
}

func header(b *bytes.Buffer, results []result) {
	for _, r := range results {
		fmt.Fprintf(b, " %s |", r.name)
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(results)+1) + "\n")
}

func mark(o outcome) string {
	switch o.is {
	case "fail":
		return "**FAIL**"
	case "expected":
		return "*later*"
	}
	return o.is
}

// why lists the reasons of what is not a pass.
func why(b *bytes.Buffer, results []result) {
	who := map[string][]string{}
	for _, r := range results {
		for _, c := range r.cells {
			if o := r.outcomes[c.name]; o.why != "" {
				reason := mark(o) + " " + c.name + ": " + o.why
				who[reason] = append(who[reason], r.name)
			}
		}
	}
	b.WriteString("\n## What does not, and why\n\n")
	for _, reason := range slices.Sorted(maps.Keys(who)) {
		fmt.Fprintf(b, "* %s (%s)\n", reason, strings.Join(who[reason], ", "))
	}
}

// versions is which versions of which API keys were asked for, as counted between client and broker.
func versions(b *bytes.Buffer, results []result) {
	used := map[int16]map[string][]int16{}
	for _, r := range results {
		for c := range r.calls {
			if used[c.key] == nil {
				used[c.key] = map[string][]int16{}
			}
			used[c.key][r.name] = append(used[c.key][r.name], c.version)
		}
	}
	b.WriteString("\n## API versions that were used\n\nAs seen between the clients and the broker.\n\n| key |")
	header(b, results)
	for _, key := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(b, "| %d %s |", key, kmsg.NameForKey(key))
		for _, r := range results {
			all := used[key][r.name]
			slices.Sort(all)
			fmt.Fprintf(b, " %s |", strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]"))
		}
		b.WriteByte('\n')
	}
}
