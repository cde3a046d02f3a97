package config

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
)

// oneOf is a check for words, compared with their case.
func oneOf(words ...string) func(Value) string {
	return func(v Value) string {
		if !slices.Contains(words, v.Raw) {
			return "it must be " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
		}
		return ""
	}
}

func ratio(v Value) string {
	if v.Real < 0 || v.Real > 1 {
		return "it must be a number from 0 to 1"
	}
	return ""
}

func cleanupPolicy(v Value) string {
	for _, p := range v.Items {
		if p != "delete" && p != "compact" {
			return "it must be delete, compact, or both"
		}
	}
	if len(v.Items) == 0 {
		return "it must be delete, compact, or both; to keep everything, set retention.ms and retention.bytes to -1"
	}
	return ""
}

func checkAssignors(v Value) string {
	for _, a := range v.Items {
		if a != "uniform" && a != "range" {
			return "it must list uniform, range, or both"
		}
	}
	if len(v.Items) == 0 {
		return "it must list uniform, range, or both"
	}
	return ""
}

// checkThrottled wants PARTITION:BROKER pairs, * or nothing.
func checkThrottled(v Value) string {
	const wanted = "it must be *, or a list of PARTITION:BROKER"
	if v.Raw == "*" {
		return ""
	}
	for _, item := range v.Items {
		p, b, ok := strings.Cut(item, ":")
		if _, err := strconv.ParseUint(p, 10, 31); err != nil || !ok {
			return wanted
		}
		if _, err := strconv.ParseUint(b, 10, 31); err != nil {
			return wanted
		}
	}
	return ""
}

func checkPerIP(v Value) string {
	_, fault := PerIP(v.Items)
	return fault
}

// PerIP reads the items of max.connections.per.ip.overrides: address:count, the count being after the last colon. fault is ""
// or what would be right.
func PerIP(items []string) (limits map[string]int, fault string) {
	limits = map[string]int{}
	for _, item := range items {
		i := strings.LastIndexByte(item, ':')
		if i < 0 {
			return nil, fmt.Sprintf("%q must be ADDRESS:COUNT", item)
		}
		ip := net.ParseIP(strings.Trim(item[:i], "[]"))
		n, err := strconv.ParseUint(item[i+1:], 10, 31)
		if ip == nil || err != nil {
			return nil, fmt.Sprintf("%q must be ADDRESS:COUNT", item)
		}
		limits[ip.String()] = int(n)
	}
	return limits, ""
}

// real reads a finite number.
func real(raw string) (float64, bool) {
	f, err := strconv.ParseFloat(raw, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}
