package disk

import (
	"errors"
	"io/fs"
)

// TmpSuffix ends the names of files being written. What a crash leaves under such a name is worth nothing.
const TmpSuffix = ".tmp"

// ReplaceFile puts a whole, synced file of these parts in place of the one of that name, if there is one: written beside, synced,
// renamed. The name is durable after SyncDir of the folder, which is the caller's; after a crash at any moment the file is the old or
// the new one. After an error the old one stands, and nothing is left beside it but what even removing failed to reach.
func ReplaceFile(d FS, name string, parts ...[]byte) error {
	tmp := name + TmpSuffix
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	if err = f.WriteVec(parts, 0); err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.Rename(tmp, name)
	}
	if err != nil {
		_ = d.Remove(tmp) // if this fails too, whoever removes leftovers does it
	}
	return err
}
