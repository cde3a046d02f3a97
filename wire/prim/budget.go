package prim

// What decoding may allocate: BudgetFactor bytes for each byte of input, and
// BudgetFloor besides so that small messages need not count. Decoded forms are
// larger than encoded ones (an array of 3-byte elements may become 40-byte
// structs), real traffic stays under a factor of 5.
const (
	BudgetFactor = 8
	BudgetFloor  = 64 << 10

	// reserve is the part of the floor that the Reader does not hand out: the
	// message struct itself and the text of one error come from it.
	reserve = 4 << 10

	stringHeaderBytes = 16
)

// Budget returns how much a Reader over n bytes may allocate.
func Budget(n int) int { return BudgetFactor*n + BudgetFloor - reserve }

// Charge takes n bytes of memory off the budget, as the Go allocator will round
// them up, and reports whether they may be allocated. Call it before
// allocating. A false means that the Reader has failed. n is never negative.
func (r *Reader) Charge(n int) bool {
	if r.Failed() {
		return false
	}
	c := rounded(n)
	if c > r.budget {
		r.fail(ErrBudget, "%d bytes wanted, %d left", n, r.budget)
		return false
	}
	r.budget -= c
	r.charged += c
	return true
}

// Charged returns what Charge has taken so far.
func (r *Reader) Charged() int { return r.charged }

// rounded is an upper bound for what Go's allocator takes for n bytes: small
// objects go up to a multiple of 16, those up to 32 KiB to a size class that is
// never a fifth larger, the rest to whole pages. (Objects with pointers have a
// header of 8 bytes past 512.) TestRounded holds it to the allocator.
func rounded(n int) int {
	switch {
	case n <= 128:
		return (n + 15) &^ 15
	case n <= 32<<10:
		return n + 8 + n/5
	default:
		return (n + 8 + page - 1) &^ (page - 1)
	}
}

const page = 8 << 10
