package plan

import "fmt"

// ExitCode is what the process says to the shell. The numbers follow k6, which users' pipelines know; 94 to 96 are our own.
// When several apply, the worst harm wins: see Worse.
type ExitCode int

// The exit codes of loadscript. 1 is left to faults of loadscript itself (a bug, a full disk), 130 to a second interrupt.
const (
	ExitPass        ExitCode = 0   // every threshold and every invariant held
	ExitInternal    ExitCode = 1   // loadscript itself failed
	ExitUnreachable ExitCode = 94  // the cluster could not be reached, or a fault could not be applied
	ExitInvalid     ExitCode = 95  // the measurement is invalid: the generator was the limit, or a fault did not come about
	ExitInvariant   ExitCode = 96  // records were lost, repeated, reordered or changed: the worst, it wins
	ExitThreshold   ExitCode = 99  // a threshold failed
	ExitConfig      ExitCode = 104 // bad flags or configuration
	ExitSignal      ExitCode = 105 // stopped by a signal; the report is still written
	ExitScript      ExitCode = 107 // the script is wrong
	ExitKilled      ExitCode = 130 // a second signal: stopped at once, nothing written
)

// exitDocs is in the order in which `loadscript doc exit-codes` prints it.
var exitDocs = []struct {
	Code ExitCode
	Doc  string
}{
	{ExitPass, "passed: every threshold and every invariant held"},
	{ExitUnreachable, "the cluster could not be reached"},
	{ExitInvalid, "the measurement is invalid: loadscript was the limit, or a fault did not come about"},
	{ExitInvariant, "an invariant was violated: records lost, repeated, reordered or changed (wins over all others)"},
	{ExitThreshold, "a threshold failed"},
	{ExitConfig, "bad flags or configuration"},
	{ExitSignal, "stopped by a signal; the report is still written"},
	{ExitScript, "the script is wrong: every mistake is listed with its place"},
	{ExitKilled, "a second signal: stopped at once, no report"},
	{ExitInternal, "loadscript itself failed"},
}

// ExitCodes lists every exit code with its meaning, the usual one first.
func ExitCodes() (codes []ExitCode, docs []string) {
	for _, e := range exitDocs {
		codes, docs = append(codes, e.Code), append(docs, e.Doc)
	}
	return codes, docs
}

// String says what the code means.
func (c ExitCode) String() string {
	for _, e := range exitDocs {
		if e.Code == c {
			return e.Doc
		}
	}
	return fmt.Sprintf("exit code %d", int(c))
}

// harm orders the verdicts from harmless to worst.
var harm = []ExitCode{ExitPass, ExitSignal, ExitThreshold, ExitInvalid, ExitUnreachable, ExitInternal, ExitKilled, ExitConfig, ExitScript, ExitInvariant}

// Worse returns the code that wins when both apply: a violated invariant beats everything, an invalid measurement beats a
// failed threshold (its numbers cannot be trusted), and a failed threshold beats a signal.
func Worse(a, b ExitCode) ExitCode {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(c ExitCode) int {
	for i, h := range harm {
		if h == c {
			return i
		}
	}
	return len(harm) // unknown codes are worst: nobody planned for them
}
