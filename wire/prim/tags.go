package prim

// MaxTags is how many tagged fields one section may hold. Kafka's own messages
// define at most four anywhere; the rest is room for versions to come. Skipping
// costs no memory, so the cap only bounds what a hostile section can be made of
// (CVE-2026-111115 is about exactly that, before login).
const MaxTags = 64

// tagMinSize is a tag of one byte and a size of one byte.
const tagMinSize = 2

// TagCount reads the head of a tag section.
func (r *Reader) TagCount() int {
	n := r.Uvarint()
	if n > MaxTags {
		r.malformed("%d tagged fields, at most %d are taken", n, MaxTags)
		return 0
	}
	if int(n) > r.Len()/tagMinSize {
		r.malformed("%d tagged fields in %d bytes", n, r.Len())
		return 0
	}
	r.steps += int(n)
	return int(n)
}

// Tag reads the head of one tagged field; size is never past the end.
func (r *Reader) Tag() (tag uint32, size int) {
	tag = r.Uvarint()
	n := r.Uvarint()
	if int64(n) > int64(r.Len()) {
		r.malformed("tagged field %d of %d bytes, have %d", tag, n, r.Len())
		return 0, 0
	}
	return tag, int(n)
}

// SkipTags reads over a whole tag section.
func (r *Reader) SkipTags() {
	if r.off < len(r.buf) && r.buf[r.off] == 0 { // nearly every section
		r.off++
		return
	}
	r.skipTags()
}

func (r *Reader) skipTags() {
	for n := r.TagCount(); n > 0; n-- {
		_, size := r.Tag()
		r.off += size
	}
}

// Enter narrows the Reader to the next size bytes, a tagged field's, as Tag
// returned it. Pass what it returns to Leave. Sections do not nest deeper than
// the messages do.
func (r *Reader) Enter(size int) (outer int) {
	outer = len(r.buf)
	if !r.Failed() {
		r.buf = r.buf[:r.off+size]
	}
	return outer
}

// Leave widens the Reader again. A field that was not read to its end is
// malformed.
func (r *Reader) Leave(outer int) {
	if r.End() == nil {
		r.buf = r.buf[:outer]
	}
}
