package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// A message is made into a tree by reflection over its struct, so a new API key needs nothing here. The tree is of object, list and
// scalars: what JSON and the text have in common.

// object is the fields of a struct in the order of the protocol.
type object []member

type member struct {
	name  string
	value any // object, list, string, bool, int64, float64, nil
}

// list is an array.
type list []any

// code is text without quotes: a name of Kafka's, an ID, or words about bytes that are not shown.
type code string

// MarshalJSON keeps the order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(strconv.Quote(m.name) + ":")
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// hidden are fields that hold secrets, or what they can be guessed from.
var hidden = map[string]bool{"AuthBytes": true, "Salt": true, "SaltedPassword": true}

// secretNames are parts of the names of settings whose values are secrets.
var secretNames = []string{"password", "secret", "jaas", "token", "credential"}

// always are fields that say what is spoken of, also where they are 0.
var always = map[string]bool{"PartitionIndex": true, "Key": true, "NodeID": true, "LeaderID": true, "Acks": true, "BaseOffset": true, "Offset": true}

// longestQuote is how many bytes of an opaque field are shown.
const longestQuote = 64

// tree makes a message into an object. Unless all are asked for, fields with Kafka's default value, which are also those that the version
// does not carry, are left out, but for those of always.
func tree(m wire.Message, request, all bool) object {
	fresh := wire.NewResponse(m.Key())
	if request {
		fresh = wire.NewRequest(m.Key())
	}
	return structTree(reflect.ValueOf(m).Elem(), reflect.ValueOf(fresh).Elem(), all)
}

func structTree(v, defaults reflect.Value, all bool) object {
	t := v.Type()
	o := object{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "RecordsSize" { // of a broker that splices; never set by decoding
			continue
		}
		if !all && !always[f.Name] && isDefault(v.Field(i), defaults.Field(i)) {
			continue
		}
		value := value(f.Name, v.Field(i), all)
		if f.Name == "Value" && secretSetting(v) {
			value = code("not shown")
		}
		o = append(o, member{f.Name, value})
	}
	return o
}

// secretSetting says whether a struct is the value of a setting that is a secret.
func secretSetting(v reflect.Value) bool {
	name := v.FieldByName("Name")
	if !name.IsValid() || name.Kind() != reflect.String {
		return false
	}
	n := strings.ToLower(name.String())
	for _, s := range secretNames {
		if strings.Contains(n, s) {
			return true
		}
	}
	return false
}

// isDefault compares; an array that is empty is not one that is null.
func isDefault(v, d reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		text := v.Type().Elem().Kind() == reflect.Uint8 // empty or null: nobody makes a difference
		return v.Len() == 0 && d.Len() == 0 && (text || v.IsNil() == d.IsNil())
	case reflect.Pointer:
		return v.IsNil() && d.IsNil()
	case reflect.Struct:
		return reflect.DeepEqual(v.Interface(), d.Interface())
	}
	return v.Interface() == d.Interface()
}

var (
	typeUUID = reflect.TypeFor[wire.UUID]()
	typeCode = reflect.TypeFor[wire.ErrorCode]()
	typeKey  = reflect.TypeFor[wire.Key]()
)

// value is one field.
func value(name string, v reflect.Value, all bool) any {
	switch v.Type() {
	case typeUUID: // as Kafka's own tools print topic IDs
		id := v.Interface().(wire.UUID)
		return code(base64.RawURLEncoding.EncodeToString(id[:]))
	case typeCode, typeKey:
		return code(fmt.Sprint(v.Interface()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return value(name, v.Elem(), all)
	case reflect.Struct:
		return structTree(v, defaultOf(v.Type()), all)
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return contents(name, v.Bytes())
		}
		l := make(list, v.Len())
		for i := range l {
			l[i] = value("", v.Index(i), all)
		}
		return l
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Float64:
		return v.Float()
	case reflect.Uint16:
		return int64(v.Uint())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	}
	panic(fmt.Sprintf("wiredump: a field of kind %s: teach value() about it", v.Type())) // TestAllMessages meets every field
}

// defaultOf is what an element of an array is before it is decoded.
func defaultOf(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	return p.Elem()
}

// contents shows bytes: record batches in words, names as text, secrets not at all, and of the rest the beginning.
func contents(name string, b []byte) any {
	switch {
	case name == "Records":
		return batches(b)
	case hidden[name]:
		return code(fmt.Sprintf("%d bytes, not shown", len(b)))
	case printable(b):
		return string(b)
	case len(b) > longestQuote:
		return code(fmt.Sprintf("%d bytes, %q...", len(b), b[:longestQuote]))
	}
	return code(fmt.Sprintf("%d bytes, %q", len(b), b))
}

func printable(b []byte) bool {
	const longestName = 249 // of a topic
	if len(b) > longestName || !utf8.Valid(b) {
		return false
	}
	return !bytes.ContainsFunc(b, func(r rune) bool { return !unicode.IsPrint(r) })
}

// batches says what a set of record batches holds, and where it goes wrong. A fetch may end inside a batch, which is no error.
func batches(b []byte) any {
	l := list{}
	for len(b) > 0 {
		one, err := batch.First(b)
		if errors.Is(err, batch.ErrShort) {
			return append(l, object{{"Bytes", int64(len(b))}, {"Rest", code("of a batch that is cut off")}})
		}
		if err != nil {
			return append(l, object{{"Bytes", int64(len(b))}, {"Problem", code(err.Error())}})
		}
		l = append(l, batchTree(one))
		b = b[len(one):]
	}
	return l
}

func batchTree(b batch.Batch) object {
	o := object{
		{"BaseOffset", int64(b.BaseOffset())}, {"LastOffset", int64(b.LastOffset())}, {"Count", int64(b.Count())}, {"Bytes", int64(len(b))},
		{"Codec", code(codecName(b.Codec()))}, {"LeaderEpoch", int64(b.LeaderEpoch())},
		{"BaseTimestamp", b.BaseTimestamp()}, {"MaxTimestamp", b.MaxTimestamp()},
	}
	if b.ProducerID() >= 0 {
		o = append(o, member{"ProducerID", int64(b.ProducerID())}, member{"ProducerEpoch", int64(b.ProducerEpoch())}, member{"BaseSequence", int64(b.BaseSequence())})
	}
	if b.Transactional() {
		o = append(o, member{"Transactional", true})
	}
	if t, _, ok := b.ControlType(); ok {
		o = append(o, member{"Control", code(controlName(t))})
	}
	if b.CRC() != b.ComputeCRC() {
		o = append(o, member{"Problem", code(fmt.Sprintf("CRC %08x, but its bytes have %08x", b.CRC(), b.ComputeCRC()))})
	}
	return o
}

func codecName(c batch.Codec) string {
	names := [...]string{batch.None: "none", batch.Gzip: "gzip", batch.Snappy: "snappy", batch.LZ4: "lz4", batch.Zstd: "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", c)
}

func controlName(t batch.ControlType) string {
	if t == batch.Commit {
		return "commit"
	}
	return "abort"
}
