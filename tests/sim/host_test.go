package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/kdc/kdb"
	"krealm/krep/feed"
	"krealm/krep/sender"
	"krealm/krep/slavelist"
	"krealm/krepd/apply"
	"krealm/krepd/receiver"
	"krealm/krepd/spool"
)

const (
	realmName = "EXAMPLE.ORG"
	port      = "7754" // of krepd
	krepPort  = "7755" // of krep, for slaves that connect to it
	deltaName = "/var/krep/delta"
	spoolName = "/var/krep/spool"
)

func itoa(n int) string { return strconv.Itoa(n) }

// host is one machine: a disk, a database, and processes that its init starts again when they end.
type host struct {
	w                       *world
	name                    string
	parent                  *host // nil: the master
	kids                    []*host
	disk                    *disk
	db                      backend
	legacy                  *legacy // the database of a foreign master, else nil
	realm                   *streamtest.Realm
	off                     bool // no power
	roles                   []*role
	log                     zerolog.Logger
	calls                   bool    // its krepd dials the parent's krep, not the other way round
	listed                  []*host // of its slave list, as krep has it
	keytab                  *keytab
	skew                    time.Duration // what its clock is ahead
	rottenSpool, rottenHead bool          // its spool was damaged once, the head of its delta file
	shaken                  bool          // another trouble follows the last one

	krep  atomic.Pointer[krepParts]  // of the last krep
	krepd atomic.Pointer[krepdParts] // of the last krepd
}

// role is a process that is to run on a host.
type role struct {
	name  string
	main  func(p *proc) error
	pause func(x uint64) time.Duration // before it is started again
	p     *proc                        // nil: not running
	off   bool                         // not to be started
	gen   int
}

func (r *role) isWriter() bool { return strings.HasPrefix(r.name, "writer") }

type krepParts struct {
	p    *proc
	feed *feed.Feed
	set  *sender.Set

	db        *kdb.DB // nil: the model
	inspector inspector
}

type krepdParts struct {
	p       *proc
	spool   *spool.Spool
	applier *apply.Applier
}

func (w *world) machine(name string) *host {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	panic("no machine " + name)
}

func principal(name string) string { return "krep/" + name + ".example.org@" + realmName }

// addHost adds a machine, switched off.
func (w *world) addHost(name string, parent *host, realm *streamtest.Realm, relay bool) *host {
	h := &host{w: w, name: name, parent: parent, realm: realm, off: true, log: w.log.With().Str("host", name).Logger()}
	h.disk = newDisk(h)
	h.keytab = &keytab{h: h}
	h.keytab.learn()
	soon := func(x uint64) time.Duration { return between(x, 20*time.Millisecond, 2*time.Second) }
	if parent != nil {
		parent.kids = append(parent.kids, h)
		h.roles = append(h.roles, &role{name: "krepd", main: h.runKrepd, pause: soon})
	}
	if parent == nil || relay {
		h.roles = append(h.roles, &role{name: "krep", main: h.runKrep, pause: soon})
	}
	keeper, writer := &role{name: "kdc", main: h.runKDC, pause: soon}, h.runWriter
	if parent == nil && w.plan.foreign {
		keeper, writer = &role{name: "care", main: h.runCare, pause: soon}, h.runTool
	}
	if parent == nil || relay {
		h.roles = append(h.roles, keeper)
	}
	if parent == nil {
		for i := range w.plan.writers {
			h.roles = append(h.roles, &role{name: "writer" + itoa(i), main: writer,
				pause: func(x uint64) time.Duration { return between(x, 0, w.plan.think) }})
		}
	}
	w.hosts = append(w.hosts, h)
	w.oracle.excused[h] = new(excuse)
	return h
}

// clock is the clock on its wall.
func (h *host) clock() time.Time { return time.Now().Add(h.skew) }

// delta is where a host's database appends its changes, "" for a slave that is no relay.
func (h *host) delta() string {
	for _, r := range h.roles {
		if r.name == "krep" {
			return deltaName
		}
	}
	return ""
}

// boot switches the machine on.
func (h *host) boot() {
	if !h.off {
		return
	}
	h.off = false
	for _, r := range h.roles {
		h.start(r)
	}
	h.w.net.flush()
}

