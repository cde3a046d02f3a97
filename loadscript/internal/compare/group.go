package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// Group is the runs of one side.
type Group struct {
	Label string
	Dirs  []string // of the runs, in order
	Runs  []*report.Results
}

// Load reads the runs of each argument: a results folder, a folder that holds some (as run --repeat makes it), or a pattern of
// either.
func Load(args []string) ([]Group, error) {
	var groups []Group
	for _, arg := range args {
		g := Group{Label: strings.TrimSuffix(arg, string(filepath.Separator))}
		for _, path := range paths(arg) {
			dirs, err := resultDirs(path)
			if err != nil {
				return nil, err
			}
			g.Dirs = append(g.Dirs, dirs...)
		}
		for _, dir := range g.Dirs {
			r, err := report.ReadResults(dir)
			if err != nil {
				return nil, err
			}
			g.Runs = append(g.Runs, r)
		}
		groups = append(groups, g)
	}
	for i := range groups {
		for j := range i {
			if groups[i].Label == groups[j].Label {
				return nil, fmt.Errorf("compare: %s is named twice: a run compared with itself says nothing", groups[i].Label)
			}
		}
	}
	return groups, nil
}

// paths is what a pattern stands for; a name that exists stands for itself, whatever signs it has.
func paths(arg string) []string {
	if _, err := os.Stat(arg); err == nil {
		return []string{arg}
	}
	if list, err := filepath.Glob(arg); err == nil && len(list) > 0 {
		slices.SortFunc(list, naturally)
		return list
	}
	return []string{arg}
}

// resultDirs is the folder itself if it holds results, or those of its folders that do.
func resultDirs(path string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(path, report.ResultsFile)); err == nil {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("compare: there is no folder %s: give the folders that `loadscript run --out` wrote", path)
	case err != nil:
		return nil, fmt.Errorf("compare: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		dir := filepath.Join(path, e.Name())
		if _, err := os.Stat(filepath.Join(dir, report.ResultsFile)); err == nil {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("compare: %s holds no %s, and none of its folders does: is it a results folder of `loadscript run`?", path, report.ResultsFile)
	}
	slices.SortFunc(dirs, naturally)
	return dirs, nil
}

// naturally orders names with numbers at their end: 2 before 10.
func naturally(a, b string) int {
	na, ea := strconv.Atoi(filepath.Base(a))
	nb, eb := strconv.Atoi(filepath.Base(b))
	if ea == nil && eb == nil && na != nb {
		return na - nb
	}
	return strings.Compare(a, b)
}
