package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"krealm/deltafile"
	"krealm/internal/quorum"
)

// oracle watches a realm from outside and says what is wrong.
type oracle struct {
	w       *world
	heard   bool                      // something has arrived somewhere since the last look
	mu      sync.Mutex                // for what processes tell
	history map[point]moment          // what the master has committed
	serials map[serial]deltafile.Hash // and which state had which serial
	order   map[deltafile.Epoch]int   // of the epochs
	sights  map[*host]sight           // the databases, when last looked at
	told    []deltafile.State         // what writers were told since the last look
	waits   []waited                  // and those of them that have waited for slaves
	acked   map[*host]deltafile.State // what a slave has told krep is durable: epoch and serial
	excused map[*host]*excuse         // slaves that may need a full copy
	suspect map[*host]bool            // was tampered with, or fed by one that was
	bases   map[*host]deltafile.State // where the delta files begin
	doubts  map[*host][]*doubt        // about content that came from a foreign master
}

type point struct {
	serial
	hash deltafile.Hash
}

type serial struct {
	epoch deltafile.Epoch
	n     uint64
}

// moment is the realm at a point of its history.
type moment struct{ digest [32]byte }

// excuse says why krep need not hold the delta file for a slave.
type excuse struct {
	due     bool // it was let go, is broken or is to be rebuilt: a full copy comes
	copying bool // it gets one; until krep has heard that it is loaded
}

func at(s deltafile.State) point { return point{serial{s.Epoch, s.Serial}, s.Hash} }

func newOracle(w *world) *oracle {
	return &oracle{w: w, history: map[point]moment{}, serials: map[serial]deltafile.Hash{}, order: map[deltafile.Epoch]int{}, sights: map[*host]sight{},
		acked: map[*host]deltafile.State{}, excused: map[*host]*excuse{}, suspect: map[*host]bool{},
		bases: map[*host]deltafile.State{}, doubts: map[*host][]*doubt{}}
}

func (o *oracle) complain(format string, args ...any) { o.w.fail(format, args...) }

// look checks everything that the last event may have changed.
func (o *oracle) look() {
	defer func() {
		o.heard = false
		o.promises()
	}()
	for _, h := range o.w.hosts {
		fresh := o.glance(h)
		moved := o.disk(h)
		if o.heard {
			o.acks(h)
		}
		if fresh || moved {
			o.keeps(h)
		}
		o.breakage(h)
		o.settled(h)
	}
}

// glance looks at a database, and tells whether it has moved.
func (o *oracle) glance(h *host) bool {
	v, fresh := h.db.look()
	if fresh {
		o.database(h, v)
		o.sights[h] = v
	}
	return fresh
}

// database checks what a database has become (O1, O2).
func (o *oracle) database(h *host, now sight) {
	was := o.sights[h]
	switch {
	case h.legacy != nil:
		o.chronicle(h.legacy, now)
		return
	case h.parent == nil:
		o.master(was, now)
		return
	}
	if now.at.IsZero() {
		if !was.at.IsZero() {
			o.complain("%s: database has lost its state %v", h.name, was.at)
		}
		return
	}
	then, ok := o.history[at(now.at)]
	if now.loads != was.loads {
		o.copied(h, now.at)
	}
	if now.loads != was.loads && then.digest == now.digest && !o.suspect[h.parent] {
		delete(o.suspect, h)
	}
	switch {
	case !ok && o.foreign() != nil && o.w.hosts[0].rottenHead: // an epoch by mistake, as good as any
	case !ok:
		o.complain("O2: %s: database is at %v, which the master never was", h.name, now.at)
	case then.digest != now.digest && !o.suspect[h] && !o.doubtful(h, now.at):
		o.complain("O2: %s: content at %v is not the master's", h.name, now.at)
	case o.strays(was.at): // to what the master has
	case was.at.Epoch == now.at.Epoch && now.at.Serial < was.at.Serial:
		o.complain("O2: %s: database went back from %v to %v", h.name, was.at, now.at)
	case o.order[now.at.Epoch] < o.order[was.at.Epoch]:
		o.complain("O2: %s: database went back from epoch %v to %v", h.name, was.at, now.at)
	}
}

