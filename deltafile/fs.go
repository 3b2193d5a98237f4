package deltafile

import (
	"context"
	"io"
)

// FS is what this package needs of a file system. OSFS is the real one; tests put faults
// behind it. Errors must satisfy errors.Is with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// Open opens a regular file for reading.
	Open(name string) (File, error)
	// OpenAppend opens an existing regular file for reading and appending.
	OpenAppend(name string) (File, error)
	// Create makes a new file, mode 0600, for reading and appending; fs.ErrExist if there is
	// one.
	Create(name string) (File, error)
	// Link gives a file a second name; fs.ErrExist if the name is taken.
	Link(oldname, newname string) error
	// Rename replaces newname in one step.
	Rename(oldname, newname string) error
	// Remove takes a name away.
	Remove(name string) error
	// Stat tells what file a name stands for.
	Stat(name string) (Info, error)
	// Names lists a directory.
	Names(dir string) ([]string, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is an open file. Implementations must be comparable with ==, as pointers are, and safe
// for concurrent use.
type File interface {
	io.ReaderAt
	io.Writer // at the end, whatever it is by then
	io.Closer
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
	// Sync makes the content durable.
	Sync() error
	// Stat tells which file this is and its size.
	Stat() (Info, error)
	// Lock waits for the exclusive advisory lock of the file (flock) or for ctx. Every open
	// file is its own owner.
	Lock(ctx context.Context) error
	// Unlock gives the lock back. So does Close.
	Unlock() error
}

// Info identifies a file and gives its size in bytes.
type Info struct {
	Dev, Ino uint64
	Size     int64
}
