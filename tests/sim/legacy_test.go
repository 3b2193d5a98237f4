package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/krep/sender"
)

// legacy is the database of a master that has none of ours: its tools change it and then append the
// change to the delta file, and full copies come from a command that dumps it. What is committed is
// durable. With each change it notes whose entry has changed; the tool strikes that out when it was
// told that the change is appended. So a change is appended in the end, whoever dies
// (krep/dumpcmd, condition 2).
type legacy struct {
	h *host

	mu      sync.Mutex
	content map[string]string // lines by name
	unsent  map[string]int    // entries that have changed since they were appended: the last of these changes
	changes int
	renewed bool // it was wholly replaced, and the delta file does not say so yet
	doubts  []*doubt

	seen   *inode // the delta file when last looked at,
	size   int    // so long,
	last   sight
	known  map[deltafile.Hash]map[string]string // content by the hash of its point in the history
	parent map[deltafile.Hash]deltafile.Hash
	sure   deltafile.State // last that a tool was told is appended
}

// doubt is about a dump: it counts as the state that the delta file had when the command began, and may
// hold changes of later. Who has loaded it and followed the file beyond upto has none of
// them too early any more (krep/dumpcmd, U).
type doubt struct {
	from  deltafile.State
	upto  uint64
	names map[string]int // changes that the dump may hold and that were not appended then
	never bool           // nothing of this epoch makes up for it
}

// tgs is the entry without which a dump is none.
const tgs = "krbtgt/" + realmName

func newLegacy(h *host) *legacy {
	l := &legacy{h: h, content: map[string]string{}, unsent: map[string]int{},
		known: map[deltafile.Hash]map[string]string{}, parent: map[deltafile.Hash]deltafile.Hash{}}
	e := edit{name: tgs, value: 1}
	l.content[e.full()] = string(e.line())
	return l
}

func (l *legacy) open(*proc, string) (database, error) {
	return nil, errors.New("not a database of ours")
}

func (l *legacy) rows() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.content)
}

func (l *legacy) tamper(string) {}
func (l *legacy) refuse(bool)   {}

// look reads the delta file: it is all of the master that others see.
func (l *legacy) look() (sight, bool) {
	i := l.h.disk.current(deltaName)
	if i == nil {
		fresh := l.last != sight{}
		l.seen, l.last = nil, sight{}
		return l.last, fresh
	}
	if i == l.seen && len(i.data) == l.size {
		return l.last, false
	}
	base, css, _ := parse(i.data)
	l.seen, l.size = i, len(i.data)
	if base.IsZero() {
		return l.last, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[base.Hash] == nil {
		if base.Serial != 0 && !l.h.rottenHead {
			l.h.w.fail("O1: the delta file begins at %v, where it has never been", base)
			return l.last, false
		}
		l.known[base.Hash] = maps.Clone(l.content)
		l.h.w.oracle.learn(base, digestOf(l.content))
	}
	v := sight{at: base, digest: digestOf(l.known[base.Hash])}
	if l.h.rottenHead { // serial and epoch may be others than they were: no hash is over them
		l.h.w.oracle.history[at(base)] = moment{v.digest}
	}
	for _, cs := range css {
		prev := v.at
		v.at, v.last = v.at.After(cs), cs
		if l.known[v.at.Hash] != nil {
			continue
		}
		l.parent[v.at.Hash] = prev.Hash
		l.known[v.at.Hash] = played(l.known[prev.Hash], cs.Lines)
		l.h.w.stats.commits++
		l.h.w.oracle.learn(v.at, digestOf(l.known[v.at.Hash]))
	}
	v.digest = digestOf(l.known[v.at.Hash])
	fresh := v != l.last
	l.last = v
	return v, fresh
}

// played is a content after the lines of a changeset.
func played(content map[string]string, lines []byte) map[string]string {
	s := store{content: maps.Clone(content)}
	if err := s.play(lines); err != nil {
		panic(err) // the tools print no others
	}
	return s.content
}

func digestOf(content map[string]string) [32]byte {
	s := store{content: map[string]string{}}
	for name, line := range content {
		s.put(name, line)
	}
	return s.digest
}

// descends tells whether a state of the history comes from another, or is that.
func (l *legacy) descends(s, from deltafile.State) bool {
	if s.Epoch != from.Epoch || s.Serial < from.Serial {
		return false
	}
	h := s.Hash
	for range s.Serial - from.Serial {
		h = l.parent[h]
	}
	return h == from.Hash
}

// change is a transaction of a tool: an entry is put or removed. It returns what is to be appended.
func (l *legacy) change(p *proc, edits []edit) (c toAppend, err error) {
	err = p.do("commit", "legacy", func(bool) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, e := range edits {
			if e.value == 0 && l.content[e.full()] == "" {
				continue
			}
			l.put(e)
			c.note(l, e.full())
		}
		return nil
	})
	return c, err
}

