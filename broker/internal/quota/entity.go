package quota

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
)

// The quotas of Kafka.
const (
	ProducerByteRate       = "producer_byte_rate"       // bytes a second
	ConsumerByteRate       = "consumer_byte_rate"       // bytes a second
	RequestPercentage      = "request_percentage"       // percent of one processor
	ControllerMutationRate = "controller_mutation_rate" // partitions made or deleted a second
	ConnectionRate         = "connection_creation_rate" // connections a second; of an address only
)

// Types of an entity's parts.
const (
	TypeUser     = "user"
	TypeClientID = "client-id"
	TypeIP       = "ip"
)

var (
	// ErrRequest: entities, keys or filters that make no sense (Kafka: INVALID_REQUEST).
	ErrRequest = errors.New("invalid quota request")
	// ErrUnsupported: a filter asks for a type of entity that there is not (Kafka: UNSUPPORTED_VERSION).
	ErrUnsupported = errors.New("entity type is not supported")
)

// Part is one part of an entity: not given (the zero Part), the default of its type, or a name.
type Part struct {
	Given   bool
	Default bool
	Name    string
}

// Named is a part that is a name.
func Named(name string) Part { return Part{Given: true, Name: name} }

// TheDefault is the part that stands for all names that have no quota of their own.
var TheDefault = Part{Given: true, Default: true}

// Entity is whom a quota is for: a user, a client id, both, or an address.
type Entity struct{ User, ClientID, IP Part }

// Of gives the part of a type; nil for a type that there is not.
func (e *Entity) Of(kind string) *Part {
	switch kind {
	case TypeUser:
		return &e.User
	case TypeClientID:
		return &e.ClientID
	case TypeIP:
		return &e.IP
	}
	return nil
}

// NamedPart is a part as the protocol gives it. A nil name is the default.
type NamedPart struct {
	Type string
	Name *string
}

// ParseEntity puts an entity together. Errors: ErrRequest.
func ParseEntity(parts []NamedPart) (e Entity, err error) {
	for _, in := range parts {
		p := e.Of(in.Type)
		switch {
		case p == nil:
			return e, fmt.Errorf("%w: entity type %q; there are user, client-id and ip", ErrRequest, in.Type)
		case p.Given:
			return e, fmt.Errorf("%w: entity type %s is given twice", ErrRequest, in.Type)
		case in.Name == nil:
			*p = TheDefault
		case *in.Name == "" || len(*in.Name) > maxName:
			return e, fmt.Errorf("%w: the name of a %s must have 1 to %d bytes", ErrRequest, in.Type, maxName)
		default:
			*p = Named(*in.Name)
		}
	}
	switch {
	case e == Entity{}:
		return e, fmt.Errorf("%w: the entity is empty", ErrRequest)
	case e.IP.Given && (e.User.Given || e.ClientID.Given):
		return e, fmt.Errorf("%w: an ip cannot be combined with a user or client-id", ErrRequest)
	case e.IP.Given && !e.IP.Default:
		ip := net.ParseIP(e.IP.Name)
		if ip == nil {
			return e, fmt.Errorf("%w: %q is not an address", ErrRequest, e.IP.Name)
		}
		e.IP.Name = ip.String()
	}
	return e, nil
}

const maxName = 1024

// Parts is the entity as the protocol gives it, in the order user, client-id, ip.
func (e Entity) Parts() []NamedPart {
	var out []NamedPart
	for _, kind := range []string{TypeUser, TypeClientID, TypeIP} {
		if p := e.Of(kind); p.Given {
			np := NamedPart{Type: kind}
			if !p.Default {
				np.Name = &p.Name
			}
			out = append(out, np)
		}
	}
	return out
}

// CheckValue says whether an entity may have a quota of that value. Errors: ErrRequest.
func CheckValue(e Entity, key string, v float64) error {
	if err := CheckKey(e, key); err != nil {
		return err
	}
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 && key != ConnectionRate || v < 0:
		return fmt.Errorf("%w: %s = %v: it must be greater than 0", ErrRequest, key, v)
	case key == ConnectionRate && v > math.MaxInt32, v > math.MaxInt64/2:
		return fmt.Errorf("%w: %s = %v: it is too large", ErrRequest, key, v)
	case key != RequestPercentage && key != ControllerMutationRate && v != math.Trunc(v):
		return fmt.Errorf("%w: %s = %v: it must be a whole number", ErrRequest, key, v)
	}
	return nil
}

