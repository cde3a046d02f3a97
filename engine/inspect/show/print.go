package show

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/inspect"
)

// Printer is an inspect.Sink that writes text or JSON lines. One goroutine may use it.
type Printer struct {
	w      io.Writer
	json   bool
	file   string // text: that the last heading was for
	names  string // text: columns of the last heading
	widths []int  // text: of the columns so far
	line   bytes.Buffer
	damage int
	notes  int
}

// New makes a Printer of JSON lines or text.
func New(json bool, w io.Writer) *Printer { return &Printer{w: w, json: json} }

// Found is how many findings of each kind were printed.
func (p *Printer) Found() (damage, notes int) { return p.damage, p.notes }

// Row implements inspect.Sink.
func (p *Printer) Row(r inspect.Row) error {
	p.line.Reset()
	if p.json {
		p.object(r.Kind, r.File, r.Fields)
	} else {
		p.heading(r.File, r.Kind, r.Fields)
		p.columns(r.Kind, r.Fields)
	}
	return p.flush()
}

// Finding implements inspect.Sink.
func (p *Printer) Finding(f inspect.Finding) error {
	kind := "note"
	if f.Damage {
		kind = "damage"
		p.damage++
	} else {
		p.notes++
	}
	fields := []inspect.Field{{Name: "lo", Value: f.Lo}, {Name: "hi", Value: f.Hi}, {Name: "first", Value: offset(f.First)}, {Name: "next", Value: offset(f.Next)}}
	p.line.Reset()
	if p.json {
		p.object(kind, f.File, append(fields, inspect.Field{Name: "what", Value: f.What}))
		return p.flush()
	}
	fields = append([]inspect.Field{{Name: "file", Value: f.File}}, fields...)
	p.heading("", "damage", append(fields, inspect.Field{Name: "what"}))
	p.widths = nil // findings are told apart by their words, and not aligned
	p.line.WriteString(kind)
	for _, v := range fields {
		p.line.WriteByte(' ')
		p.line.WriteString(word(v.Value))
	}
	p.line.WriteByte(' ')
	p.line.WriteString(oneLine(f.What))
	p.line.WriteByte('\n')
	return p.flush()
}

func (p *Printer) flush() error {
	_, err := p.w.Write(p.line.Bytes())
	return err
}

// offset is an offset that may be none.
func offset(o batch.Offset) any {
	if o == batch.NoOffset {
		return nil
	}
	return int64(o)
}

// heading names the file and the columns when they change.
func (p *Printer) heading(file, kind string, fields []inspect.Field) {
	var names strings.Builder
	names.WriteString(kind)
	for _, f := range fields {
		names.WriteByte(' ')
		names.WriteString(f.Name)
	}
	if file != "" && file != p.file {
		fmt.Fprintf(&p.line, "# %s\n", oneLine(file))
		p.file, p.names = file, ""
	}
	if names.String() == p.names {
		return
	}
	p.names = names.String()
	p.widths = make([]int, len(fields))
	p.line.WriteString("#" + kind)
	for i, f := range fields {
		p.widths[i] = min(len(f.Name), maxPad)
		p.line.WriteByte(' ')
		p.line.WriteString(f.Name)
	}
	p.line.WriteByte('\n')
}

// maxPad is the widest that a column is made for the sake of looks.
const maxPad = 24

func (p *Printer) columns(kind string, fields []inspect.Field) {
	p.line.WriteString(kind)
	for i, f := range fields {
		s := word(f.Value)
		p.line.WriteByte(' ')
		p.line.WriteString(s)
		if i < len(p.widths) && i+1 < len(fields) {
			for n := len(s); n < p.widths[i]; n++ {
				p.line.WriteByte(' ')
			}
			p.widths[i] = min(max(p.widths[i], len(s)), maxPad)
		}
	}
	p.line.WriteByte('\n')
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// word is a value as one column.
func word(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case inspect.Millis:
		if v < 0 {
			return "-"
		}
		if v > 1<<48 { // beyond the year 9999
			return strconv.FormatInt(int64(v), 10) + "ms"
		}
		return time.UnixMilli(int64(v)).UTC().Format(timeLayout)
	case inspect.Bytes:
		if v == nil {
			return "null"
		}
		return strings.ReplaceAll(strconv.QuoteToASCII(string(v)), " ", `\x20`)
	case string:
		return plain(v)
	}
	panic(fmt.Sprintf("show: a field of type %T", v))
}

// plain is a word as it is, if that is safe, and quoted if not.
func plain(s string) string {
	if s == "" {
		return "-"
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strings.ReplaceAll(strconv.QuoteToASCII(s), " ", `\x20`)
		}
	}
	return s
}

// oneLine keeps words readable and everything else from reaching a terminal.
func oneLine(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func (p *Printer) object(kind, file string, fields []inspect.Field) {
	p.line.WriteString(`{"kind":`)
	p.encode(kind)
	p.line.WriteString(`,"file":`)
	p.encode(file)
	var headers []inspect.Field
	for _, f := range fields {
		if f.Name == "headerKey" || f.Name == "headerValue" {
			headers = append(headers, f)
			continue
		}
		p.line.WriteByte(',')
		p.encode(f.Name)
		p.line.WriteByte(':')
		p.value(f.Value)
	}
	if len(headers) > 0 {
		p.headers(headers)
	}
	p.line.WriteString("}\n")
}

// headers are many under one name, so they are an array of key and value.
func (p *Printer) headers(fields []inspect.Field) {
	p.line.WriteString(`,"headerList":[`)
	for i, f := range fields {
		switch {
		case i == 0:
			p.line.WriteByte('[')
		case i%2 == 0:
			p.line.WriteString("],[")
		default:
			p.line.WriteByte(',')
		}
		p.value(f.Value)
	}
	p.line.WriteString("]]")
}

func (p *Printer) value(v any) {
	switch v := v.(type) {
	case inspect.Millis:
		if v < 0 {
			p.line.WriteString("null")
			return
		}
		p.encode(int64(v))
	case inspect.Bytes:
		switch {
		case v == nil:
			p.line.WriteString("null")
		case utf8.Valid(v):
			p.encode(string(v))
		default:
			p.line.WriteString(`{"base64":"` + base64.StdEncoding.EncodeToString(v) + `"}`)
		}
	default:
		p.encode(v)
	}
}

func (p *Printer) encode(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("show: a field of type %T: %v", v, err)) // there are none but words and numbers
	}
	p.line.Write(b)
}
