package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// printer writes events in words, or as JSON, one object a line. Not safe for concurrent use.
type printer struct {
	w        *bufio.Writer
	json     bool
	all      bool // fields with their default value, too
	live     bool // each event is seen at once
	most     int  // elements of an array that the text shows; 0 all
	problems int
}

// jsonEvent is a line of --json.
type jsonEvent struct {
	Time        string  `json:"time,omitempty"`
	Connection  int     `json:"connection"`
	From        string  `json:"from,omitempty"`
	To          string  `json:"to,omitempty"`
	Kind        string  `json:"kind"`
	API         string  `json:"api,omitempty"`
	Key         *int16  `json:"key,omitempty"`
	Version     *int16  `json:"version,omitempty"`
	Correlation *int32  `json:"correlation_id,omitempty"`
	ClientID    *string `json:"client_id,omitempty"`
	Bytes       int     `json:"bytes"`
	TookNs      int64   `json:"took_ns,omitempty"`
	Fields      object  `json:"fields,omitempty"`
	Problem     string  `json:"problem,omitempty"`
	Note        string  `json:"note,omitempty"`
}

func (p *printer) event(e event) error {
	if e.Problem != "" && e.Kind != "unanswered" {
		p.problems++
	}
	var fields object
	if e.Fields != nil {
		fields = tree(e.Fields, e.Kind == "request", p.all)
	}
	if p.json {
		return p.line(e, fields)
	}
	p.head(e)
	for _, m := range fields {
		p.member(m, 2)
	}
	if e.Problem != "" {
		fmt.Fprintf(p.w, "    ! %s\n", e.Problem)
	}
	if e.Note != "" {
		fmt.Fprintf(p.w, "    # %s\n", e.Note)
	}
	return p.end()
}

// end ends an event; it gives the first error of all writes so far, which bufio keeps.
func (p *printer) end() error {
	if p.live {
		return p.w.Flush()
	}
	_, err := p.w.Write(nil)
	return err
}

func (p *printer) line(e event, fields object) error {
	j := jsonEvent{Connection: e.Conn, From: e.From, To: e.To, Kind: e.Kind, ClientID: e.ClientID, Bytes: e.Bytes, TookNs: int64(e.Took), Fields: fields, Problem: e.Problem, Note: e.Note}
	if !e.At.IsZero() {
		j.Time = e.At.Format(time.RFC3339Nano)
	}
	if e.Kind == "request" || e.Kind == "response" {
		j.Correlation = &e.Correlation
		if e.Key >= 0 {
			key := int16(e.Key)
			j.API, j.Key, j.Version = e.Key.String(), &key, &e.Version
		}
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	_, _ = p.w.Write(append(b, '\n')) // end tells the error
	return p.end()
}

// head writes the first line of an event:
//
//	12:00:00.000001 #1 127.0.0.1:4000 > 127.0.0.1:9092 request Produce 11 id 7 client "app" 1234 bytes
func (p *printer) head(e event) {
	var b strings.Builder
	if !e.At.IsZero() {
		b.WriteString(e.At.UTC().Format("15:04:05.000000 "))
	}
	fmt.Fprintf(&b, "#%d ", e.Conn)
	if e.From != "" {
		fmt.Fprintf(&b, "%s > %s ", e.From, e.To)
	}
	b.WriteString(e.Kind)
	if e.Kind == "request" || e.Kind == "response" {
		if e.Key >= 0 {
			fmt.Fprintf(&b, " %s %d", e.Key, e.Version)
		}
		fmt.Fprintf(&b, " id %d", e.Correlation)
	}
	if e.ClientID != nil {
		fmt.Fprintf(&b, " client %q", *e.ClientID)
	}
	if e.Bytes > 0 {
		fmt.Fprintf(&b, " %d bytes", e.Bytes)
	}
	if e.Took > 0 {
		fmt.Fprintf(&b, " after %v", e.Took.Round(time.Microsecond))
	}
	_, _ = io.WriteString(p.w, b.String()+"\n") // end tells the error
}

// member writes a field, and what is in it, indented.
func (p *printer) member(m member, depth int) {
	indent := strings.Repeat("  ", depth)
	switch v := m.value.(type) {
	case object:
		fmt.Fprintf(p.w, "%s%s:\n", indent, m.name)
		for _, inner := range v {
			p.member(inner, depth+1)
		}
	case list:
		p.list(m.name, v, indent, depth)
	default:
		fmt.Fprintf(p.w, "%s%s: %s%s\n", indent, m.name, scalar(v), words(m.name, v))
	}
}

// list writes an array: scalars on one line, objects one below the other.
func (p *printer) list(name string, l list, indent string, depth int) {
	shown := l
	if p.most > 0 && len(l) > p.most {
		shown = l[:p.most]
	}
	if len(l) == 0 {
		fmt.Fprintf(p.w, "%s%s: []\n", indent, name)
		return
	}
	if _, deep := l[0].(object); !deep {
		items := make([]string, len(shown))
		for i, v := range shown {
			items[i] = flat(v)
		}
		if left := len(l) - len(shown); left > 0 {
			items = append(items, fmt.Sprintf("and %d more", left))
		}
		fmt.Fprintf(p.w, "%s%s: [%s]\n", indent, name, strings.Join(items, ", "))
		return
	}
	fmt.Fprintf(p.w, "%s%s: %d\n", indent, name, len(l))
	for _, v := range shown {
		o, ok := v.(object)
		if line := flat(v); !ok || simple(o) {
			fmt.Fprintf(p.w, "%s  - %s\n", indent, line)
			continue
		}
		fmt.Fprintf(p.w, "%s  -\n", indent)
		for _, inner := range o {
			p.member(inner, depth+2)
		}
	}
	if left := len(l) - len(shown); left > 0 {
		fmt.Fprintf(p.w, "%s  … and %d more (--max 0 shows all)\n", indent, left)
	}
}

// simple says whether an object fits on a line.
func simple(o object) bool {
	for _, m := range o {
		switch v := m.value.(type) {
		case object:
			return false
		case list:
			if len(v) > 0 {
				if _, deep := v[0].(object); deep || len(v) > 20 {
					return false
				}
			}
		}
	}
	return true
}

// flat writes a value on one line.
func flat(v any) string {
	switch v := v.(type) {
	case object:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = m.name + " " + flat(m.value) + words(m.name, m.value)
		}
		if len(parts) == 0 {
			return "all defaults"
		}
		return strings.Join(parts, ", ")
	case list:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = flat(m)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return scalar(v)
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case code:
		return string(v)
	}
	return fmt.Sprint(v)
}

// meanings are words for numbers that mean something.
var meanings = map[string]map[int64]string{
	"Acks":           {-1: "all in sync", 0: "no answer", 1: "the leader"},
	"IsolationLevel": {0: "read uncommitted", 1: "read committed"},
	"Timestamp":      {-1: "latest", -2: "earliest", -3: "largest timestamp", -4: "earliest local", -5: "latest tiered"},
	"SessionEpoch":   {-1: "no session", 0: "a new session"},
	"KeyType":        {0: "group", 1: "transaction", 2: "share group"},
	"MemberEpoch":    {-1: "leaves", -2: "leaves for a while", 0: "joins"},
}

func words(name string, v any) string {
	if n, ok := v.(int64); ok {
		if word, ok := meanings[name][n]; ok {
			return " (" + word + ")"
		}
	}
	return ""
}