// start starts a process unless it runs.
func (h *host) start(r *role) {
	if h.off || r.p != nil || r.off {
		return
	}
	r.gen++
	p := &proc{w: h.w, host: h, name: r.name, gen: r.gen, killed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	r.p = p
	go func() {
		err := r.main(p)
		p.log().Debug().AnErr("reason", err).Bool("killed", p.gone()).Msg("process ends")
		p.end()
		h.w.after(r.pause(h.w.draw("init "+h.name+r.name)), "start "+h.name+" "+r.name, func() {
			r.p = nil
			h.start(r)
		})
	}()
}

// cutPower stops everything on the machine at once. It comes back after a while.
func (h *host) cutPower() {
	if h.off {
		return
	}
	h.w.stats.powerCuts++
	h.off = true
	for _, r := range h.roles {
		if r.p != nil {
			r.p.kill()
		}
	}
	if h.legacy != nil {
		h.w.oracle.glance(h)
	}
	h.w.oracle.disk(h) // what has happened until now
	h.disk.powerCut(h.w)
	h.w.oracle.survived(h)
	h.log.Debug().Msg("power cut")
	h.w.after(between(h.w.draw("reboot "+h.name), 50*time.Millisecond, 8*time.Second), "power on "+h.name, h.boot)
}

// proc is one process. What it does to the world goes through do.
type proc struct {
	w      *world
	host   *host
	name   string
	gen    int
	ctx    context.Context
	cancel context.CancelFunc
	killed chan struct{}
	frozen time.Duration // stopped until then

	dead    bool // guarded by w.mu, as are these:
	pending []*op
	files   []*file
	ends    []func()
}

func (p *proc) id() string { return p.host.name + "/" + p.name }

func (p *proc) log() *zerolog.Logger {
	l := p.host.log.With().Str("process", p.name).Logger()
	return &l
}

func (p *proc) fs() fsOf { return fsOf{p.host.disk, p} }

func (p *proc) gone() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.dead
}

// atEnd has the kernel do something when the process is gone.
func (p *proc) atEnd(f func()) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.ends = append(p.ends, f)
}

func (p *proc) opened(f *file) *file {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.files = append(p.files, f)
	return f
}

func (p *proc) forget(f *file) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for i, o := range p.files {
		if o == f {
			p.files = append(p.files[:i], p.files[i+1:]...)
			return
		}
	}
}

// kill is kill -9: what the process has asked for and not got does not happen, its locks are free
// and its connections end. Its goroutines run on and can do no more harm.
func (p *proc) kill() {
	p.w.mu.Lock()
	if p.dead {
		p.w.mu.Unlock()
		return
	}
	p.dead = true
	pending, files, ends := p.pending, p.files, p.ends
	p.pending, p.files, p.ends = nil, nil, nil
	p.w.mu.Unlock()
	close(p.killed)
	p.cancel()
	for _, f := range files {
		f.release()
	}
	for _, f := range ends {
		f()
	}
	for _, o := range pending {
		o.finish(errKilled)
	}
}

// end is an exit.
func (p *proc) end() { p.kill() }

// takes is how long an operation takes.
func (p *proc) takes(kind string, x uint64) time.Duration {
	d := between(x, 2*time.Microsecond, 80*time.Microsecond)
	switch kind {
	case "fsync", "syncdir", "commit":
		d = between(x, 100*time.Microsecond, 4*time.Millisecond)
	case "dump":
		d = between(x, 20*time.Microsecond, 10*time.Millisecond)
	case "load":
		d = between(x, time.Millisecond, 60*time.Millisecond)
	}
	if !p.w.quiet {
		d *= time.Duration(p.w.plan.slow[p.host.name])
	}
	return d
}

// verifies tells whether the program looks at all of a delta file that it opens.
func (p *proc) verifies() bool { return p.name == "kdc" || p.name == "krepd" }

// runKDC is what of a running kdc matters here: it brings the delta file up to date once a second.
func (h *host) runKDC(p *proc) error {
	db, err := h.db.open(p, h.delta())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
			if err := db.Drain(p.ctx); err != nil {
				p.log().Debug().Err(err).Msg("drain")
			}
		}
	}
}

type feedOf struct{ *feed.Feed }

func (f feedOf) Cursor(at deltafile.State) sender.Cursor { return f.Feed.Cursor(at) }

type sourceOf struct{ db database }

func (s sourceOf) Copy(ctx context.Context) (sender.Copy, error) { return s.db.Copy(ctx) }

func (s sourceOf) Digest(ctx context.Context) (deltafile.State, [32]byte, bool) {
	at, d, err := s.db.Digest(ctx)
	return at, d, err == nil && !at.IsZero()
}

// runKrep is krep, wired as krep/command does.
func (h *host) runKrep(p *proc) error {
	w, log := h.w, *p.log()
	var source sender.Source = legacySource{h.legacy, p}
	var content *kdb.DB
	if h.legacy == nil {
		db, err := h.db.open(p, "")
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		source, content = sourceOf{db}, dbOf(db)
	}
	var set *sender.Set
	f := feed.New(feed.Options{Path: deltaName, Realm: realmName, Log: log,
		Safe: func(e deltafile.Epoch) (uint64, bool) { return w.plan.bugs.safe(set.Safe(e)) },
		Release: func(e deltafile.Epoch, serial uint64, why string) {
			w.oracle.released(h, e, serial)
			set.Release(e, serial, why)
		},
		Window: w.plan.feedWindow, MaxSize: w.plan.maxSize, MaxAge: w.plan.maxAge, MinCut: w.plan.minCut,
		Tail: deltafile.TailOptions{FS: p.fs(), Poll: 500 * time.Millisecond,
			Watch: func(string) (deltafile.Watcher, error) { return h.disk.watch(p) }},
	})
	set = sender.NewSet(sender.Options{
		Realm: realmName, Feed: feedOf{f}, Source: source, Log: log,
		Heartbeat: w.plan.heartbeat, Window: w.plan.sendWindow, MaxCopies: w.plan.maxCopies,
		Jitter: func() float64 { return unit(w.draw("jitter " + h.name)) },
		Dial:   func(ctx context.Context, to string) (net.Conn, error) { return w.net.dial(ctx, p, to) },
		Auth: func(ctx context.Context, nc net.Conn, server string) (*stream.Conn, error) {
			return stream.Initiate(ctx, nc, h.realm.Credentials(principal(h.name), server))
		},
	})
	set.Update(h.slaves())
	asked := make(inspector)
	h.krep.Store(&krepParts{p, f, set, content, asked})
	g, ctx := errgroup.WithContext(p.ctx)
	g.Go(func() error { return asked.run(ctx) })
	g.Go(func() error { return f.Run(ctx) })
	g.Go(func() error { set.Run(ctx); return nil })
	if slices.ContainsFunc(h.kids, func(k *host) bool { return k.calls }) {
		ln, err := w.net.listen(p, net.JoinHostPort(h.name, krepPort))
		if err != nil {
			p.cancel()
			return errors.Join(err, g.Wait())
		}
		server := &stream.Server{Log: log,
			Acceptor: h.acceptor(set.Expects),
			Handle:   func(ctx context.Context, c *stream.Conn) { _ = set.Take(ctx, c) }}
		g.Go(func() error { return server.Serve(ctx, ln) })
	}
	return g.Wait()
}

