package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/internal/api"
	"github.com/streambus/streambus/engine"
)

// about is what version tells.
type about struct {
	Version  string     `json:"version"`
	Commit   string     `json:"commit"`
	Modified bool       `json:"modified"` // the commit is not all that was built
	Go       string     `json:"go"`
	Platform string     `json:"platform"`
	IO       string     `json:"io"` // how this build does disk I/O on this machine
	APIs     []apiRange `json:"apis"`
}

type apiRange struct {
	Key  int16  `json:"key"`
	Name string `json:"name"`
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

func versionCommand() *cobra.Command {
	var asJSON bool
	var f format
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and the Kafka API versions served",
		Example: "  streambus version\n  streambus version --json | jq -r .commit",
		Args:    cobra.NoArgs,
		RunE: doing(func(c *cobra.Command) error {
			a := aboutThis()
			if !asJSON && !f.json {
				return a.print(c.OutOrStdout())
			}
			return printJSON(c.OutOrStdout(), a)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	c.Flags().Var(&f, "format", "how it is printed: text or json")
	return c
}

func aboutThis() about {
	a := about{Version: "unknown", Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, IO: engine.IO()}
	if info, ok := debug.ReadBuildInfo(); ok {
		a.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				a.Commit = s.Value
			case "vcs.modified":
				a.Modified = s.Value == "true"
			}
		}
	}
	for _, r := range api.Served() {
		a.APIs = append(a.APIs, apiRange{int16(r.Key), r.Key.String(), r.Min, r.Max})
	}
	return a
}

func (a about) print(w io.Writer) error {
	fmt.Fprintf(w, "streambus %s, commit %s, %s, %s\ndisk I/O by %s\n\n", a.Version, a.Commit, a.Go, a.Platform, a.IO)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tNAME\tMIN\tMAX")
	for _, r := range a.APIs {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\n", r.Key, r.Name, r.Min, r.Max)
	}
	return t.Flush()
}
