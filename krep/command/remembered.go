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

// remembered is a list of slaves that the administrator has named, in a file beside the delta file: a
// krep that was killed and started again does not feed behind his back those that he has paused, and does not forget
// those that he wants rebuilt.
type remembered struct {
	what string // for errors
	path string

	turn sync.Mutex // one pause or resume at a time, all of it

	mu    sync.Mutex
	names map[string]bool
}

// maxRemembered bounds the file, in bytes.
const maxRemembered = 1 << 20

// loadPaused reads the list of slaves that are paused, loadResyncs that of those to be rebuilt.
func loadPaused(path string) (*remembered, error) { return loadRemembered("paused slaves", path) }
func loadResyncs(path string) (*remembered, error) {
	return loadRemembered("slaves to be rebuilt", path)
}

// loadRemembered reads the file; that there is none means that nobody is named.
func loadRemembered(what, path string) (*remembered, error) {
	p := &remembered{what: what, path: path, names: make(map[string]bool)}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil && st.Size() > maxRemembered {
		err = errors.New("too long")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("list of %s %q: %w", what, path, err)
	}
	for name := range strings.FieldsSeq(string(text)) {
		p.names[name] = true
	}
	return p, nil
}

// has tells whether a slave is named.
func (p *remembered) has(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[name]
}

// set names a slave, on disk first, or ends that, on disk or not: the disk may be full of what is kept
// for it.
func (p *remembered) set(name string, on bool) error {
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
		return fmt.Errorf("list of %s: %w", p.what, err)
	}
	return nil
}

// write replaces the file, whole and durably.
func (p *remembered) write(names []string) error {
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

// resync has a slave rebuilt from a full copy, now or when it is there again, after a restart of krep too.
func (k *krep) resync(name string) error {
	k.resyncs.turn.Lock()
	defer k.resyncs.turn.Unlock()
	name, err := k.set.Name(name)
	if err != nil {
		return err
	}
	kept := k.resyncs.set(name, true)
	if err := k.set.Resync(name); err != nil || kept == nil {
		return err
	}
	return fmt.Errorf("%s gets a full copy, but a restart of krep before that would forget it: %w", name, kept)
}

// rebuilt takes note that a slave has loaded a full copy, unless another one is wanted by now.
func (k *krep) rebuilt(name string, wanted func() bool) {
	if !k.resyncs.has(name) {
		return
	}
	k.resyncs.turn.Lock()
	defer k.resyncs.turn.Unlock()
	if wanted() {
		return
	}
	if err := k.resyncs.set(name, false); err != nil {
		k.log.Error().Err(err).Str("slave", name).Msg("slave is rebuilt, and would be once more after a restart of krep")
	}
}
