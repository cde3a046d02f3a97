package config

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML flattens a YAML file into dotted keys. It walks nodes rather than decoding into a struct, because every fault
// must name its line.
func readYAML(path string, b []byte) (entries []entry, faults []string) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, []string{fmt.Sprintf("%s: not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	w := yamlWalk{path: path}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode && root.Tag != "!!null" {
		w.fault(root, "the file must hold key: value pairs")
	} else {
		w.mapping("", root, 0)
	}
	return w.entries, w.faults
}

type yamlWalk struct {
	path    string
	entries []entry
	faults  []string
}

// maxDepth bounds the nesting: the longest key has six parts.
const maxDepth = 16

func (w *yamlWalk) fault(n *yaml.Node, format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("%s:%d: %s", w.path, n.Line, fmt.Sprintf(format, args...)))
}

func (w *yamlWalk) mapping(prefix string, m *yaml.Node, depth int) {
	if depth > maxDepth {
		w.fault(m, "keys are nested too deep")
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, val := m.Content[i], m.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			w.fault(key, "a key must be a word")
			continue
		}
		w.node(prefix+key.Value, key, val, depth)
	}
}

func (w *yamlWalk) node(name string, key, val *yaml.Node, depth int) {
	switch val.Kind {
	case yaml.MappingNode:
		w.mapping(name+".", val, depth+1)
	case yaml.ScalarNode:
		if val.Tag == "!!null" {
			w.fault(key, "%s has no value", name)
			return
		}
		w.add(name, key, val.Value)
	case yaml.SequenceNode:
		items := make([]string, 0, len(val.Content))
		for _, item := range val.Content {
			if item.Kind != yaml.ScalarNode {
				w.fault(item, "%s must be a list of words", name)
				return
			}
			items = append(items, item.Value)
		}
		w.add(name, key, strings.Join(items, ","))
	default:
		w.fault(val, "%s: anchors and aliases are not taken", name)
	}
}

func (w *yamlWalk) add(name string, key *yaml.Node, raw string) {
	w.entries = append(w.entries, entry{name, raw, fmt.Sprintf("%s:%d", w.path, key.Line)})
}

// readProperties reads Java's format as far as Kafka's files use it: key=value, key: value, comments, continued lines.
// Unicode escapes are not taken.
func readProperties(path string, b []byte) (entries []entry, faults []string) {
	lines := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		at := i + 1
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		source := fmt.Sprintf("%s:%d", path, at)
		cut := strings.IndexAny(line, "=:")
		if cut < 0 {
			faults = append(faults, fmt.Sprintf("%s: %q must be key=value", source, line))
			continue
		}
		key := strings.TrimSpace(line[:cut])
		entries = append(entries, entry{key, strings.TrimSpace(line[cut+1:]), source})
	}
	return entries, faults
}

// continued says that a line ends in an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}
