package krb

import (
	"io/fs"
	"syscall"
)

// inode is part of a file's stamp: a file renamed into place may have size and time of the old.
func inode(st fs.FileInfo) any {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(s.Dev), s.Ino}
	}
	return nil
}