func (o *oracle) master(was, now sight) {
	if now.at.Same(was.at) {
		if now.digest != was.digest {
			o.complain("O1: content changed without a change after %v", now.at)
		}
		return
	}
	if now.at.Epoch == was.at.Epoch && now.at.Serial != was.at.Serial+1 {
		o.complain("O1: master went from %v to %v", was.at, now.at)
	}
	if now.at.Epoch != was.at.Epoch {
		if now.at.Serial != 0 {
			o.complain("O1: epoch begins at %v", now.at)
		}
		o.order[now.at.Epoch] = len(o.order) + 1
		if len(o.order) > o.w.stats.epochs && !o.w.hosts[0].rottenHead { // a head that tells of more than there is ends an epoch
			o.complain("O1: epoch %v was begun by nobody", now.at.Epoch)
		}
	} else {
		o.w.stats.commits++
		if now.last != nil {
			if _, _, err := deltafile.Decode(was.at, now.last.Raw); err != nil {
				o.complain("O1: change %v does not follow %v: %v", now.at, was.at, err)
			}
		}
	}
	p := at(now.at)
	if then, ok := o.serials[p.serial]; ok && then != now.at.Hash {
		o.complain("O1: serial %v was used twice", now.at)
	}
	o.serials[p.serial], o.history[p] = now.at.Hash, moment{now.digest}
}

// committed notes what a writer was told.
func (o *oracle) committed(s deltafile.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, s)
}

// waited is an answer to one who waits for slaves.
type waited struct {
	h  *host
	st deltafile.State
	a  quorum.Answer
}

// waited notes that a writer was told that enough slaves have its change.
func (o *oracle) waited(h *host, st deltafile.State, a quorum.Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waits = append(o.waits, waited{h, st, a})
}

// applied checks such an answer (O7).
func (o *oracle) applied(v waited) {
	have := 0
	for _, k := range v.h.kids {
		if db := o.sights[k].at; db.Epoch == v.st.Epoch && db.Serial >= v.st.Serial || o.order[db.Epoch] > o.order[v.st.Epoch] {
			have++
		}
	}
	if have < v.a.Applied || v.a.Applied < v.a.Need {
		o.complain("O7: a writer was told that %d slaves have %v, needs %d, and %d have it", v.a.Applied, v.st, v.a.Need, have)
	}
}

// promises checks what writers were told (O6, O7).
func (o *oracle) promises() {
	o.mu.Lock()
	told, waits := o.told, o.waits
	o.told, o.waits = nil, nil
	o.mu.Unlock()
	for _, v := range waits {
		o.w.stats.waits++
		o.applied(v)
	}
	for _, s := range told {
		if l := o.foreign(); l != nil {
			o.appended(l, s)
		} else if _, ok := o.history[at(s)]; !ok {
			o.complain("O6: a writer was told of %v, which is not in the history", s)
		}
	}
}

// breakage notes slaves that have asked for a full copy.
func (o *oracle) breakage(h *host) {
	if k := h.krepd.Load(); k != nil && !k.p.gone() && k.applier.Broken() != nil {
		o.excuse(h)
	}
}

func (o *oracle) excuse(h *host) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.excused[h].due = true
}

// doubt notes that a database was tampered with: its content, and that of copies of it, are not
// to be judged before it has got a full copy.
func (o *oracle) doubt(h *host) {
	o.suspect[h] = true
	for _, k := range h.kids {
		o.doubt(k)
	}
}

// released notes slaves that krep lets go of.
func (o *oracle) released(h *host, e deltafile.Epoch, serial uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range h.listed {
		if s := o.acked[k]; s.Epoch != e || s.Serial < serial {
			o.excused[k].due = true
		}
	}
}

// acks reads off krep what its slaves have acknowledged.
func (o *oracle) acks(h *host) {
	krep := h.set()
	if krep == nil {
		return
	}
	for _, st := range krep.set.Status() {
		k := o.w.machine(strings.TrimSuffix(st.Addr, ":"+port))
		o.mu.Lock()
		switch x := o.excused[k]; {
		case st.State == "full" && !x.copying:
			*x = excuse{copying: true}
		case st.State == "streaming":
			x.copying = false
		}
		o.mu.Unlock()
		if st.Epoch == "" || st.State == "full" {
			continue
		}
		e, err := deltafile.ParseEpoch(st.Epoch)
		if err != nil {
			o.complain("%s: %v", h.name, err)
			return
		}
		was := o.acked[k]
		if e == was.Epoch && st.Spooled <= was.Serial || st.Spooled == 0 || o.order[e] < o.order[was.Epoch] {
			continue
		}
		o.acked[k] = deltafile.State{Epoch: e, Serial: st.Spooled}
		o.keeps(k)
	}
}