// put changes one entry. l.mu is held.
func (l *legacy) put(e edit) {
	if e.value == 0 {
		delete(l.content, e.full())
	} else {
		l.content[e.full()] = string(e.line())
	}
	l.changes++
	l.unsent[e.full()] = l.changes
}

// toAppend is what a tool appends.
type toAppend struct {
	lines []byte
	names map[string]int
}

// note adds an entry as it is now. l.mu is held.
func (c *toAppend) note(l *legacy, name string) {
	if c.names == nil {
		c.names = map[string]int{}
	}
	c.names[name] = l.unsent[name]
	line := l.content[name]
	if line == "" {
		line = string(must((&dumpfmt.DeletePrincipal{Name: name}).AppendLine(nil, dumpfmt.Current)))
	}
	c.lines = append(c.lines, line...)
}

// backlog is what was changed and, as far as anybody was told, not appended.
func (l *legacy) backlog() (c toAppend, renewed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.unsent)) {
		c.note(l, name)
	}
	return c, l.renewed
}

// replace is a load of a whole dump.
func (l *legacy) replace(p *proc, edits []edit) error {
	return p.do("load", "legacy", func(bool) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		clear(l.content)
		for _, e := range append(edits, edit{name: tgs, value: 2}) {
			l.content[e.full()] = string(e.line())
		}
		clear(l.unsent)
		l.renewed = true
		return nil
	})
}

// sent notes that a tool was told that its change is appended.
func (l *legacy) sent(p *proc, at deltafile.State, c toAppend) error {
	return p.do("commit", "sent", func(bool) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for name, n := range c.names {
			if l.unsent[name] == n {
				delete(l.unsent, name)
			}
			for _, d := range l.doubts { // a state of another epoch does not get it
				if m, ok := d.names[name]; ok && m <= n && d.from.Epoch == at.Epoch {
					delete(d.names, name)
					d.upto = max(d.upto, at.Serial)
				}
			}
		}
		return nil
	})
}

// renew notes that a new epoch is to begin, for what stands in the delta file may not be on disk. It takes no time: the
// kernel's log says so, even of a tool that was killed.
func (l *legacy) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = true
}

// began notes that the delta file says that the database was replaced.
func (l *legacy) began(p *proc) error {
	return p.do("commit", "began", func(bool) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.renewed = false
		return nil
	})
}

// dumped notes what a dump that ends now may hold.
func (l *legacy) dumped(from deltafile.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &doubt{from: from, upto: max(from.Serial, l.last.at.Serial), names: maps.Clone(l.unsent), never: l.renewed}
	l.doubts = append(l.doubts, d)
}

// about are the doubts about dumps of a state.
func (l *legacy) about(s deltafile.State) (out []*doubt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.doubts {
		if d.from.Same(s) {
			out = append(out, d)
		}
	}
	return out
}

// open tells whether content at a state need not be that of the state.
func (d *doubt) open(l *legacy, at deltafile.State) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d.from.Epoch == at.Epoch && (d.never || len(d.names) > 0 || at.Serial < d.upto)
}

