package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

type sample struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	IDs   []int32  `json:"ids"`
	Words []string `json:"words"`
}

// TestTablesAreForAwk: as many words in each line as there are columns, whatever the values are; and nothing steers a terminal.
func TestTablesAreForAwk(t *testing.T) {
	all := []sample{
		{"plain", 1, []int32{1, 2}, []string{"a:0,1", "b:2"}},
		{"", 0, nil, nil},
		{"two words", -1, []int32{}, []string{"x y"}},
		{"\x1b[31m\n\t\"\u202e\xff", 2, []int32{3}, []string{""}},
	}
	c := &cobra.Command{}
	var out bytes.Buffer
	c.SetOut(&out)
	if err := rows(c, format{}, all); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(all)+1 {
		t.Fatalf("%d lines:\n%q", len(lines), out.String())
	}
	for _, line := range lines {
		if n := len(strings.Fields(line)); n != 4 {
			t.Errorf("%d columns: %q", n, line)
		}
		if strings.ContainsAny(line, "\x1b\t\u202e") || strings.Contains(line, "\xff") {
			t.Errorf("it could steer a terminal: %q", line)
		}
	}
	for i, want := range map[int]string{0: "NAME COUNT IDS WORDS", 1: "plain 1 1,2 a:0,1;b:2", 2: "- 0 - -"} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
	out.Reset()
	if err := rows[sample](c, format{json: true}, nil); err != nil || strings.TrimSpace(out.String()) != "[]" {
		t.Errorf("no rows in JSON: %q, %v", out.String(), err)
	}
}

// TestNumbersAreDigits: a table has of a number what the JSON has of it.
func TestNumbersAreDigits(t *testing.T) {
	for v, want := range map[float64]string{10_000_000: "10000000", 0.01: "0.01", -1: "-1", 1 << 40: "1099511627776"} {
		if got := cellOf(reflect.ValueOf(v)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRecordsDoNotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	in := []byte("käse\n\ta\x1b[31m\x00\xff\u009b")
	if n, err := (printable{&out}).Write(in); err != nil || n != len(in) {
		t.Fatal(n, err)
	}
	if got, want := out.String(), "käse\n\ta\\x1b[31m\\x00\\xff\\xc2\\x9b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRecordsInJSON(t *testing.T) {
	b := asJSON(nil, &admin.Record{Topic: "t", Offset: 7, Key: nil, Value: []byte{0xff}, Headers: nil})
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["key"] != nil || got["offset"] != 7.0 || got["value"].(map[string]any)["base64"] != "/w==" || strings.Count(string(b), "\n") != 1 {
		t.Errorf("%s", b)
	}
}
