package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocs: docs/CLI.md is what the commands say of themselves.
func TestDocs(t *testing.T) {
	const name = "../../../docs/CLI.md"
	var b bytes.Buffer
	b.WriteString("# Commands of streambus\n\nMade from the program by `go test ./broker/cmd/streambus -run TestDocs -rewrite`; do not edit.\n\n")
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	describe(&b, root)
	if *rewrite {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the commands say: go test ./broker/cmd/streambus -run TestDocs -rewrite", name)
	}
}

func describe(b *bytes.Buffer, c *cobra.Command) {
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(b, "## `%s`\n\n```\n%s\n\nUsage: %s\n", c.CommandPath(), strings.TrimSpace(long), c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n%s\n", strings.Trim(c.Example, "\n"))
	}
	if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\nFlags:\n%s", flags)
	}
	if c.HasAvailableInheritedFlags() {
		from := c.Parent()
		for !from.HasAvailablePersistentFlags() {
			from = from.Parent()
		}
		fmt.Fprintf(b, "\nFlags of `%s` hold here, too.\n", from.CommandPath())
	}
	b.WriteString("```\n\n")
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			describe(b, sub)
		}
	}
}

// TestEveryCommandTeaches: a line that says what it is, and an example where there is something to give.
func TestEveryCommandTeaches(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short text is %q", c.CommandPath(), c.Short)
		}
		if c.Parent() != nil && !c.HasSubCommands() && c.HasAvailableLocalFlags() && c.Example == "" {
			t.Errorf("%s has flags and no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(rootCommand())
}
