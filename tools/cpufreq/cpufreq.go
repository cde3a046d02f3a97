// Package cpufreq reads how the kernel chooses the clock of the CPUs, sets the governor of every policy, and puts back what was there.
//
// It is not a judge: what fits a benchmark is tools/checks'. It sets the governor and nothing else: turbo, frequency limits and idle
// states are read or left alone. A machine without cpufreq, as most virtual ones are, has no policies, which is no error.
//
//	t := cpufreq.Tree{Sys: "/sys", Saved: cpufreq.DefaultSaved}
//	s, err := t.Read()           // policies, boost
//	err = t.Set("performance")   // remembers what was there in t.Saved
//	err = t.Restore()            // puts it back and forgets it
//
// The files are those of the kernel's Documentation/admin-guide/pm/cpufreq.rst and intel_pstate.rst:
//
//	devices/system/cpu/cpufreq/policy*/scaling_{driver,governor,available_governors,max_freq}, affected_cpus, cpuinfo_max_freq
//	devices/system/cpu/cpufreq/boost             1 on, 0 off
//	devices/system/cpu/intel_pstate/no_turbo     1 off, 0 on; intel_pstate has no boost file
package cpufreq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// DefaultSaved is where Set remembers what was there. Like the governors themselves, /run does not outlive a boot.
const DefaultSaved = "/run/streambus-governor.json"

// ErrNone is a machine whose clock the kernel does not control: there is nothing to set.
var ErrNone = errors.New("this machine has no cpufreq: its host, or its firmware, chooses the clock")

// ErrNothingSaved is Restore without a Set before.
var ErrNothingSaved = errors.New("nothing is remembered, so there is nothing to put back")

// Tree is a sysfs, and the file in which Set remembers what was there.
type Tree struct {
	Sys   string // usually /sys
	Saved string // usually DefaultSaved
}

// Policy is a set of CPUs that share a clock.
type Policy struct {
	Name           string   `json:"name"` // policy0
	CPUs           string   `json:"cpus"` // as the kernel says it: "0 1"
	Driver         string   `json:"driver"`
	Governor       string   `json:"governor"`
	Available      []string `json:"available"`
	MaxKHz         int64    `json:"max_khz"`          // the highest the governor may choose; 0 unknown
	HardwareMaxKHz int64    `json:"hardware_max_khz"` // the highest there is; 0 unknown
}

// State is what Read found.
type State struct {
	Policies []Policy `json:"policies"` // none: no cpufreq
	Boost    *bool    `json:"boost"`    // turbo is on or off; nil: the kernel does not say
	BoostOff string   `json:"-"`        // the command that switches it off
}

// saved is the format of the file Tree.Saved.
type saved struct {
	Governors map[string]string `json:"governors"` // policy -> what it had before the first Set
}

func (t Tree) cpu(parts ...string) string {
	return filepath.Join(append([]string{t.Sys, "devices", "system", "cpu"}, parts...)...)
}

// Read looks at every policy. An error means that a policy is there and cannot be read.
func (t Tree) Read() (State, error) {
	var s State
	dirs, err := filepath.Glob(t.cpu("cpufreq", "policy[0-9]*"))
	if err != nil {
		return s, err
	}
	slices.SortFunc(dirs, func(a, b string) int { return number(a) - number(b) })
	for _, dir := range dirs {
		p := Policy{Name: filepath.Base(dir), CPUs: line(dir, "affected_cpus"), Driver: line(dir, "scaling_driver"),
			Available: strings.Fields(line(dir, "scaling_available_governors")),
			MaxKHz:    kHz(dir, "scaling_max_freq"), HardwareMaxKHz: kHz(dir, "cpuinfo_max_freq")}
		b, err := os.ReadFile(filepath.Join(dir, "scaling_governor"))
		if err != nil {
			return s, fmt.Errorf("the governor of %s: %w", p.Name, err)
		}
		p.Governor = strings.TrimSpace(string(b))
		s.Policies = append(s.Policies, p)
	}
	switch {
	case line(t.cpu("intel_pstate"), "no_turbo") != "":
		on := line(t.cpu("intel_pstate"), "no_turbo") == "0"
		s.Boost, s.BoostOff = &on, "echo 1 | sudo tee "+filepath.Join(t.cpu("intel_pstate"), "no_turbo")
	case line(t.cpu("cpufreq"), "boost") != "":
		on := line(t.cpu("cpufreq"), "boost") == "1"
		s.Boost, s.BoostOff = &on, "echo 0 | sudo tee "+filepath.Join(t.cpu("cpufreq"), "boost")
	}
	return s, nil
}

// Set gives every policy the governor. What was there before the first Set is kept in t.Saved first, so that Restore can put it back also
// after a Set that failed half way.
func (t Tree) Set(governor string) error {
	s, err := t.Read()
	if err != nil {
		return err
	}
	if len(s.Policies) == 0 {
		return ErrNone
	}
	before := saved{Governors: map[string]string{}}
	for _, p := range s.Policies {
		if !slices.Contains(p.Available, governor) {
			return fmt.Errorf("%s (%s) has no governor %q: it has %s", p.Name, p.Driver, governor, strings.Join(p.Available, ", "))
		}
		before.Governors[p.Name] = p.Governor
	}
	if err := t.tryWriting(s.Policies[0].Name); err != nil {
		return err // nothing has changed, so nothing is to be remembered
	}
	if err := t.remember(before); err != nil {
		return err
	}
	for _, p := range s.Policies {
		if err := t.write(p.Name, governor); err != nil {
			return fmt.Errorf("%w; `--restore` puts back those that were changed", err)
		}
	}
	return nil
}

// tryWriting asks whether the governor may be written, and writes nothing.
func (t Tree) tryWriting(policy string) error {
	f, err := os.OpenFile(t.file(policy), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// remember keeps what was there, unless an earlier Set has: its answer is the older one.
func (t Tree) remember(s saved) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(t.Saved, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remembering what was there: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// Restore puts back what Set has remembered, and forgets it once all of it is back.
func (t Tree) Restore() error {
	b, err := os.ReadFile(t.Saved)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%s is not there)", ErrNothingSaved, t.Saved)
	}
	if err != nil {
		return err
	}
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s cannot be read: %w; set the governors by hand and remove the file", t.Saved, err)
	}
	for policy, governor := range s.Governors {
		if policy != filepath.Base(policy) || !strings.HasPrefix(policy, "policy") {
			return fmt.Errorf("%s names %q, which is no policy; set the governors by hand and remove the file", t.Saved, policy)
		}
		if err := t.write(policy, governor); err != nil {
			return err
		}
	}
	return os.Remove(t.Saved)
}

func (t Tree) file(policy string) string { return t.cpu("cpufreq", policy, "scaling_governor") }

func (t Tree) write(policy, governor string) error {
	f, err := os.OpenFile(t.file(policy), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(governor)
	return errors.Join(err, f.Close())
}

// Explain says what to do about an error of Set or Restore. command is the command line that failed.
func Explain(err error, command string) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; /sys is read-only here, as in most containers: run `%s` on the host", err, command)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; only root may do that: sudo %s", err, command)
	}
	return err
}

// line is the one line of a file of sysfs, or nothing.
func line(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func kHz(dir, name string) int64 {
	n, err := strconv.ParseInt(line(dir, name), 10, 64)
	if err != nil {
		return 0 // unknown
	}
	return n
}

// number is that of policy12; anything else sorts first.
func number(dir string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "policy"))
	if err != nil {
		return -1
	}
	return n
}
