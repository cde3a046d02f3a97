package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// format is how results are printed.
type format struct{ json bool }

// String implements pflag.Value.
func (f *format) String() string {
	if f.json {
		return "json"
	}
	return "text"
}

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("it must be text or json")
	}
	f.json = s == "json"
	return nil
}

// Type implements pflag.Value.
func (f *format) Type() string { return "text|json" }

// rows prints a slice of structs: as JSON, one array; or as a table for people and awk, whose columns are named like the JSON's. No
// cell is empty ("-" is nothing) and none holds a space or a control character: such text is quoted as in Go, with \x20 for a space.
func rows[T any](c *cobra.Command, f format, all []T) error {
	if f.json {
		if all == nil {
			all = []T{}
		}
		return printJSON(c.OutOrStdout(), all)
	}
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	kind := reflect.TypeFor[T]()
	for i := range kind.NumField() {
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		fmt.Fprint(t, strings.ToUpper(name), end(i, kind))
	}
	for _, row := range all {
		v := reflect.ValueOf(row)
		for i := range kind.NumField() {
			fmt.Fprint(t, cellOf(v.Field(i)), end(i, kind))
		}
	}
	return t.Flush()
}

func end(i int, t reflect.Type) string {
	if i == t.NumField()-1 {
		return "\n"
	}
	return "\t"
}

func cellOf(v reflect.Value) string {
	if v.Kind() == reflect.Float64 { // digits, as in the JSON: 10000000, not 1e+07
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	if v.Kind() != reflect.Slice {
		return cell(fmt.Sprint(v.Interface()))
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = cellOf(v.Index(i))
	}
	sep := ","
	if v.Type().Elem().Kind() == reflect.String {
		sep = ";"
	}
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, sep)
}

// cell is s as one word of printable characters.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	for _, r := range s {
		if r == ' ' || r == '"' || !strconv.IsPrint(r) || r == '\uFFFD' {
			return strings.ReplaceAll(strconv.Quote(s), " ", `\x20`)
		}
	}
	return s
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
