package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/streambus/streambus/loadscript/internal/omb"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// commandLine is what the arguments of run, check and plan say. A script declares flags of its own, which are known only
// after it has run: so these commands split their arguments by hand. What pflag knows is its; any other --name or
// --name=value is a setting for the script; what is left are scripts. The order is free.
type commandLine struct {
	scripts  []string
	settings []script.Setting
	help     bool
}

// strconvTail is the part of pflag's messages that only a Go programmer understands.
var strconvTail = regexp.MustCompile(`: strconv\..*$`)

// splitArgs sorts the arguments and parses those that belong to flags.
func splitArgs(flags *pflag.FlagSet, args []string) (commandLine, error) {
	var cl commandLine
	var known []string
	isScript := scriptArgs(flags, args)
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			cl.scripts = append(cl.scripts, args[i+1:]...)
			i = len(args)
		case a == "-h" || a == "--help":
			cl.help = true
		case !strings.HasPrefix(a, "-") || a == "-":
			if !isScript[i] && len(cl.scripts) > 0 {
				return cl, usagef("what is %q? Settings are written --name value", a)
			}
			cl.scripts = append(cl.scripts, a)
		default:
			words, isKnown, err := flagWords(flags, args[i:])
			if err != nil {
				return cl, err
			}
			if isKnown {
				known = append(known, args[i:i+words]...)
				i += words - 1
				continue
			}
			set, n, err := unknownFlag(args, i, isScript)
			if err != nil {
				return cl, err
			}
			cl.settings = append(cl.settings, set)
			i += n - 1
		}
	}
	if err := flags.Parse(known); err != nil {
		want := ": want a whole number"
		if strings.Contains(err.Error(), "strconv.ParseBool") {
			want = ": want true or false"
		}
		return cl, usagef("%s", strconvTail.ReplaceAllString(err.Error(), want))
	}
	return cl, nil
}

// scriptArgs marks the arguments that name scripts: those that end in .star and are not the value of a known flag. With
// them out of the way, `--verbose x.star` does not take the script for the value of --verbose.
func scriptArgs(flags *pflag.FlagSet, args []string) map[int]bool {
	marks := map[int]bool{}
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			break
		}
		if strings.HasPrefix(args[i], "-") && args[i] != "-" {
			if n, known, err := flagWords(flags, args[i:]); known && err == nil {
				i += n - 1
			}
			continue
		}
		marks[i] = strings.HasSuffix(args[i], ".star")
	}
	return marks
}

// flagWords says whether the first argument is a known flag and how many arguments it takes up with its value.
func flagWords(flags *pflag.FlagSet, args []string) (words int, known bool, err error) {
	if args[0] == "-" {
		return 0, false, nil
	}
	name, _, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	var f *pflag.Flag
	if strings.HasPrefix(args[0], "--") {
		f = flags.Lookup(strings.ReplaceAll(name, "_", "-"))
	} else {
		f = flags.ShorthandLookup(args[0][1:2])
		hasValue = len(args[0]) > 2
	}
	switch {
	case f == nil:
		return 0, false, nil
	case hasValue || f.NoOptDefVal != "":
		return 1, true, nil
	case len(args) < 2:
		return 0, true, usagef("%s needs a value", args[0])
	}
	return 2, true, nil
}

// unknownFlag reads a setting for the script. Without "=", the next argument is its value unless that is a flag or a script.
func unknownFlag(args []string, i int, isScript map[int]bool) (script.Setting, int, error) {
	a := args[i]
	if !strings.HasPrefix(a, "--") {
		return script.Setting{}, 0, usagef("unknown flag %s: settings of a script are written --name value or -p name=value", a)
	}
	name, value, ok := strings.Cut(a[2:], "=")
	set := script.Setting{Name: name, Value: value, Flag: "--" + name}
	if ok {
		return set, 1, nil
	}
	if i+1 < len(args) && !isScript[i+1] && (!strings.HasPrefix(args[i+1], "-") || isNumber(args[i+1])) {
		set.Value = args[i+1]
		return set, 2, nil
	}
	set.Value, set.Bare = "true", true
	return set, 1, nil
}