// legacySource makes full copies as krep/dumpcmd does, which needs the machine's own shell and files: the end of the delta file
// is read before and after the command, what it has written is read strictly.
type legacySource struct {
	l *legacy
	p *proc
}

func (s legacySource) Digest(context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	return at, digest, false
}

func (s legacySource) Copy(ctx context.Context) (sender.Copy, error) {
	for range 3 {
		from, err := s.end(ctx)
		if err != nil {
			return nil, err
		}
		text, err := s.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("snapshot command: %w", err)
		}
		lines, err := s.verify(text)
		if err != nil {
			return nil, fmt.Errorf("snapshot command: %w", err)
		}
		s.l.dumped(from)
		to, err := s.end(ctx)
		if err != nil {
			return nil, err
		}
		if to.Epoch != from.Epoch {
			continue
		}
		if s.p.w.plan.bugs.late() {
			from = to
		}
		var b bytes.Buffer
		f := must(deltafile.NewFullWriter(&b, from, lines, int64(len(text))))
		_, _ = f.Write(text)
		if err := f.Close(); err != nil {
			return nil, err
		}
		return memCopy{bytes.NewReader(b.Bytes()), from}, nil
	}
	return nil, errors.New("new epochs keep beginning while the command runs")
}

// end is the last state of the delta file, read under its lock.
func (s legacySource) end(ctx context.Context) (deltafile.State, error) {
	a, err := deltafile.OpenAppender(deltaName, deltafile.AppenderOptions{FS: s.p.fs()})
	if err != nil {
		return deltafile.State{}, err
	}
	defer func() { _ = a.Close() }()
	return a.Last(ctx)
}

func (s legacySource) verify(text []byte) (lines int64, err error) {
	r, err := dumpfmt.NewReader(bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	want, found := edit{name: tgs}.full(), false
	for {
		_, name, _, err := r.NextLine()
		switch {
		case errors.Is(err, io.EOF) && !found:
			return 0, errors.New("not a dump of this realm")
		case errors.Is(err, io.EOF):
			return int64(r.Line()), nil
		case err != nil:
			return 0, err
		}
		found = found || name == want
	}
}

// Ways in which a snapshot command does its work.
const (
	wholeDump  = iota // of one moment, as with kdb5_util, which locks the database
	walkedDump        // entry by entry, while tools change them
	failedDump        // it ends with an error, at once or in the middle
	hungDump          // it never ends
	tornDump          // its output is cut within a line, and it knows nothing of that
)

// run is the command.
func (s legacySource) run(ctx context.Context) ([]byte, error) {
	w := s.p.w
	x := w.draw("dump")
	how := int(mix(x) % 2)
	if !w.quiet && unit(x) < w.plan.badDumps {
		how = failedDump + int(mix(x)%3)
	}
	var text strings.Builder
	text.WriteString("kdb5_util load_dump version 7\n")
	name, more := "", true
	for n := uint64(0); more; n++ {
		err := s.p.do("dump", "legacy", func(bool) error {
			name, more = s.l.dump(&text, name, how == wholeDump)
			return nil
		})
		switch {
		case err != nil:
			return nil, err
		case how == failedDump && n >= mix(x+1)%4:
			return nil, errors.New("exit status 1")
		case how == hungDump && n >= mix(x+1)%4:
			return nil, s.hang(ctx)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
	if err := s.p.do("dump", "end", nil); err != nil { // until krep has seen it end
		return nil, err
	}
	if how == tornDump {
		return []byte(text.String()[:text.Len()-2-int(mix(x+2)%20)]), nil
	}
	return []byte(text.String()), nil
}

// dump writes the entries behind a name, or the next of them only; more says that there may be others.
func (l *legacy) dump(text *strings.Builder, after string, all bool) (last string, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.content)) {
		if name <= after {
			continue
		}
		text.WriteString(l.content[name])
		if !all {
			return name, true
		}
	}
	return "", false
}

// hang waits until krep or somebody else ends the command.
func (s legacySource) hang(ctx context.Context) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for !s.p.w.quiet {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return errors.New("signal: killed")
}
