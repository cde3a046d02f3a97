package ledger

import "testing"

// L10: what a group may and may not do with its commits. The log has 40 records, of which 30 are delivered to member 1.
func TestCommittedOffsets(t *testing.T) {
	for name, c := range map[string]struct {
		then func(b *broker, r *Reader)
		want counting
	}{
		"committed what was delivered": {func(_ *broker, r *Reader) {
			r.Committed(0, 10)
			r.Committed(0, 10) // again, with nothing new
			r.Committed(0, 30)
			r.Stored(0, 30)
		}, counting{}},
		"committed beyond": {func(_ *broker, r *Reader) { r.Committed(0, 31) }, counting{Offsets: 1}},
		"committed backwards": {func(_ *broker, r *Reader) {
			r.Committed(0, 20)
			r.Committed(0, 19)
		}, counting{Offsets: 1}},
		"the next member begins at the commit": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Assigned(2, 0)
			r.Resumed(2, 0, 20)
			b.read(r, 0, 20, 40)
		}, counting{}},
		"the next member begins behind the commit": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Assigned(2, 0)
			r.Resumed(2, 0, 19)
			b.read(r, 0, 19, 40)
		}, counting{Offsets: 1}},
		"only the first record after an assignment is judged": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Assigned(2, 0)
			r.Resumed(2, 0, 25)
			r.Resumed(2, 0, 3) // member 2's poll of long ago
			r.Resumed(1, 0, 7) // member 1 holds on to what it polled
		}, counting{}},
		"a commit while the next member looks up its position": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Assigned(2, 0)
			r.Committed(0, 30)
			r.Resumed(2, 0, 20)
		}, counting{}},
		"nothing was committed yet": {func(b *broker, r *Reader) {
			r.Assigned(2, 0)
			r.Resumed(2, 0, 0)
		}, counting{}},
		"a commit without an answer may count": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Committing(0, 25)
			r.Stored(0, 25)
		}, counting{}},
		"a commit without an answer may not count": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Committing(0, 25)
			r.Stored(0, 20)
		}, counting{}},
		"the broker forgot the commit": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Stored(0, -1)
		}, counting{Offsets: 1}},
		"the broker made one up": {func(b *broker, r *Reader) {
			r.Committed(0, 20)
			r.Committing(0, 25)
			r.Stored(0, 26)
		}, counting{Offsets: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(1)
			b.produce(0, 40)
			r := b.t.Reader("group billing")
			r.Assigned(1, 0)
			r.Resumed(1, 0, 0)
			b.read(r, 0, 0, 30)
			c.then(b, r)
			expect(t, b.t.Judge(nil), c.want)
		})
	}
}