// CheckKey says whether an entity may have that quota. Errors: ErrRequest.
func CheckKey(e Entity, key string) error {
	switch key {
	case ProducerByteRate, ConsumerByteRate, RequestPercentage, ControllerMutationRate:
		if !e.IP.Given {
			return nil
		}
	case ConnectionRate:
		if e.IP.Given {
			return nil
		}
	default:
		return fmt.Errorf("%w: quota %q is not known", ErrRequest, key)
	}
	return fmt.Errorf("%w: quota %s is not for such an entity", ErrRequest, key)
}

// Change is one change of one quota of an entity.
type Change struct {
	Key    string
	Value  float64
	Remove bool
}

// Alter gives the quotas of an entity with changes made; old stays as it is. Errors: ErrRequest.
func Alter(e Entity, old map[string]float64, changes []Change) (map[string]float64, error) {
	out := map[string]float64{}
	for k, v := range old {
		out[k] = v
	}
	seen := map[string]bool{}
	for _, c := range changes {
		if seen[c.Key] {
			return nil, fmt.Errorf("%w: %s is changed twice", ErrRequest, c.Key)
		}
		seen[c.Key] = true
		if c.Remove {
			if err := CheckKey(e, c.Key); err != nil {
				return nil, err
			}
			delete(out, c.Key)
			continue
		}
		if err := CheckValue(e, c.Key, c.Value); err != nil {
			return nil, err
		}
		out[c.Key] = c.Value
	}
	return out, nil
}

// Match says how a filter's component matches, with the numbers of DescribeClientQuotas (KIP-546).
type Match int8

// The matches.
const (
	Exact       Match = 0 // the name
	DefaultOnly Match = 1
	AnyGiven    Match = 2 // any name, and the default
)

// Component is one component of a filter.
type Component struct {
	Type  string
	Match Match
	Name  *string // of Exact only
}

// Filter chooses entities: those that match all components, and, where it is strict, have no other parts.
type Filter struct {
	Components []Component
	Strict     bool
}

// Check says whether a filter makes sense. Errors: ErrRequest, ErrUnsupported.
func (f Filter) Check() error {
	seen := map[string]bool{}
	for _, c := range f.Components {
		switch {
		case c.Type == "":
			return fmt.Errorf("%w: a filter's component has no entity type", ErrRequest)
		case (&Entity{}).Of(c.Type) == nil:
			return fmt.Errorf("%w: %q", ErrUnsupported, c.Type)
		case seen[c.Type]:
			return fmt.Errorf("%w: entity type %s is filtered twice", ErrRequest, c.Type)
		case c.Match == Exact && c.Name == nil:
			return fmt.Errorf("%w: an exact match of a %s needs a name", ErrRequest, c.Type)
		case (c.Match == DefaultOnly || c.Match == AnyGiven) && c.Name != nil:
			return fmt.Errorf("%w: match type %d of a %s takes no name", ErrRequest, c.Match, c.Type)
		case c.Match < Exact || c.Match > AnyGiven:
			return fmt.Errorf("%w: match type %d is not known", ErrRequest, c.Match)
		}
		seen[c.Type] = true
	}
	if seen[TypeIP] && len(seen) > 1 {
		return fmt.Errorf("%w: an ip cannot be combined with a user or client-id", ErrRequest)
	}
	return nil
}

func (f Filter) matches(e Entity) bool {
	for _, c := range f.Components {
		p := e.Of(c.Type)
		switch c.Match {
		case Exact:
			if !p.Given || p.Default || p.Name != *c.Name {
				return false
			}
		case DefaultOnly:
			if !p.Default {
				return false
			}
		case AnyGiven:
			if !p.Given {
				return false
			}
		}
	}
	return !f.Strict || len(e.Parts()) == len(f.Components)
}

// Entry is an entity and its quotas.
type Entry struct {
	Entity Entity
	Quotas map[string]float64
}

// Describe lists the entities of all that a filter chooses, in an order that does not change. Errors: those of Check.
func Describe(all map[Entity]map[string]float64, f Filter) ([]Entry, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	var out []Entry
	for e, q := range all {
		if f.matches(e) {
			out = append(out, Entry{e, q})
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return Compare(a.Entity, b.Entity) })
	return out, nil
}

// Compare orders entities.
func Compare(a, b Entity) int {
	return cmp.Or(compareParts(a.User, b.User), compareParts(a.ClientID, b.ClientID), compareParts(a.IP, b.IP))
}

func compareParts(a, b Part) int {
	rank := func(p Part) int {
		switch {
		case !p.Given:
			return 0
		case p.Default:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Name, b.Name))
}
