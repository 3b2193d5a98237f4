//go:build !linux

package deltafile

import "path/filepath"

// FileWatch watches one file, here by way of its directory.
type FileWatch struct{ *DirWatch }

// WatchFile watches for changes of the file that path names, whatever file that is by then. The
// directory must exist; the file need not.
func WatchFile(path string) (*FileWatch, error) {
	d, err := WatchDir(filepath.Dir(path))
	return &FileWatch{d}, err
}
