package localhub

import (
	"errors"
	"os"
	"path/filepath"

	"twinboard/localhub/store"
)

var errLocked = errors.New("the lock is taken")

// folderLock keeps other processes off a data folder: two registries on one
// store would each answer from its own memory.
type folderLock struct{ file *os.File }

// lockFolder takes the folder or fails at once with a *DataError.
func lockFolder(data string) (*folderLock, error) {
	f, err := lockFile(filepath.Join(data, "lock"))
	if errors.Is(err, errLocked) {
		return nil, &DataError{Kind: store.InUse, Path: data}
	}
	if err != nil {
		return nil, store.FileError(data, err)
	}
	return &folderLock{f}, nil
}

func (l *folderLock) release() error { return l.file.Close() }
