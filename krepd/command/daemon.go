package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/krb"
	"krealm/internal/krbcrypto"
	"krealm/internal/stream"
	"krealm/kdc/kdb"
	"krealm/krepd/apply"
	"krealm/krepd/receiver"
	"krealm/krepd/spool"
)

func daemonCommand(args []string, stdout, stderr io.Writer) int {
	f := newFlags("krepd", stderr, true)
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
	err = s.validate()
	if s.check {
		if err == nil {
			err = s.checkFiles(ctx)
		}
		s.markReread()
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
	log := daemon.Logger(stderr, "krepd", s.debug).With().Str("realm", s.Realm.Name).Logger()
	err = serve(ctx, s, hup, log, stderr)
	if err != nil {
		return fail(stderr, err, hints(err)...)
	}
	return daemon.ExitOK
}

// serve runs one krepd, and another each time its database was damaged and is set aside, until ctx ends.
func serve(ctx context.Context, s *settings, hup <-chan os.Signal, log zerolog.Logger, stderr io.Writer) error {
	for {
		d, err := newKrepd(ctx, s, log)
		if err != nil && ctx.Err() != nil {
			return nil // told to end before it had begun
		}
		if err != nil {
			return err
		}
		err = d.run(ctx, hup, stderr)
		if errors.Is(err, errSpoiled) {
			s = d.live.Load()
			if err = s.setAside(ctx, log, err); err == nil {
				continue
			}
		}
		if err != nil {
			log.Error().Err(err).Msg("krepd ends")
		}
		return err
	}
}

// krepd is the daemon with its parts.
type krepd struct {
	s        *settings                // of the start
	live     atomic.Pointer[settings] // as read last; what is not listed in reread is that of the start
	log      zerolog.Logger
	db       *kdb.DB
	spool    *spool.Spool
	applier  *apply.Applier
	receiver *receiver.Receiver
	server   *stream.Server
	started  time.Time
	relay    relay
	suspects suspects

	keytab    *krb.Keytab
	connector *connector
}

// openKeytab opens the keytab and checks that it holds a principal of krepd's.
func (s *settings) openKeytab() (*krb.Keytab, error) {
	kt, err := krb.OpenKeytab(s.keytab)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(kt.Principals(), s.isOwn) {
		return nil, fmt.Errorf("keytab %q holds no krep/HOST@%s", kt.Path(), s.Realm.Name)
	}
	return kt, nil
}

// checkFiles looks at keytab, spool, delta file and database as the start does, and changes nothing.
func (s *settings) checkFiles(ctx context.Context) error {
	if _, err := s.openKeytab(); err != nil {
		return err
	}
	if err := deltafile.CheckModes(s.spool); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if s.delta != "" {
		if err := deltafile.CheckModes(s.delta); err != nil {
			return fmt.Errorf("delta file: %w", err)
		}
	}
	db, err := kdb.Open(ctx, s.Realm.Database, kdb.Options{ReadOnly: true})
	if errors.Is(err, kdb.ErrNoDatabase) {
		return nil // the start makes one
	}
	if kdb.Suspect(err) && kdb.Expendable(ctx, s.Realm.Database, s.Realm.Name) == nil {
		return fmt.Errorf("%w: the start sets it aside, makes a new one and waits for a full copy", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(s.checkDatabase(ctx, db), db.Close())
}

// checkDatabase tells whether a database is one of this realm that takes its content from a master.
func (s *settings) checkDatabase(ctx context.Context, db *kdb.DB) error {
	if db.Realm() != s.Realm.Name {
		return fmt.Errorf("database %q is of realm %q, not %q", s.Realm.Database, db.Realm(), s.Realm.Name)
	}
	replica, err := db.Replica(ctx)
	if err == nil && !replica {
		err = fmt.Errorf("database %q: %w", s.Realm.Database, kdb.ErrMaster)
	}
	return err
}

// isOwn tells whether a principal is one that krepd answers for: krep/ANYTHING of the realm.
func (s *settings) isOwn(principal string) bool {
	return strings.HasPrefix(principal, "krep/") && strings.HasSuffix(principal, "@"+s.Realm.Name)
}

// ownKeys limits a keytab, which may be the host's, to krepd's own principals.
type ownKeys struct {
	keytab *krb.Keytab
	isOwn  func(string) bool
}

// Keys implements stream.Keys.
func (o ownKeys) Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key {
	if !o.isOwn(service) {
		return nil
	}
	return o.keytab.Keys(service, kvno, e)
}

// newKrepd opens keytab, spool and database, which is made if there is none, and starts nothing.
func newKrepd(ctx context.Context, s *settings, log zerolog.Logger) (_ *krepd, err error) {
	d := &krepd{s: s, log: log, started: time.Now(), suspects: make(suspects, 1)}
	d.live.Store(s)
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.keytab, err = s.openKeytab(); err != nil {
		return nil, err
	}
	if d.spool, err = spool.Open(s.spool, nil); err != nil {
		return nil, err
	}
	if d.db, err = openDatabase(ctx, s, log, &d.relay); err != nil {
		return nil, err
	}
	d.applier = apply.New(d.wide(), d.spool, log)
	d.receiver = receiver.New(receiver.Options{Realm: s.Realm.Name, Spool: d.spool, Inspector: d.wide(),
		Applier: standing{d.applier, d.wide()}, Log: log, Grace: s.Conf.ClockSkew, Allowed: d.allowed})
	d.server = &stream.Server{Handle: d.receiver.Handle, Log: log, Acceptor: &stream.Acceptor{
		Keys: ownKeys{d.keytab, s.isOwn}, Allow: d.allowed, Skew: s.Conf.ClockSkew,
	}}
	d.connector = d.newConnector()
	return d, d.connector.prepare(s)
}

// allowed tells who may feed this slave now.
func (d *krepd) allowed(principal string) bool {
	return slices.Contains(d.live.Load().allow, principal)
}

// openDatabase opens the slave's database, or makes an empty one that waits for a full copy.
func openDatabase(ctx context.Context, s *settings, log zerolog.Logger, trouble *relay) (*kdb.DB, error) {
	o := kdb.Options{DeltaFile: s.delta, VerifyDelta: true, KeepChanges: s.Realm.KeepChanges, OnDrainError: func(err error) {
		trouble.note(log, err)
	}, OnDeltaDamage: func(err error) {
		log.Warn().Err(err).Str("kept", s.delta+".damaged").Msg("delta file for the next tier was damaged and is written anew")
	}}
	db, err := kdb.Open(ctx, s.Realm.Database, o)
	if kdb.Suspect(err) {
		if err = s.setAside(ctx, log, err); err == nil {
			db, err = kdb.Open(ctx, s.Realm.Database, o)
		}
	}
	if errors.Is(err, kdb.ErrNoDatabase) {
		log.Warn().Str("database", s.Realm.Database).Msg("no database: made an empty one that waits for a full copy")
		db, err = kdb.InitSlave(ctx, s.Realm.Database, s.Realm.Name, o)
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkDatabase(ctx, db); err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := db.Vouch(ctx); err != nil { // a disk that is full, say
		log.Warn().Err(err).Msg("should the database be damaged it will not be replaced by itself")
	}
	return db, nil
}

func (d *krepd) close() {
	if d.db != nil {
		if err := d.db.Close(); err != nil {
			d.log.Error().Err(err).Msg("database did not close")
		}
	}
	if d.spool != nil {
		if err := d.spool.Close(); err != nil {
			d.log.Error().Err(err).Msg("spool did not close")
		}
	}
}

// run works until ctx ends.
func (d *krepd) run(ctx context.Context, hup <-chan os.Signal, stderr io.Writer) error {
	defer d.close()
	var listeners []net.Listener
	closeAll := func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}
	for _, addr := range d.s.listen {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			closeAll()
			return err
		}
		listeners = append(listeners, ln)
	}
	g, ctx := errgroup.WithContext(ctx)
	if d.s.control != "" {
		ln, err := control.Listen(d.s.control)
		if err != nil {
			closeAll()
			return err
		}
		g.Go(func() error { return control.Serve(ctx, ln, d.handle) })
	}
	g.Go(func() error { return d.applier.Run(ctx) })
	g.Go(func() error { return d.tend(ctx, tendEvery) })
	g.Go(func() error { return d.mend(ctx) })
	g.Go(func() error { return d.applier.Verify(ctx, onDisk{d.wide()}, apply.DefaultVerify) })
	for _, ln := range listeners {
		g.Go(func() error { return d.server.Serve(ctx, ln) })
	}
	g.Go(func() error { d.connector.run(ctx); return nil })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hup:
				d.reload()
			case err := <-d.receiver.Fatal():
				return err
			}
		}
	})
	d.log.Info().Strs("listen", d.s.listen).Strs("allow", d.s.allow).Str("spool", d.s.spool).Msg("krepd starts")
	_, _ = fmt.Fprintln(stderr, "krepd: starting...")
	err := g.Wait()
	if err == nil {
		d.log.Info().Msg("krepd stops")
	}
	return err
}

// onDisk is the database with the stamp of its files.
type onDisk struct{ wide }

// Stamp implements apply.Verifier.
func (o onDisk) Stamp() (stamp string, settled bool, err error) {
	settled = true
	for _, name := range []string{o.Path(), o.Path() + "-wal"} {
		st, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			stamp += "- "
			continue
		}
		if err != nil {
			return "", false, err
		}
		stamp += fmt.Sprintf("%d %d ", st.Size(), st.ModTime().UnixNano())
		settled = settled && time.Since(st.ModTime()) > time.Second
	}
	return stamp, settled, nil
}

// standing tells the receiver where the applier and the database are.
type standing struct {
	*apply.Applier
	db wide
}

// Standing implements receiver.Applier.
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
