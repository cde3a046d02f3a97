package layers

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/streambus/streambus"

// Policy is a parsed policy.txt.
type Policy struct {
	may  map[string][]string // folder -> folders it may import; "test:FOLDER" in test files only
	only map[string][]string // outside module path -> folders that may import it; "test" stands for test files anywhere
}

// ParsePolicy reads the format that policy.txt explains.
func ParsePolicy(text string) (*Policy, error) {
	p := &Policy{may: map[string][]string{}, only: map[string][]string{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		into, sep := p.may, "->"
		if rest, ok := strings.CutPrefix(line, "only "); ok {
			line, into, sep = rest, p.only, ":"
		}
		left, right, ok := strings.Cut(line, sep)
		if left = strings.TrimSpace(left); !ok || left == "" || into[left] != nil {
			return nil, fmt.Errorf("policy line %d: want FOLDER -> FOLDERS or only PATH : FOLDERS, once each: %q", i+1, line)
		}
		into[left] = append([]string{}, strings.Fields(right)...)
	}
	return p, nil
}

// Check reads every Go file below root and says which imports the policy forbids, each with file, line and reason.
func (p *Policy) Check(root string) (violations []string, files int, err error) {
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != root && (strings.HasPrefix(base, ".") || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		v, err := p.checkFile(filepath.ToSlash(rel), src)
		violations = append(violations, v...)
		return err
	})
	slices.Sort(violations)
	return violations, files, err
}

func (p *Policy) checkFile(rel string, src []byte) (violations []string, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, rel, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	dir, test := path.Dir(rel), strings.HasSuffix(rel, "_test.go") || strings.Contains(rel, "/testdata/")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := p.forbids(dir, test, imported); why != "" {
			violations = append(violations, fmt.Sprintf("%s: imports %s: %s", set.Position(spec.Pos()), imported, why))
		}
	}
	return violations, nil
}

// forbids gives the reason why a file of folder dir may not import a path, or "".
func (p *Policy) forbids(dir string, test bool, imported string) string {
	if inside, ok := strings.CutPrefix(imported, Module+"/"); ok {
		folder, rule := longest(p.may, dir)
		if rule == nil {
			return "no line of tools/layers/policy.txt speaks of " + dir
		}
		if under(inside, folder) || slices.ContainsFunc(rule, func(r string) bool {
			r, testOnly := strings.CutPrefix(r, "test:")
			return (test || !testOnly) && under(inside, r)
		}) {
			return ""
		}
		return fmt.Sprintf("%s may import %v only", folder, rule)
	}
	module, rooms := longest(p.only, imported)
	if rooms == nil || slices.ContainsFunc(rooms, func(r string) bool { return r == "test" && test || under(dir, r) }) {
		return ""
	}
	return fmt.Sprintf("%s has its room in %v", module, rooms)
}

// longest finds the rule of the deepest folder (or path) that holds name.
func longest(rules map[string][]string, name string) (key string, rule []string) {
	for k, r := range rules {
		if under(name, k) && len(k) > len(key) {
			key, rule = k, r
		}
	}
	return key, rule
}

func under(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }
