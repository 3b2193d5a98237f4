package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/krb"
	"krealm/internal/krbmsg"
	"krealm/internal/stream"
	"krealm/krep/dumpcmd"
	"krealm/krep/feed"
	"krealm/krep/sender"
	"krealm/krep/slavelist"
)

func daemonCommand(args []string, stdout, stderr io.Writer) int {
	f := newFlags("krep", stderr, true)
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return daemon.ExitOK
	} else if err != nil || f.NArg() > 0 {
		return daemon.ExitUsage
	}
	ctx, hup, stop := daemon.Signals(context.Background()) // first: an unexpected SIGHUP ends a program
	defer stop()
	s, err := f.load()
	if err != nil {
		return fail(stderr, err)
	}
	list, err := s.validate()
	var d *krep
	if err == nil {
		d, err = newKrep(s, daemon.Logger(stderr, "krep", s.debug))
	}
	if s.check {
		if printErr := s.Print(stdout); err == nil {
			err = printErr
		}
	}
	if err != nil {
		return fail(stderr, err, hints(err)...)
	}
	if s.check {
		return daemon.ExitOK
	}
	defer daemon.Frugal()()
	if err := d.run(ctx, list, hup, stderr); err != nil {
		d.log.Error().Err(err).Msg("krep ends")
		return fail(stderr, err, hints(err)...)
	}
	return daemon.ExitOK
}

// krep is the daemon with its parts.
type krep struct {
	s       *settings
	log     zerolog.Logger
	feed    *feed.Feed
	set     *sender.Set
	client  *krb.Client
	source  source
	paused  *remembered
	resyncs *remembered
	started time.Time

	listTrouble atomic.Pointer[string] // why the slave list as it is now is not followed; nil: it is

	verifying sync.Mutex
	waiting   atomic.Int64 // commands that wait for slaves
}

// newKrep makes the parts and starts nothing.
func newKrep(s *settings, log zerolog.Logger) (*krep, error) {
	k := &krep{s: s, log: log.With().Str("realm", s.Realm.Name).Logger(), started: time.Now()}
	if err := deltafile.CheckModes(s.delta); err != nil {
		return nil, fmt.Errorf("delta file: %w", err)
	}
	var err error
	if k.paused, err = loadPaused(s.delta + ".paused"); err != nil {
		return nil, err
	}
	if k.resyncs, err = loadResyncs(s.delta + ".resync"); err != nil {
		return nil, err
	}
	kt, err := krb.OpenKeytab(s.keytab)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	principal, err := krb.ServicePrincipal(kt, s.principal, "krep", host, s.Realm.Name)
	if err != nil {
		return nil, err
	}
	s.Note("principal", principal, "keytab")
	k.client = &krb.Client{Principal: principal, Keytab: kt, KDCs: s.Conf.KDCs, Skew: s.Conf.ClockSkew}
	if s.snapshotCmd != "" {
		k.source = &commandSource{dumpcmd.Source{Command: s.snapshotCmd, Realm: s.Realm.Name, Delta: s.delta,
			Dir: filepath.Dir(s.delta), Log: k.log}}
	} else {
		k.source = &databaseSource{path: s.Realm.Database, dir: filepath.Dir(s.delta), log: k.log}
	}
	k.set = sender.NewSet(sender.Options{
		Realm: s.Realm.Name, Feed: feedAdapter{k}, Source: wideSource{k.source}, Log: k.log,
		Prepare: k.prepare, Dial: dial, Auth: k.auth, Paused: k.paused.has,
		Wanted: k.resyncs.has, Rebuilt: k.rebuilt,
	})
	k.feed = feed.New(feed.Options{Path: s.delta, Realm: s.Realm.Name, Log: k.log,
		Safe: k.set.Safe, Release: k.set.Release, MaxSize: s.maxSize, MaxAge: s.maxAge})
	return k, nil
}

// feedAdapter gives the senders the feed, whose Cursor is a concrete type.
type feedAdapter struct{ k *krep }

func (a feedAdapter) View() (base, last deltafile.State, ok bool) { return a.k.feed.View() }
func (a feedAdapter) Changed() <-chan struct{}                    { return a.k.feed.Changed() }
func (a feedAdapter) Cursor(at deltafile.State) sender.Cursor     { return a.k.feed.Cursor(at) }
func (a feedAdapter) Acked()                                      { a.k.feed.Acked() }

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
	}
	return nc, nil
}

// prepare gets a ticket for the slave: KDCs that do not answer take their time, more than a slave gives
// a handshake.
func (k *krep) prepare(ctx context.Context, principal string) error {
	_, err := k.client.Ticket(ctx, principal)
	return err
}

