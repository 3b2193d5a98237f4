package sim

import (
	"bytes"
	"maps"
	"slices"

	"krealm/deltafile"
)

// What stands on a platter is not always what was written there: a bit has turned over, a block was never written though the
// disk has said so. That is no power cut's ordinary doing, and may be in what an fsync has made sure of. Then
// a promise may be broken, but nobody may be told wrong things: what is damaged is found, and given up
// for a full copy, or told.

// rot damages a file's octets. d.mu is held.
func (d *disk) rot(name string, i *inode, x uint64) {
	if len(i.data) == 0 {
		return
	}
	b, at := slices.Clone(i.data), int(mix(x)%uint64(len(i.data)))
	if x%2 == 0 {
		b[at] ^= 1 << (x >> 8 % 8)
	} else {
		at -= at % 512
		clear(b[at:min(at+512, len(b))])
	}
	if bytes.Equal(b, i.data) {
		return
	}
	head := bytes.SplitAfterN(i.data, []byte("\n"), 3)
	i.data, i.durable, i.sure = b, b, nil
	i.scan.damaged, i.rotten, d.lied = true, true, true
	d.h.w.stats.rots++
	if name == spoolName {
		d.h.rottenSpool = true
	} else if at < len(b)-len(head[len(head)-1]) {
		d.h.rottenHead = true
	}
	if l := d.h.legacy; l != nil && name == deltaName {
		l.rotten()
	}
	d.h.log.Debug().Str("file", alias(name)).Int("offset", at).Msg("rotten")
}

// rotten notes that what tools were told of the delta file is void: its disk has lost it.
func (l *legacy) rotten() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sure = deltafile.State{}
}

// rotSpool damages the spool of a machine while its krepd runs.
func (h *host) rotSpool(x uint64) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if i := h.disk.names[spoolName]; i != nil {
		h.disk.rot(spoolName, i, x)
	}
}

// clean has an administrator remove what is left alone for being no delta file, or another one, each program has said
// so, and start those again that had to do with it.
func (h *host) clean() {
	cleaned := h.cleanDisk()
	for _, r := range h.roles {
		if cleaned && r.p != nil {
			r.p.kill()
		}
	}
}

func (h *host) cleanDisk() (cleaned bool) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	for _, name := range []string{deltaName, spoolName} {
		if i := h.disk.names[name]; i != nil && i.rotten {
			h.disk.set(change{taken: name}, &proc{name: "administrator"})
			cleaned = true
		}
	}
	h.disk.durable, h.disk.journal = maps.Clone(h.disk.names), nil
	return cleaned
}
