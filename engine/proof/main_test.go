package proof

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/proof/victim"
)

// victimEnv makes this test program be the victim: so the victim has the same build tags, and needs no second build.
const victimEnv = "STREAMBUS_PROOF_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		os.Exit(victim.Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

var seedFlag = flag.Uint64("proof.seed", 0, "seed of the random tests; 0 draws one")

// seeded gives the seed, and the line that repeats the test with it.
func seeded(t *testing.T) (seed uint64, repeat func(seed uint64, flags string) string) {
	seed = *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	return seed, func(seed uint64, flags string) string {
		return fmt.Sprintf("\nrepeat: go test ./engine/proof -count=1 -run '^%s$' -proof.seed=%d %s", t.Name(), seed, flags)
	}
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// patience ends a test that hangs. It is no measurement: nothing that works takes a hundredth of it.
const patience = 2 * time.Minute

// must finish f, or the program ends with all stacks.
func must(what string, f func()) {
	alarm := time.AfterFunc(patience, func() { panic("hangs: " + what) })
	defer alarm.Stop()
	f()
}
