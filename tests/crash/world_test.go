package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/tests/namespace"
	"krealm/tests/testrealm"
)

const (
	diskSize  = 16 << 20         // of slave3's disk
	afterDisk = 10 * time.Second // after its disk was full, a daemon's end counts as due to that
	restart   = 300 * time.Millisecond
)

// daemon is a program that is kept running, as a supervisor does.
type daemon struct {
	host    *testrealm.Host
	program string
	args    []string // beside those that it always has
	p       *testrealm.Process
	starts  int
}

func (d *daemon) String() string { return d.host.Name + " " + d.program }

// world is the realm and what stands around it. One goroutine uses it, but for the writers.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	realm   *testrealm.Realm
	krep    *daemon
	krepds  []*daemon
	kdcs    []*daemon // the master's first
	proxies []*proxy
	disk    string    // directory of slave3's disk; "" without one
	full    time.Time // when that disk was last full

	due    []followUp
	counts map[string]int
}

// followUp is the end of something that was begun.
type followUp struct {
	at time.Time
	do func(ctx context.Context)
}

func (w *world) later(after time.Duration, do func(ctx context.Context)) {
	w.due = append(w.due, followUp{time.Now().Add(after), do})
}

// between draws a time.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

func (w *world) daemons() []*daemon {
	all := append([]*daemon{w.krep}, w.krepds...)
	return append(all, w.kdcs...)
}

// newWorld lays out the realm: slave3 on a disk of its own, every slave behind a proxy.
func newWorld(ctx context.Context, t *testing.T, rng *rand.Rand) *world {
	t.Helper()
	r, err := testrealm.New(testrealm.Options{Bin: bin, Slaves: []string{"slave1", "slave2", "slave3"}})
	check(t, err)
	w := &world{t: t, rng: rng, realm: r, counts: map[string]int{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.Logs())
		}
		for _, p := range w.proxies {
			p.close()
		}
		if w.disk != "" {
			if err := syscall.Unmount(w.disk, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := testrealm.ReadFixture("../testdata/realm")
	check(t, err)
	check(t, r.LoadFixture(ctx, f))
	check(t, r.MakeKeytabs(ctx))
	w.mountDisk()
	var list strings.Builder
	for i, h := range r.Slaves {
		seed := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		p, err := newProxy(fmt.Sprintf("127.0.0.1:%d", h.KrepdPort), pieces(seed))
		check(t, err)
		w.proxies = append(w.proxies, p)
		fmt.Fprintf(&list, "%s %s\n", p.addr(), h.Principal())
	}
	check(t, os.WriteFile(r.Master.SlaveList, []byte(list.String()), 0o600))
	w.krep = &daemon{host: r.Master, program: "krep"}
	w.kdcs = []*daemon{{host: r.Master, program: "kdc"}}
	for _, h := range r.Slaves {
		w.krepds = append(w.krepds, &daemon{host: h, program: "krepd"})
		w.kdcs = append(w.kdcs, &daemon{host: h, program: "kdc"})
	}
	return w
}

// mountDisk puts slave3's database and spool on a small disk.
func (w *world) mountDisk() {
	w.t.Helper()
	h := w.realm.Slaves[2]
	if !namespace.Inside() {
		w.t.Logf("LEFT OUT: full disk. No mount namespace can be made here: %v", errNamespace)
		return
	}
	disk := filepath.Join(h.Dir, "disk")
	check(w.t, os.Mkdir(disk, 0o700))
	check(w.t, namespace.MountTmpfs(disk, diskSize))
	w.disk = disk
	conf, err := os.ReadFile(h.KDCConf)
	check(w.t, err)
	h.Database, h.Spool = filepath.Join(disk, "principal"), filepath.Join(disk, "spool")
	text := strings.NewReplacer(filepath.Join(h.Dir, "principal"), h.Database, filepath.Join(h.Dir, "spool"), h.Spool).Replace(string(conf))
	check(w.t, os.WriteFile(h.KDCConf, []byte(text), 0o600))
}

// start starts a daemon that does not run. A daemon that cannot be started, other than for want of
// disk, is an error of the test; it is tried again later all the same.
func (w *world) start(ctx context.Context, d *daemon) {
	if d.p != nil && d.p.Running() || ctx.Err() != nil {
		return
	}
	args := []string{"-r", testrealm.RealmName}
	if d.program == "kdc" {
		args = append([]string{"serve", "-n"}, args...)
	}
	p, err := d.host.Start(ctx, d.program, append(args, d.args...)...)
	d.starts++
	if err == nil {
		d.p = p
		return
	}
	if d.p = nil; ctx.Err() != nil {
		return
	}
	if w.mayLackDisk(d) {
		w.counts["start without disk failed"]++
	} else {
		w.t.Errorf("%s could not be started: %v", d, err)
	}
	w.later(restart, func(ctx context.Context) { w.start(ctx, d) })
}

func (w *world) mayLackDisk(d *daemon) bool {
	return w.disk != "" && d.host == w.realm.Slaves[2] && time.Since(w.full) < afterDisk
}

// supervise starts again what has ended by itself.
func (w *world) supervise() {
	for _, d := range w.daemons() {
		if d.p == nil || d.p.Running() {
			continue
		}
		p := d.p
		d.p = nil
		if w.mayLackDisk(d) {
			w.counts["ended without disk"]++
		} else {
			log := p.Log()
			w.t.Errorf("%s ended by itself; it wrote:\n%s", d, log[max(0, len(log)-3000):])
		}
		w.later(restart, func(ctx context.Context) { w.start(ctx, d) })
	}
}

// signal sends a signal to a daemon that runs.
func (w *world) signal(d *daemon, s syscall.Signal) bool {
	return d.p != nil && d.p.Running() && syscall.Kill(d.p.Pid(), s) == nil
}

// kill kills a daemon and starts it again after a while.
func (w *world) kill(d *daemon, away time.Duration) {
	if d.p == nil {
		return
	}
	d.p.Kill()
	d.p = nil
	w.later(away, func(ctx context.Context) { w.start(ctx, d) })
}

// step steps the wall clock of a host, of all that runs there and all that is started there.
func (w *world) step(h *testrealm.Host, offset time.Duration) {
	if err := h.Step(offset); err != nil {
		w.t.Error(err)
	}
}

// fill fills slave3's disk to the last byte for a while.
func (w *world) fill(away time.Duration) {
	name := filepath.Join(w.disk, "filler")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		for block := 1 << 20; err == nil || block > 1; {
			if err != nil {
				block /= 16
			}
			_, err = f.Write(make([]byte, block))
		}
		_ = f.Close()
	}
	if !errors.Is(err, syscall.ENOSPC) {
		w.t.Errorf("disk not filled: %v", err)
	}
	w.full = time.Now()
	w.later(away, func(context.Context) { w.empty() })
}

func (w *world) empty() {
	if err := os.Remove(filepath.Join(w.disk, "filler")); err == nil {
		w.full = time.Now()
	} else if !errors.Is(err, os.ErrNotExist) {
		w.t.Error(err)
	}
}

// pieces draws how much a proxy passes on at once: much, mostly, and now and then a few octets.
func pieces(rng *rand.Rand) func() int {
	locked := make(chan *rand.Rand, 1)
	locked <- rng
	return func() int {
		r := <-locked
		defer func() { locked <- r }()
		if r.IntN(8) == 0 {
			return 1 + r.IntN(100)
		}
		return 1 + r.IntN(64<<10)
	}
}
