package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// formatFlags are those of gofmt, which its users know.
type formatFlags struct{ list, diff, write bool }

func newFmt(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	var f formatFlags
	cmd := &cobra.Command{
		Use: "fmt [FILE | FOLDER]…", Short: "Format scripts",
		Long: `Formats scripts as buildifier does. Without -w nothing is changed: the formatted text goes to stdout, or with -l the
names of the files that would change, or with -d what would change. Without files it reads stdin. A file that is
no Starlark is left alone. Exit code 107 if there is one; with -l and -d also 99 if a file would change, for CI.`,
		Example: `  loadscript fmt -w scripts
  loadscript fmt -d scripts/spike.star`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				if f.write {
					return usagef("-w needs files: stdin cannot be written back")
				}
				text, err := io.ReadAll(stdin)
				if err != nil {
					return err
				}
				_, err = f.one("stdin", text, stdout, stderr)
				return err
			}
			files, err := scriptFiles(args)
			if err != nil {
				return err
			}
			return f.all(files, stdout, stderr)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.list, "list", "l", false, "only name the files that would change")
	flags.BoolVarP(&f.diff, "diff", "d", false, "show what would change")
	flags.BoolVarP(&f.write, "write", "w", false, "write the files back")
	return cmd
}

// scriptFiles are the files named, and all scripts in the folders named or below them.
func scriptFiles(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		st, err := os.Stat(a)
		if err != nil {
			return nil, usagef("there is no %s", a)
		}
		if !st.IsDir() {
			files = append(files, a)
			continue
		}
		err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".star") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, usagef("%v", err)
		}
	}
	return files, nil
}

func (f *formatFlags) all(files []string, stdout, stderr io.Writer) error {
	worst := plan.ExitPass
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return &exit{code: plan.ExitConfig, msg: err.Error()}
		}
		formatted, err := f.one(path, text, stdout, stderr)
		var e *exit
		if errors.As(err, &e) {
			worst = plan.Worse(worst, e.code)
			if formatted == nil {
				continue
			}
		}
		if f.write && !bytes.Equal(text, formatted) {
			if err := writeBack(path, formatted); err != nil {
				return &exit{code: plan.ExitInternal, msg: err.Error()}
			}
		}
	}
	if worst != plan.ExitPass {
		return &exit{code: worst}
	}
	return nil
}

// one formats one text and says so as the flags ask. The text is nil if it is no Starlark.
func (f *formatFlags) one(name string, text []byte, stdout, stderr io.Writer) ([]byte, error) {
	formatted, err := format(name, text)
	if err != nil {
		var mistakes script.Errors
		if !errors.As(err, &mistakes) {
			return nil, err
		}
		mistakes.Print(stderr)
		return nil, &exit{code: plan.ExitScript}
	}
	changed := !bytes.Equal(text, formatted)
	switch {
	case f.list && changed:
		fmt.Fprintln(stdout, name)
	case f.diff && changed:
		stdout.Write(diff.Diff(name, text, name+" formatted", formatted))
	case !f.list && !f.diff && !f.write:
		stdout.Write(formatted)
	}
	if changed && !f.write && (f.list || f.diff) {
		return formatted, &exit{code: plan.ExitThreshold}
	}
	return formatted, nil
}

// format is the text as buildifier prints it, without the changes that it makes to Bazel's own files.
func format(name string, text []byte) ([]byte, error) {
	if err := script.CheckSyntax(name, text); err != nil {
		return nil, err
	}
	file, err := build.ParseDefault(name, text)
	if err != nil {
		return nil, fmt.Errorf("formatting %s: %w", name, err)
	}
	return build.FormatWithoutRewriting(file), nil
}

// writeBack replaces a file at once, with its permissions.
func writeBack(path string, text []byte) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(st.Mode().Perm()), tmp.Close())
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the file, not the link to it
	}
	return os.Rename(tmp.Name(), path)
}
