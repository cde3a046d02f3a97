package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
)

// Value is one setting's value and where it came from.
type Value struct {
	Raw    string
	Num    int64    // Int and Long
	Real   float64  // Double
	On     bool     // Bool
	Items  []string // List
	Source string   // "default", "file:line", "environment NAME", "--set"
}

// parse reads raw as d wants it. fault is "" or what would be right.
func (d *Def) parse(raw, source string) (v Value, fault string) {
	v = Value{Raw: strings.TrimSpace(raw), Source: source}
	switch d.Kind {
	case Int, Long:
		n, err := strconv.ParseInt(v.Raw, 10, 64)
		if err != nil || d.outside(n) {
			return v, "it must be " + d.wanted()
		}
		v.Num = n
	case Bool:
		switch strings.ToLower(v.Raw) {
		case "true":
			v.On = true
		case "false":
		default:
			return v, "it must be true or false"
		}
	case List:
		v.Items = splitList(v.Raw)
	case Double:
		f, ok := real(v.Raw)
		if !ok {
			return v, "it must be a number"
		}
		v.Real = f
	}
	if d.Check != nil {
		fault = d.Check(v)
	}
	return v, fault
}

func (d *Def) outside(n int64) bool {
	lo, hi := d.limits()
	return n < lo || n > hi
}

func (d *Def) limits() (lo, hi int64) {
	switch {
	case d.Lo != 0 || d.Hi != 0:
		return d.Lo, d.Hi
	case d.Kind == Int:
		return math.MinInt32, maxInt32
	}
	return math.MinInt64, maxInt64
}

// wanted says in words what numbers d takes.
func (d *Def) wanted() string {
	lo, hi := d.limits()
	switch {
	case lo == hi:
		return fmt.Sprintf("%d, the only value served yet", lo)
	case hi == maxInt64 || hi == maxInt32:
		return fmt.Sprintf("a whole number of at least %d", lo)
	}
	return fmt.Sprintf("a whole number from %d to %d", lo, hi)
}

func splitList(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// Endpoint is one entry of listeners.
type Endpoint struct {
	Name string // PLAINTEXT
	Host string // "" is all addresses
	Port int
}

// Addr is the endpoint as net.Listen takes it.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Loopback says that the endpoint can only be reached from this machine. A name is taken for what it usually means:
// only localhost is.
func (e Endpoint) Loopback() bool {
	if ip := net.ParseIP(e.Host); ip != nil {
		return ip.IsLoopback()
	}
	return e.Host == "localhost"
}

// ParseEndpoint reads NAME://host:port. fault is "" or what would be right.
func ParseEndpoint(s string) (e Endpoint, fault string) {
	name, addr, ok := strings.Cut(s, "://")
	if !ok {
		return e, "it must look like PLAINTEXT://host:port"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return e, fmt.Sprintf("%q must be host:port ([host]:port for IPv6)", addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return e, fmt.Sprintf("the port %q must be a number from 0 to 65535", port)
	}
	return Endpoint{Name: strings.ToUpper(name), Host: host, Port: n}, ""
}

func checkListeners(v Value) string {
	if len(v.Items) != 1 {
		return "it must name exactly one PLAINTEXT listener"
	}
	e, fault := ParseEndpoint(v.Items[0])
	if fault == "" && e.Name != "PLAINTEXT" {
		fault = "only PLAINTEXT listeners are served yet"
	}
	return fault
}

func checkAdvertised(v Value) string {
	if len(v.Items) == 0 {
		return ""
	}
	if fault := checkListeners(v); fault != "" {
		return fault
	}
	if e, _ := ParseEndpoint(v.Items[0]); e.Host == "" || e.Host == "0.0.0.0" || e.Host == "::" {
		return "clients must be told an address that they can reach, not all addresses"
	}
	return ""
}

func checkHTTP(v Value) string {
	if len(v.Items) == 0 {
		return ""
	}
	if len(v.Items) > 1 {
		return "one HTTP listener is served"
	}
	e, fault := ParseEndpoint(v.Items[0])
	if e.Name != "HTTP" {
		return "it must look like http://host:port"
	}
	return fault
}

func checkIO(v Value) string {
	if v.Raw != "auto" && v.Raw != "uring" && v.Raw != "sync" {
		return "it must be auto, uring or sync"
	}
	return ""
}

func checkLogDirs(v Value) string {
	if len(v.Items) > 1 {
		return "one data directory is served yet"
	}
	return ""
}