// keeps checks that a slave has what it has acknowledged, and would have it after a power cut (O3).
func (o *oracle) keeps(h *host) {
	promised, ok := o.acked[h]
	if !ok || h.rottenSpool {
		return
	}
	db := o.sights[h].at
	switch {
	case db.Epoch != promised.Epoch && o.order[db.Epoch] > o.order[promised.Epoch]:
		return // the promise was about a past that is no more
	case db.Epoch != promised.Epoch:
		o.complain("O3: %s has acknowledged %v and its database is at %v", h.name, promised, db)
	case o.safe(h, promised.Epoch) < promised.Serial:
		o.complain("O3: %s has acknowledged %v; a power cut now leaves %d of it (database at %v)",
			h.name, promised, o.safe(h, promised.Epoch), db)
	}
}

// safe is the serial up to which a slave would have everything after a power cut.
func (o *oracle) safe(h *host, e deltafile.Epoch) uint64 {
	db := o.sights[h].at
	if db.Epoch != e {
		return 0
	}
	least := uint64(0)
	for n, i := range h.disk.candidates(spoolName) {
		end := db.Serial
		if i != nil {
			if i.sure == nil {
				i.sure = read(i.durable)
			}
			if i.sure.base.Epoch == e && i.sure.base.Serial <= db.Serial {
				end = max(end, i.sure.last.Serial)
			}
		}
		if n == 0 || end < least {
			least = end
		}
	}
	return least
}

// reading is what can be read of a delta file.
type reading struct{ base, last deltafile.State }

func read(b []byte) *reading {
	base, css, _ := parse(b)
	r := &reading{base, base}
	for _, cs := range css {
		r.last = r.last.After(cs)
	}
	return r
}

// parse reads a delta file.
func parse(b []byte) (base deltafile.State, css []*deltafile.Changeset, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(deltafile.Header))
	line, rest, nl := bytes.Cut(rest, []byte("\n"))
	if !ok || !nl {
		return base, nil, deltafile.ErrIncomplete
	}
	if base, err = deltafile.ParseBase(append(bytes.Clone(line), '\n')); err != nil {
		return deltafile.State{}, nil, err
	}
	for last := base; len(rest) > 0; {
		cs, n, err := deltafile.Decode(last, rest)
		if err != nil {
			return base, css, err
		}
		css = append(css, cs)
		last = last.After(cs)
		rest = rest[n:]
	}
	return base, css, nil
}

// scan is how far the oracle has read a file.
type scan struct {
	damaged bool // a power cut has left a hole in it
	last    deltafile.State
	off     int
}

// disk checks what has happened on a disk, and tells whether something has.
func (o *oracle) disk(h *host) bool {
	d := h.disk
	d.mu.Lock()
	changed, renamed := d.changed, d.renamed
	d.changed, d.renamed = nil, nil
	now := d.names[deltaName]
	d.mu.Unlock()
	if h.delta() != "" {
		for _, r := range renamed {
			if r.name == deltaName && r.now != nil {
				o.replaced(h, r)
			}
		}
		if now != nil {
			o.content(h, now)
		}
	}
	return len(changed) > 0 || len(renamed) > 0
}

// content checks what is in a delta file (O5).
func (o *oracle) content(h *host, i *inode) {
	s := &i.scan
	if i.rotten || h.rottenHead {
		return
	}
	if s.off > len(i.data) { // cut
		*s = scan{damaged: s.damaged}
	}
	if s.off == 0 {
		line, ok := bytes.CutPrefix(i.data, []byte(deltafile.Header))
		n := bytes.IndexByte(line, '\n')
		if !ok || n < 0 {
			return
		}
		base, err := deltafile.ParseBase(line[:n+1])
		if err != nil {
			if !s.damaged {
				o.complain("O5: %s: base of the delta file: %v", h.name, err)
			}
			return
		}
		if o.believe(h, base) {
			s.last, s.off = base, len(deltafile.Header)+n+1
		}
	}
	for s.off < len(i.data) && s.off > 0 {
		cs, n, err := deltafile.Decode(s.last, i.data[s.off:])
		if errors.Is(err, deltafile.ErrIncomplete) || err != nil && s.damaged {
			return
		}
		if err != nil {
			o.complain("O5: %s: delta file after %v: %v", h.name, s.last, err)
			return
		}
		s.last = s.last.After(cs)
		s.off += n
		if !o.believe(h, s.last) {
			return
		}
	}
}

