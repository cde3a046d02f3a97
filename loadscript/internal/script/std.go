package script

import (
	"embed"
	"fmt"
	"io"
	"path"
	"strings"

	"go.starlark.net/syntax"
)

// The @std library is part of the program: what many scripts need and no built-in should be.

//go:embed std/*.star
var stdFiles embed.FS

const stdPrefix = "@std/"

// readStd is the text of a file of the library.
func readStd(label string) ([]byte, error) {
	return stdFiles.ReadFile("std/" + strings.TrimPrefix(label, stdPrefix))
}

// stdLabels are the files of the library, as load() names them.
func stdLabels() []string {
	entries, _ := stdFiles.ReadDir("std") // embedded: it is there
	var labels []string
	for _, e := range entries {
		labels = append(labels, stdPrefix+e.Name())
	}
	return labels
}

// stdFunction is a function of the library.
type stdFunction struct {
	signature string
	doc       string
}

// stdFunctions reads what a file says of itself: its docstring and its functions.
func stdFunctions(label string) (doc string, functions []stdFunction) {
	text, err := readStd(label)
	if err != nil {
		return "", nil
	}
	file, err := dialect.Parse(label, text, 0)
	if err != nil {
		panic(fmt.Sprintf("script: %s is wrong: %v", label, err)) // a test loads them all
	}
	for _, st := range file.Stmts {
		def, ok := st.(*syntax.DefStmt)
		if !ok {
			continue
		}
		line := strings.Split(string(text), "\n")[def.Def.Line-1]
		f := stdFunction{signature: strings.TrimSuffix(strings.TrimPrefix(line, "def "), ":")}
		f.doc = (&source{file: &syntax.File{Stmts: def.Body}}).docstring()
		functions = append(functions, f)
	}
	return (&source{file: file}).docstring(), functions
}

func printStd(w io.Writer) {
	fmt.Fprint(w, `These files are part of loadscript:

  load("@std/payloads.star", "order_event")

`)
	for i, label := range stdLabels() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		doc, functions := stdFunctions(label)
		fmt.Fprintf(w, "%s: %s\n\n", label, doc)
		for _, f := range functions {
			fmt.Fprintf(w, "  %s\n      %s\n", f.signature, wrap(f.doc, "      ", 94))
		}
	}
}

// isStd says whether a label or a display name is of the library.
func isStd(label string) bool { return strings.HasPrefix(label, stdPrefix) }

// stdPath checks a label.
func stdPath(label string) (string, *Diagnostic) {
	if _, err := readStd(label); err == nil && path.Clean(label) == label {
		return label, nil
	}
	d := &Diagnostic{Message: fmt.Sprintf("load(%q): there is no such file in the @std library", clip(label, 80)), Notes: []string{"available: " + strings.Join(stdLabels(), ", ")},
		Example: `load("@std/payloads.star", "order_event")`}
	if n := Nearest(label, stdLabels()); n != "" {
		d.Suggest = fmt.Sprintf("%q", n)
	}
	return "", d
}
