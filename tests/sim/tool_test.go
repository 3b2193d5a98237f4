package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"krealm/deltafile"
)

// lockName is what the tools lock around change and append.
const lockName = "/var/legacy/lock"

// alone calls f while no other tool does anything.
func (l *legacy) alone(p *proc, f func() error) error {
	made, err := p.fs().Create(lockName)
	if errors.Is(err, fs.ErrExist) {
		made, err = p.fs().Open(lockName)
	}
	if err != nil {
		return err
	}
	defer func() { _ = made.Close() }()
	if err := made.Lock(p.ctx); err != nil {
		return err
	}
	return f()
}

// runTool is a run of a legacy tool: it makes some changes and appends them.
func (h *host) runTool(p *proc) error {
	w, l := h.w, h.legacy
	if w.stats.commits >= w.plan.budget && !w.quiet {
		return nil
	}
	x := w.draw("run of " + p.id())
	if w.plan.epochs && mix(x)%12 == 0 {
		return l.alone(p, func() error {
			if err := l.replace(p, w.edits(mix(x+1), true)); err != nil {
				return err
			}
			return l.begin(p)
		})
	}
	for range 1 + x%uint64(w.plan.burst) {
		var st deltafile.State
		err := l.alone(p, func() (err error) {
			if _, renewed := l.backlog(); renewed {
				return errors.New("the delta file is to begin anew")
			}
			c, err := l.change(p, w.edits(w.draw("edits of "+p.id()), false))
			if err == nil && len(c.lines) > 0 {
				st, err = l.send(p, c)
			}
			return err
		})
		if p.gone() {
			return errKilled
		}
		if err != nil {
			p.log().Debug().Err(err).Msg("tool")
		}
		if x := w.draw("wait " + p.id()); err == nil && st.Serial > 0 && (w.calm || unit(x) < w.plan.waits) {
			w.wait(p, st, mix(x))
		}
		if p.ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// send appends a change and notes that it is.
func (l *legacy) send(p *proc, c toAppend) (st deltafile.State, err error) {
	if p.w.draw("tool "+p.id())%2 == 0 {
		st, err = appendLines(p, c.lines)
	} else {
		st, err = appendByHand(p, c.lines)
	}
	if errors.Is(err, deltafile.ErrUnsure) {
		l.renew()
	}
	if err != nil || p.gone() {
		return st, errors.Join(err, p.ctx.Err())
	}
	p.w.oracle.committed(st)
	return st, l.sent(p, st, c)
}

// appendLines is krep delta append.
func appendLines(p *proc, lines []byte) (deltafile.State, error) {
	a, err := deltafile.OpenAppender(deltaName, deltafile.AppenderOptions{FS: p.w.plan.bugs.toolFS(p.fs()), Sync: true})
	if err != nil {
		return deltafile.State{}, err
	}
	defer func() { _ = a.Close() }()
	return a.AppendLines(p.ctx, deltafile.State{}, p.host.clock(), lines)
}

// begin is krep delta init -new-epoch.
func (l *legacy) begin(p *proc) error {
	a, err := deltafile.OpenAppender(deltaName, deltafile.AppenderOptions{FS: p.fs(), Sync: true})
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	want := deltafile.Initial(realmName, p.w.newEpoch(), p.host.clock())
	if _, err := a.Append(p.ctx, want, func(deltafile.State) ([]*deltafile.Changeset, error) { return nil, nil }); err != nil {
		return err
	}
	return l.began(p)
}

// appendByHand is a tool that knows docs/formats/delta.md, and nothing of package deltafile.
func appendByHand(p *proc, lines []byte) (st deltafile.State, err error) {
	for {
		f, err := p.w.plan.bugs.toolFS(p.fs()).OpenAppend(deltaName) // step 1
		if err != nil {
			return st, err
		}
		st, again, err := appendTo(p, f, lines)
		_ = f.Close()
		if !again {
			return st, err
		}
	}
}

func appendTo(p *proc, f deltafile.File, lines []byte) (st deltafile.State, again bool, err error) {
	if err := f.Lock(p.ctx); err != nil { // 2
		return st, false, err
	}
	mine, err := f.Stat() // 3
	if err != nil {
		return st, false, err
	}
	now, err := p.fs().Stat(deltaName)
	if err != nil || mine.Ino != now.Ino {
		return st, err == nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, mine.Size)) // 4
	if err != nil {
		return st, false, err
	}
	st, end, err := lastOf(text)
	if err == nil && end < len(text) {
		err = f.Truncate(int64(end))
	}
	if err != nil {
		return st, false, err
	}
	at := p.host.clock().UTC() // 5
	cs := fmt.Appendf(nil, "begin\t%d\t%d\t%d\t%d\t%d\t;\n", st.Serial+1, at.Unix(), at.Nanosecond()/1000, bytes.Count(lines, []byte("\n")), len(lines))
	cs = append(cs, lines...)
	st.Hash = sha256.Sum256(append(st.Hash[:], cs...))
	st.Serial++
	cs = fmt.Appendf(cs, "end\t%d\tsha256\t%s\t;\n", st.Serial, st.Hash)
	if _, err := f.Write(cs); err != nil { // 6
		return st, false, errors.Join(err, f.Truncate(int64(end)))
	}
	if err = f.Sync(); err == nil { // 7
		err = p.fs().SyncDir(filepath.Dir(deltaName))
	}
	if err != nil {
		return st, false, errors.Join(deltafile.ErrUnsure, err)
	}
	return st, false, nil
}

// lastOf is the last state of a delta file, and where it ends.
func lastOf(text []byte) (st deltafile.State, end int, err error) {
	head := bytes.SplitAfterN(text, []byte("\n"), 3)
	if len(head) < 3 {
		return st, 0, errors.New("not a delta file")
	}
	if st, err = deltafile.ParseBase(head[1]); err != nil {
		return st, 0, err
	}
	end = len(head[0]) + len(head[1])
	i := bytes.LastIndex(text, []byte("\nend\t"))
	if i < 0 {
		return st, end, nil
	}
	line, _, ok := bytes.Cut(text[i+1:], []byte("\n"))
	if !ok { // torn
		return lastOf(text[:i+1])
	}
	var hash string
	if _, err := fmt.Sscanf(string(line), "end\t%d\tsha256\t%64s", &st.Serial, &hash); err != nil {
		return st, 0, err
	}
	_, err = hex.Decode(st.Hash[:], []byte(hash))
	return st, i + 1 + len(line) + 1, err
}

// runCare is what an administrator has run once a second: it makes the delta file if there is none, begins a new
// epoch where the file is damaged or of another database, and appends what a tool has died over.
func (h *host) runCare(p *proc) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := h.legacy.alone(p, func() error { return h.legacy.care(p) }); err != nil {
			p.log().Debug().Err(err).Msg("care")
		}
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (l *legacy) care(p *proc) error {
	_, err := (legacySource{l, p}).end(p.ctx)
	c, renewed := l.backlog()
	var damage *deltafile.FormatError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &damage), err == nil && renewed:
		if err = l.begin(p); errors.As(err, &damage) { // not a delta file: begin leaves it alone
			err = p.fs().Rename(deltaName, deltaName+".rotten")
		}
		return err
	case err != nil || len(c.lines) == 0:
		return err
	}
	_, err = l.send(p, c)
	return err
}

// resyncs are the work of an administrator who reads the status of krep: a slave that is ahead of what a power cut has left of the
// delta file, and stays so, is rebuilt.
func (w *world) resyncs() {
	h := w.hosts[0]
	if k := h.set(); k != nil && w.quiet {
		for _, st := range k.set.Status() {
			if bytes.Contains([]byte(st.LastError), []byte("ahead of the delta file")) {
				_ = k.set.Resync(st.Name)
			}
		}
	}
	w.after(10*time.Second, "resyncs", w.resyncs)
}