// believe checks that a state in a delta file is one that its database has committed.
func (o *oracle) believe(h *host, s deltafile.State) bool {
	_, ok := o.history[at(s)]
	db := o.sights[h].at
	if !ok || s.Epoch == db.Epoch && s.Serial > db.Serial {
		o.complain("O5: %s: delta file holds %v, the database is at %v", h.name, s, db)
		return false
	}
	return true
}

// survived notes which delta file a power cut has left: an older one may be there again.
func (o *oracle) survived(h *host) {
	if i := h.disk.current(deltaName); i != nil {
		o.bases[h] = read(i.data).base
	}
}

// replaced checks who replaces a delta file by what (O4).
func (o *oracle) replaced(h *host, r rename) {
	base, _, err := parse(r.now.data)
	if err != nil && !r.now.scan.damaged && !h.rottenHead {
		o.complain("O5: %s: %s put a file in the delta file's place that does not parse: %v", h.name, r.by, err)
		return
	}
	was := o.bases[h]
	o.bases[h] = base
	if r.old == nil || was.Epoch != base.Epoch || base.Serial <= was.Serial {
		return
	}
	if r.by != "krep" {
		if h.parent == nil && !h.disk.lied {
			o.complain("O4: %s: %s has cut the delta file from %v to %v", h.name, r.by, was, base)
		}
		return // a relay's begins anew behind a full copy
	}
	for _, k := range h.listed {
		db := o.sights[k].at
		if o.strays(db) || k.rottenSpool {
			continue // it gets a full copy
		}
		if have := o.safe(k, base.Epoch); db.Epoch == base.Epoch && have >= was.Serial && have < base.Serial && *o.excused[k] == (excuse{}) {
			o.complain("O4: %s: krep has cut the delta file from %v to %v; %s has only %d for certain", h.name, was, base, k.name, have)
		}
	}
}

// settled checks that a krepd that has found its feet has what its machine has acknowledged (O3).
func (o *oracle) settled(h *host) {
	k := h.krepd.Load()
	promised, ok := o.acked[h]
	if k == nil || k.p.gone() || !ok || h.rottenSpool {
		return
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if k.applier.Ready(done) != nil {
		return
	}
	have := k.spool.Durable()
	if a := k.applier.Applied(); a.Epoch != have.Epoch || a.Serial > have.Serial {
		have = a
	}
	if have.Epoch == promised.Epoch && have.Serial < promised.Serial {
		o.complain("O3: %s has acknowledged %v, and its krepd has found %v", h.name, promised, have)
	}
}

// equal says what keeps the realm from being at rest (O6): nil if nothing does.
func (o *oracle) equal() error {
	m := o.w.hosts[0]
	want := m.db.rows()
	last := o.sights[m]
	if m.legacy != nil {
		if c, renewed := m.legacy.backlog(); renewed || len(c.names) > 0 {
			return errors.New("the master's changes are not all appended")
		}
	}
	for _, h := range o.w.hosts {
		v := o.sights[h]
		if !v.at.Same(last.at) || v.digest != last.digest {
			return fmt.Errorf("%s is at %v, the master at %v", h.name, v.at, last.at)
		}
		if got := h.db.rows(); !maps.Equal(got, want) {
			return fmt.Errorf("%s at %v has %d entries that are not the master's %d", h.name, v.at, len(got), len(want))
		}
		for _, name := range []string{deltaName, spoolName} {
			if name == spoolName && h.parent == nil || name == deltaName && h.delta() == "" {
				continue
			}
			i := h.disk.current(name)
			if i == nil {
				return fmt.Errorf("%s has no %s", h.name, name)
			}
			if base, css, err := parse(i.data); err != nil || len(css) > 0 || !base.Same(last.at) {
				return fmt.Errorf("%s: %s begins at %v and holds %d changes, %v", h.name, name, base, len(css), err)
			}
		}
		krep := h.set()
		if krep == nil {
			if h.delta() != "" {
				return fmt.Errorf("%s: krep does not run", h.name)
			}
			continue
		}
		for _, st := range krep.set.Status() {
			if st.State != "streaming" || st.Applied != last.at.Serial {
				return fmt.Errorf("%s: krep says that %s is %s at %d: %s", h.name, st.Name, st.State, st.Applied, st.LastError)
			}
		}
	}
	return nil
}
