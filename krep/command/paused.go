package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// paused remembers which slaves the administrator has paused, in a file beside the delta file: a
// krep that was killed and started again does not feed them behind his back.
type paused struct {
	path string

	turn sync.Mutex // one pause or resume at a time, all of it

	mu    sync.Mutex
	names map[string]bool
}

// maxPaused bounds the file, in bytes.
const maxPaused = 1 << 20

// loadPaused reads the file; that there is none means that nobody is paused.
func loadPaused(path string) (*paused, error) {
	p := &paused{path: path, names: make(map[string]bool)}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil && st.Size() > maxPaused {
		err = errors.New("too long")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("list of paused slaves %q: %w", path, err)
	}
	for name := range strings.FieldsSeq(string(text)) {
		p.names[name] = true
	}
	return p, nil
}

// has tells whether a slave is paused.
func (p *paused) has(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[name]
}

// set pauses a slave, on disk first, or ends that, on disk or not: the disk may be full of what is kept
// for it.
func (p *paused) set(name string, on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := maps.Clone(p.names)
	if names[name] = on; !on {
		delete(names, name)
	}
	err := p.write(slices.Sorted(maps.Keys(names)))
	if err == nil || !on {
		p.names = names
	}
	if err != nil {
		return fmt.Errorf("list of paused slaves: %w", err)
	}
	return nil
}

// write replaces the file, whole and durably.
func (p *paused) write(names []string) error {
	draft := p.path + ".new"
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err == nil {
			_, err = fmt.Fprintln(f, name)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(draft, p.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	dir, err := os.Open(filepath.Dir(p.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// pause stops feeding a slave, or goes on.
func (k *krep) pause(name string, on bool) error {
	k.paused.turn.Lock()
	defer k.paused.turn.Unlock()
	name, err := k.set.Name(name)
	if err != nil {
		return err
	}
	kept := k.paused.set(name, on)
	if kept != nil && on {
		return kept
	}
	k.log.Info().Str("slave", name).Bool("paused", on).Msg("asked for by the administrator")
	if err := k.set.Pause(name, on); err != nil || kept == nil {
		return err
	}
	return fmt.Errorf("%s is fed again, but would be paused again after a restart of krep; resume it once more when this is mended: %w", name, kept)
}