// auth does the handshake with the ticket for the slave. A ticket that is refused is not used
// again: the slave's key may have changed.
func (k *krep) auth(ctx context.Context, nc net.Conn, principal string) (*stream.Conn, error) {
	t, err := k.client.Ticket(ctx, principal)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	c, err := stream.Initiate(ctx, nc, &stream.Credentials{
		Client: krbmsg.NewName(krbmsg.NTPrincipal, t.Client.Components...), Realm: t.Client.Realm,
		Server: t.Service, Ticket: t.Raw, Key: t.Key, End: t.End,
	})
	if err != nil {
		k.client.Forget(principal)
	}
	return c, err
}

// run works until ctx ends.
func (k *krep) run(ctx context.Context, list []slavelist.Slave, hup <-chan os.Signal, stderr io.Writer) error {
	defer func() { _ = k.source.Close() }()
	own, err := deltafile.Possess(k.s.delta, "krep", fmt.Sprintf("krep with pid %d, control socket %q", os.Getpid(), k.s.control))
	if err != nil {
		return fmt.Errorf("delta file: %w", err)
	}
	defer func() { _ = own.Close() }()
	listeners, err := listenAll(k.s.listen)
	if err != nil {
		return err
	}
	k.set.Update(list) // before anybody can ask whether all slaves have a change
	g, ctx := errgroup.WithContext(ctx)
	if k.s.control != "" {
		ln, err := control.Listen(k.s.control)
		if err != nil {
			closeAll(listeners)
			return err
		}
		g.Go(func() error { return control.Serve(ctx, ln, k.handle) })
	}
	k.serveCallers(ctx, g, listeners)
	g.Go(func() error { return k.feed.Run(ctx) })
	g.Go(func() error { k.set.Run(ctx); return nil })
	g.Go(func() error { return k.watchList(ctx, hup) })
	k.log.Info().Str("principal", k.client.Principal).Str("delta_file", k.s.delta).Int("slaves", len(list)).Msg("krep starts")
	_, _ = fmt.Fprintln(stderr, "krep: starting...")
	if err = g.Wait(); err == nil {
		k.log.Info().Msg("krep stops")
	}
	return err
}

// watchList reads the slave list again when SIGHUP says so, and when it has changed and then been
// left alone for a moment: whoever writes it in place has it empty for a while. A list that is not
// understood changes nothing, and one that has become empty is believed only on SIGHUP: without
// slaves the delta file is dropped.
func (k *krep) watchList(ctx context.Context, hup <-chan os.Signal) error {
	w, err := deltafile.WatchFile(k.s.slaves)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	poll := time.NewTicker(listPoll)
	defer poll.Stop()
	settled := time.NewTimer(0)
	defer settled.Stop()
	taken := k.s.listed
	seen := taken
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			taken = stampOf(k.s.slaves)
			k.readList(true)
			continue
		case <-settled.C:
			if now := stampOf(k.s.slaves); now == seen && now != taken {
				taken = now
				k.readList(false)
			}
		case <-w.C():
		case <-poll.C:
			if k.listTrouble.Load() != nil && k.listMended() { // as good as changed: it may be half written
				taken = fileStamp{size: -2}
				settled.Reset(listSettles)
			}
		}
		if now := stampOf(k.s.slaves); now != seen {
			seen = now
			settled.Reset(listSettles)
		}
	}
}

// listMended tells that a list which was not taken up could be now: what was wrong with it need not
// show in its size or time, as its mode or that of a directory.
func (k *krep) listMended() bool {
	list, err := k.s.loadSlaves()
	return err == nil && len(list) > 0
}

// readList takes up what the slave list says now.
func (k *krep) readList(asked bool) {
	list, err := k.s.loadSlaves()
	var trouble *string
	defer func() { k.listTrouble.Store(trouble) }()
	switch {
	case err != nil:
		trouble = new(err.Error())
		k.log.Error().Err(err).Msg("slave list not understood, the old one stays")
	case len(list) == 0 && !asked && len(k.set.Status()) > 0:
		trouble = new("it is empty: send SIGHUP if that is meant")
		k.log.Warn().Msg("slave list is empty, the old one stays: send SIGHUP if that is meant")
	default:
		k.log.Info().Int("slaves", len(list)).Msg("slave list read")
		k.set.Update(list)
	}
}

const (
	listPoll    = 5 * time.Second
	listSettles = time.Second // without a change before a changed list is read
)

// fileStamp tells one state of a file from another.
type fileStamp struct {
	size  int64
	mtime time.Time
	mode  os.FileMode
}

func stampOf(path string) fileStamp {
	st, err := os.Stat(path)
	if err != nil {
		return fileStamp{size: -1}
	}
	return fileStamp{st.Size(), st.ModTime(), st.Mode()}
}