// slaves is the slave list.
func (h *host) slaves() []slavelist.Slave {
	var text strings.Builder
	for _, k := range h.listed {
		fmt.Fprintf(&text, "%s %s", net.JoinHostPort(k.name, port), principal(k.name))
		if k.calls {
			text.WriteString(" connects")
		}
		text.WriteString("\n")
	}
	list, err := slavelist.Parse(strings.NewReader(text.String()), slavelist.Defaults{Realm: realmName, Port: 7754})
	if err != nil {
		panic(err)
	}
	return list
}

// list changes the slave list, and tells a running krep.
func (h *host) list(hosts []*host) {
	h.listed = hosts
	if k := h.set(); k != nil {
		k.set.Update(h.slaves())
	}
}

type standing struct {
	*apply.Applier
	db database
}

// Standing implements receiver.Applier as krepd/command does.
func (s standing) Standing(ctx context.Context, digest bool) (receiver.Standing, error) {
	st := receiver.Standing{Applied: s.Applied()}
	if b := s.Broken(); b != nil {
		st.WantSnapshot, st.Serial, st.Reason, st.Diverged = true, b.Serial, b.Reason, b.Diverged
	}
	if digest && !st.Applied.IsZero() {
		at, sum, err := s.db.Digest(ctx)
		if err != nil {
			return st, err
		}
		st.Applied, st.Digest, st.HasDigest = at, sum, true
	}
	return st, nil
}

// runKrepd is krepd, wired as krepd/command does.
func (h *host) runKrepd(p *proc) error {
	w, log := h.w, *p.log()
	var fsys deltafile.FS = w.plan.bugs.spoolFS(p.fs())
	sp, err := spool.Open(spoolName, fsys)
	if err != nil {
		return err
	}
	defer func() { _ = sp.Close() }()
	db, err := h.db.open(p, h.delta())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var content receiver.Inspector
	if real := dbOf(db); real != nil {
		content = real
	}
	db = w.plan.bugs.replica(db)
	applier := apply.New(db, sp, log)
	rec := receiver.New(receiver.Options{Realm: realmName, Spool: w.plan.bugs.spool(sp), Applier: standing{applier, db}, Log: log,
		Heartbeat: w.plan.heartbeat, FS: fsys, Inspector: content})
	g, ctx := errgroup.WithContext(p.ctx)
	if h.calls {
		g.Go(func() error { return h.call(ctx, p, rec) })
	} else {
		ln, err := w.net.listen(p, net.JoinHostPort(h.name, port))
		if err != nil {
			return err
		}
		server := &stream.Server{Handle: rec.Handle, Log: log,
			Acceptor: h.acceptor(func(client string) bool { return client == principal(h.parent.name) })}
		g.Go(func() error { return server.Serve(ctx, ln) })
	}
	h.krepd.Store(&krepdParts{p, sp, applier})
	g.Go(func() error { return applier.Run(ctx) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-rec.Fatal():
			return fmt.Errorf("fatal: %w", err)
		}
	})
	return g.Wait()
}

// call opens streams to krep, as a krepd does that cannot be dialled.
func (h *host) call(ctx context.Context, p *proc, rec *receiver.Receiver) error {
	const first, most = 100 * time.Millisecond, 30 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		begun := time.Now()
		dial, cancel := context.WithTimeout(ctx, 10*time.Second)
		nc, err := h.w.net.dial(dial, p, net.JoinHostPort(h.parent.name, krepPort))
		cancel()
		if err == nil {
			var c *stream.Conn
			c, err = stream.Initiate(ctx, nc, h.realm.Credentials(principal(h.name), principal(h.parent.name)))
			if err == nil {
				rec.Handle(ctx, c)
				_ = c.Close()
			}
		}
		if time.Since(begun) > 5*time.Second {
			wait = first
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
