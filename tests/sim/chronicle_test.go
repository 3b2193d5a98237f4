package sim

import "krealm/deltafile"

// The oracle on a master that has no database of ours. Its history is what stands in its delta file, and
// is a tree: what was appended and not synced a power cut takes back, and another change gets its serial.

// master is the database of the master if that is none of ours, else nil.
func (o *oracle) foreign() *legacy { return o.w.hosts[0].legacy }

// learn adds a state that stands in a delta file of a foreign master to the history.
func (o *oracle) learn(s deltafile.State, digest [32]byte) {
	if o.order[s.Epoch] == 0 {
		o.order[s.Epoch] = len(o.order) + 1
		if len(o.order) > o.w.stats.epochs && !o.w.hosts[0].rottenHead {
			o.complain("O1: epoch %v was begun by nobody", s.Epoch)
		}
	}
	o.history[at(s)] = moment{digest}
}

// appended checks what a tool was told to be on the master's disk (O9). One that does not read the file's middle
// appends behind damage: krep stops there, and a new epoch makes up for it.
func (o *oracle) appended(l *legacy, s deltafile.State) {
	if _, ok := o.history[at(s)]; ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sure = s
		return
	}
	if i := l.h.disk.current(deltaName); !l.h.rottenHead && (i == nil || !i.scan.damaged) {
		o.complain("O9: a tool was told of %v, which the delta file has never held", s)
	}
}

// chronicle checks what has become of a foreign master's delta file (O9).
func (o *oracle) chronicle(l *legacy, now sight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.h.rottenHead && !l.sure.IsZero() && l.sure.Epoch == now.at.Epoch && !l.descends(now.at, l.sure) {
		o.complain("O9: a tool was told that %v is appended, and the delta file is at %v", l.sure, now.at)
	}
}

// strays tells whether a state is none that the master has or has had on the way to where it is.
func (o *oracle) strays(s deltafile.State) bool {
	l := o.foreign()
	return l != nil && !l.descends(o.sights[o.w.hosts[0]].at, s)
}

// copied notes what a foreign master's slave has loaded: its promises begin anew there, and its content need
// not be that of its serial.
func (o *oracle) copied(h *host, now deltafile.State) {
	l := o.foreign()
	if l == nil {
		return
	}
	if o.acked[h].Epoch != now.Epoch || o.acked[h].Serial > now.Serial {
		delete(o.acked, h)
	}
	if h.parent == o.w.hosts[0] {
		o.doubts[h] = append(o.doubts[h], l.about(now)...)
	} else {
		o.doubts[h] = append(o.doubts[h], o.doubts[h.parent]...)
	}
}

// doubtful tells whether the content of a slave need not be that of its state.
func (o *oracle) doubtful(h *host, s deltafile.State) bool {
	if l := o.foreign(); l != nil && l.h.rottenHead {
		return true
	}
	for _, d := range o.doubts[h] {
		if d.open(o.foreign(), s) {
			return true
		}
	}
	return false
}
