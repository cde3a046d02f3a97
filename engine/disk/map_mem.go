package disk

import "io/fs"

var _ Mapper = (*Mem)(nil)

// Map implements Mapper by a view of the file's bytes, without a copy. While it is open, shortening the file panics (a real mapping
// would end the process, M1), and writing leaves the view as it was.
func (m *Mem) Map(name string) (*Mapping, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.live[clean(name)]
	if n == nil || n.dir {
		return nil, pathError("mmap", name, fs.ErrNotExist)
	}
	if len(n.data) > MaxMapBytes {
		return nil, pathError("mmap", name, ErrTooLarge)
	}
	n.mapped++
	return newMapping(n.data[:len(n.data):len(n.data)], func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		n.mapped--
		return nil
	}), nil
}