// isNumber tells a negative number from a flag.
func isNumber(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' }

// scriptFlags are the flags that run, check and plan share.
type scriptFlags struct {
	params  []string
	brokers string
	seed    uint64
	only    string

	maxSteps uint64
	omb      string // a workload of the Open Messaging Benchmark instead of a script
}

// read reads the script, or the workload.
func (f *scriptFlags) read(ctx context.Context, path string, settings []script.Setting, stderr io.Writer) (*script.Script, error) {
	if f.omb == "" {
		return script.Read(ctx, f.options(path, settings, stderr))
	}
	s, err := omb.Load(path)
	s.Unused = settings // a workload has no parameters
	return s, err
}

// options are how a script is read.
func (f *scriptFlags) options(path string, settings []script.Setting, stderr io.Writer) script.Options {
	return script.Options{Path: path, Settings: settings, Print: stderr, MaxSteps: f.maxSteps}
}

func (f *scriptFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.params, "param", "p", nil, "set a parameter of the script: -p `name=value` is --name value")
	flags.StringVar(&f.brokers, "brokers", "", "bootstrap `host:port,...` of the cluster (also --bootstrap-server); none: a broker of its own is started")
	flags.StringVar(&f.brokers, "bootstrap-server", "", "the same as --brokers")
	flags.Lookup("bootstrap-server").Hidden = true
	flags.StringVar(&f.only, "only", "", "take only the scenario with this `name`")
	flags.StringVar(&f.omb, "import-omb", "", "take the workload `file` of an Open Messaging Benchmark instead of a script")
	flags.Uint64Var(&f.maxSteps, "max-steps", 0, "`number` of steps that a script may take while it is read (default 10 million)")
	flags.Uint64Var(&f.seed, "seed", 0, "`number` that replaces the seed of every scenario")
}

// settings turns the flags that concern the script into settings, in front of those written --name.
func (f *scriptFlags) settings(flags *pflag.FlagSet, cl commandLine) ([]script.Setting, error) {
	var out []script.Setting
	for _, p := range f.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usagef("-p %s: write -p name=value", p)
		}
		out = append(out, script.Setting{Name: name, Value: value, Flag: "-p " + name})
	}
	for _, name := range []string{"brokers", "bootstrap-server"} {
		if flags.Changed(name) {
			out = append(out, script.Setting{Name: "brokers", Value: f.brokers, Flag: "--" + name})
		}
	}
	return append(out, cl.settings...), nil
}

func flagNames(flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// loaded is a script that was read without mistakes, cut down to what the flags ask for.
type loaded struct {
	plan    *plan.Plan
	brokers []string
}

// load reads a script with its settings. Mistakes are printed to stderr; the error then only carries the exit code.
func load(ctx context.Context, cmd *cobra.Command, path string, f *scriptFlags, settings []script.Setting, stderr io.Writer) (*loaded, error) {
	s, err := f.read(ctx, path, settings, stderr)
	if err := loadError(ctx, path, err, stderr); err != nil {
		if unknown := unknownSettings(cmd, path, s); unknown != nil {
			fmt.Fprintf(stderr, "\nloadscript: %s\n", unknown)
		}
		return nil, err
	}
	if err := unknownSettings(cmd, path, s); err != nil {
		return nil, err
	}
	out := &loaded{plan: s.Plan, brokers: s.Brokers()}
	if len(out.brokers) == 0 {
		out.brokers = script.SplitBrokers(f.brokers)
	}
	for _, b := range out.brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
			return nil, usagef("--brokers %s: %q is not host:port; for example --brokers localhost:9092", strings.Join(out.brokers, ","), b)
		}
	}
	if err := f.cutDown(cmd.Flags(), out.plan); err != nil {
		return nil, err
	}
	return out, nil
}

