package ledger

import (
	"fmt"
	"sync"
)

// A group's committed offsets are promises: whoever gets the partition next begins there (L10).
//
//	delivered  0 1 2 3 4 5 6 7          the next member's first record: 6 or later (7 if 6 holds nothing for it),
//	committed            ^ 6            5 or less goes back behind the commit
//	a commit of 9 would be ahead of what was delivered: records 8 … would be skipped
//
// What is delivered again from the commit on is normal, and neither a duplicate of the log nor a going back. A commit without an
// answer promises nothing, but may count.
type commits struct {
	mu      sync.Mutex
	known   bool          // a commit was acknowledged
	last    int64         // the last acknowledged one: the next offset to be read
	resumes map[int]int64 // by member that was assigned the partition and has not had a record yet: the commit of then
	highest int64         // that was asked for, answered or not
	bad     int64
	found   examples
}

// Assigned notes that a member of the group was assigned the partition. Call it before the member asks for its position.
func (r *Reader) Assigned(member int, partition int32) {
	c := &r.parts[partition].commits
	c.mu.Lock()
	delete(c.resumes, member)
	if c.known {
		if c.resumes == nil {
			c.resumes = map[int]int64{}
		}
		c.resumes[member] = c.last
	}
	c.mu.Unlock()
}

// Resumed notes the first offset of what one poll gave to a member, of one partition. Only the first after Assigned is judged.
func (r *Reader) Resumed(member int, partition int32, offset int64) {
	c := &r.parts[partition].commits
	c.mu.Lock()
	defer c.mu.Unlock()
	from, judged := c.resumes[member]
	if !judged {
		return
	}
	delete(c.resumes, member)
	if offset < from {
		r.breach(c, partition, offset, from, "delivered again although the group had committed beyond it")
	}
}

// Committing notes that a member asks to commit the offset: the next one to be read.
func (r *Reader) Committing(partition int32, offset int64) {
	c := &r.parts[partition].commits
	c.mu.Lock()
	c.highest = max(c.highest, offset)
	c.mu.Unlock()
}

// Committed notes that the broker acknowledged a commit. Commits of one partition are to be told in the order in which they
// were acknowledged.
func (r *Reader) Committed(partition int32, offset int64) {
	position := r.Position(partition)
	c := &r.parts[partition].commits
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset > position {
		r.breach(c, partition, offset, position, "committed beyond what was delivered, which ends at the other offset")
	}
	if c.known && offset < c.last {
		r.breach(c, partition, offset, c.last, "committed behind an earlier commit, the other offset")
	}
	c.known, c.last, c.highest = true, offset, max(c.highest, offset)
}

// Stored notes what the broker says is committed when the group is at rest; -1 is nothing.
func (r *Reader) Stored(partition int32, offset int64) {
	c := &r.parts[partition].commits
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.known && offset < c.last:
		r.breach(c, partition, offset, c.last, fmt.Sprintf("the broker says that %d is committed; it had acknowledged the other offset", offset))
	case c.known && offset > c.highest:
		r.breach(c, partition, offset, c.highest, "the broker says that this is committed; nobody asked for more than the other offset")
	}
}

// breach keeps a violation of L10. Caller holds c.mu.
func (r *Reader) breach(c *commits, partition int32, offset, other int64, text string) {
	c.bad++
	c.found.limit = r.topic.opts.Examples
	c.found.add(Example{
		Kind: Offsets, Topic: r.topic.name, Partition: partition, Sequence: -1, Offset: offset, Other: other, Reader: r.name, Text: text,
	})
}

// offsetsBroken closes the account of a group's commits.
func (r *Reader) offsetsBroken(found *examples) (n int64) {
	for _, p := range r.parts {
		p.commits.mu.Lock()
		n += p.commits.bad
		for _, e := range p.commits.found.list {
			found.add(e)
		}
		p.commits.mu.Unlock()
	}
	return n
}