// cutDown applies --only and --seed.
func (f *scriptFlags) cutDown(flags *pflag.FlagSet, p *plan.Plan) error {
	if f.only != "" {
		i := slices.IndexFunc(p.Scenarios, func(s plan.Scenario) bool { return s.Name == f.only })
		if i < 0 {
			var names []string
			for _, s := range p.Scenarios {
				names = append(names, s.Name)
			}
			if n := script.Nearest(f.only, names); n != "" {
				return usagef("--only %s: %s has no such scenario: did you mean %q?", f.only, p.Script, n)
			}
			return usagef("--only %s: %s has no such scenario; it has %q", f.only, p.Script, names)
		}
		p.Scenarios = p.Scenarios[i : i+1]
	}
	if flags.Changed("seed") {
		for i := range p.Scenarios {
			p.Scenarios[i].Seed = f.seed
		}
	}
	return nil
}

// loadError prints why a script could not be read and returns the exit code as an error; nil if it could.
func loadError(ctx context.Context, path string, err error, stderr io.Writer) error {
	var mistakes script.Errors
	var pe *fs.PathError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &exit{code: plan.ExitSignal, msg: context.Cause(ctx).Error()}
	case errors.As(err, &mistakes):
		mistakes.Print(stderr)
		return &exit{code: mistakes.ExitCode()}
	case errors.Is(err, fs.ErrNotExist):
		msg := fmt.Sprintf("there is no script %s", path)
		if n := nearScript(path); n != "" {
			msg += fmt.Sprintf(": did you mean %s?", n)
		}
		return &exit{code: plan.ExitConfig, msg: msg}
	case errors.As(err, &pe):
		return &exit{code: plan.ExitConfig, msg: fmt.Sprintf("%s: %s", pe.Path, pe.Err)}
	default:
		return &exit{code: plan.ExitInternal, msg: err.Error()}
	}
}

// nearScript looks beside a missing script, and in ./scripts, for the one that was meant.
func nearScript(path string) string {
	base := filepath.Base(path)
	if !strings.HasSuffix(base, ".star") {
		base += ".star"
	}
	for _, dir := range []string{filepath.Dir(path), "scripts"} {
		names := starFiles(dir)
		if slices.Contains(names, base) && filepath.Join(dir, base) != path {
			return filepath.Join(dir, base)
		}
		if n := script.Nearest(base, names); n != "" {
			return filepath.Join(dir, n)
		}
	}
	return ""
}

func starFiles(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".star") {
			names = append(names, e.Name())
		}
	}
	return names
}

// unknownSettings reports settings that no param() declared. A broker list is not one: it concerns the run.
func unknownSettings(cmd *cobra.Command, path string, s *script.Script) error {
	var msgs []string
	for _, set := range s.Unused {
		if set.Name == "brokers" {
			continue
		}
		candidates := flagNames(cmd.Flags())
		for _, p := range s.Params {
			candidates = append(candidates, script.Dashed(p.Name))
		}
		msg := fmt.Sprintf("unknown flag %s", set.Flag)
		if strings.HasPrefix(set.Flag, "-p ") {
			msg = fmt.Sprintf("%s: unknown parameter", set.Flag)
		}
		if n := script.Nearest(set.Name, candidates); n != "" {
			msg += fmt.Sprintf(": did you mean --%s?", n)
		} else {
			msg += fmt.Sprintf(": %s declares %s", path, declaredNames(s.Params))
		}
		msgs = append(msgs, msg)
	}
	if len(msgs) == 0 {
		return nil
	}
	return usagef("%s\n  `%s %s --help` lists the flags", strings.Join(msgs, "\nloadscript: "), cmd.CommandPath(), path)
}

func declaredNames(params []plan.Param) string {
	if len(params) == 0 {
		return "no parameters"
	}
	var names []string
	for _, p := range params {
		names = append(names, "--"+script.Dashed(p.Name))
	}
	return strings.Join(names, " ")
}
