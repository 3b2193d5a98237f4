package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"krealm/internal/admin"
	"krealm/internal/krbmsg"
	"krealm/internal/realmconf"
	"krealm/internal/spake"
	"krealm/kdc/as"
	"krealm/kdc/exchange"
	"krealm/kdc/kdb"
	"krealm/kdc/lockout"
	"krealm/kdc/mkey"
	"krealm/kdc/realm"
	"krealm/kdc/serve"
	"krealm/kdc/tgs"
)

// servedRealm is one realm of a running KDC. If the file of its database is replaced by
// another one it changes over to that.
type servedRealm struct {
	opts   *realmOptions
	conf   *realmconf.Realm
	all    *realmconf.Conf
	server *server
	open   admin.Opener
	cur    atomic.Pointer[opened]
}

// opened is one database file with what follows from it.
type opened struct {
	db     *kdb.DB
	view   *kdb.View
	core   *realm.Realm
	keeper *lockout.Keeper
	done   sync.Once
}

func (o *opened) close() { o.done.Do(func() { _ = o.view.Close(); _ = o.db.Close() }) }

// openServed opens a realm: configuration, database, master key. A replica that has no content
// yet is waited for.
func openServed(ctx context.Context, opts *realmOptions, s *server) (*servedRealm, error) {
	all, conf, err := opts.load()
	if err != nil {
		return nil, err
	}
	r := &servedRealm{opts: opts, conf: conf, all: all, server: s}
	r.open = opts.opener(s.con, r.warn, conf)
	r.tellIgnored()
	cur, err := r.openDatabase(ctx)
	for errors.Is(err, kdb.ErrReplaced) { // while it was waited for
		cur, err = r.openDatabase(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot initialize realm %s: %w", conf.Name, err)
	}
	r.cur.Store(cur)
	return r, nil
}

func (r *servedRealm) close() {
	if cur := r.cur.Load(); cur != nil {
		cur.close()
	}
}

func (r *servedRealm) openDatabase(ctx context.Context) (*opened, error) {
	o := dbOptions(r.warn, r.conf)
	o.VerifyDelta = true
	db, err := openWith(ctx, o, r.conf)
	if err != nil {
		return nil, err
	}
	view, err := kdb.OpenView(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	open := &opened{db: db, view: view}
	settings, err := r.settings()
	if err == nil {
		err = r.awaitContent(ctx, view)
	}
	var keys *mkey.Keeper
	if err == nil {
		keys, err = r.openMaster(view)
	}
	if err != nil {
		open.close()
		return nil, err
	}
	open.core = realm.New(settings, view, keys)
	open.keeper = lockout.NewKeeper(open.core, view, db.SetLockouts, r.once("lockout fields not written"))
	return open, nil
}

// warn is called by whoever drains.
func (r *servedRealm) warn(text string) {
	r.server.log.Line(serve.LevelWarning, "realm "+r.conf.Name+": "+text)
}

// openMaster opens the master key; a master password that was typed opens it once, a stash file
// is looked at again when it changes.
func (r *servedRealm) openMaster(view *kdb.View) (*mkey.Keeper, error) {
	stash := r.conf.StashFile
	if r.opts.manual {
		stash = ""
	}
	return mkey.Keep(view, r.conf.MasterPrincipal, stash, r.once("master key"), r.open)
}

// awaitContent waits until a replica has its first snapshot. kdb.ErrReplaced: another file is to be waited for.
func (r *servedRealm) awaitContent(ctx context.Context, view *kdb.View) error {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for told := false; ; told = true {
		if _, ok := view.Ref(r.conf.MasterPrincipal); ok {
			return nil
		}
		if view.State().Epoch != 0 {
			return fmt.Errorf("%s: Cannot find master key record in database", r.conf.MasterPrincipal)
		}
		if !told {
			r.server.log.Line(serve.LevelNotice, "waiting for the first snapshot of realm "+r.conf.Name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if view.Replaced() {
			return fmt.Errorf("%s: %w", r.conf.Database, kdb.ErrReplaced)
		}
		if err := view.Refresh(ctx); err != nil {
			return err
		}
	}
}

// run follows the database and does the bookkeeping until ctx ends, then returns nil.
func (r *servedRealm) run(ctx context.Context) error {
	for {
		cur := r.cur.Load()
		err := r.follow(ctx, cur)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, kdb.ErrReplaced) {
			// What was read last is better than no answer.
			r.server.log.Line(serve.LevelError, fmt.Sprintf("realm %s: database cannot be followed: %v", r.conf.Name, err))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
			continue
		}
		cur.close()
		next, err := r.reopen(ctx)
		if err != nil {
			return nil // told to stop
		}
		r.cur.Store(next)
		r.server.log.Line(serve.LevelNotice, "database of realm "+r.conf.Name+" was replaced; serving the new one")
	}
}

// reopen opens the database that took the place of another, as soon as it is complete. Until
// then the old content is served. It fails only when ctx ends.
func (r *servedRealm) reopen(ctx context.Context) (*opened, error) {
	tell := r.once("database replaced")
	for {
		o, err := r.openDatabase(ctx)
		if err == nil {
			return o, nil
		}
		tell(err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (r *servedRealm) follow(ctx context.Context, cur *opened) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return cur.view.Run(ctx) })
	g.Go(func() error { return cur.keeper.Run(ctx) })
	g.Go(func() error { return r.drain(ctx, cur.db) })
	return g.Wait()
}

// drain appends once a second what a crash kept out of the delta file (design, invariant 1).
func (r *servedRealm) drain(ctx context.Context, db *kdb.DB) error {
	tell := r.once("delta file")
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := db.Drain(ctx); err != nil && ctx.Err() == nil {
				tell(err)
			} else {
				tell(nil)
			}
		}
	}
}

// once returns a function that logs an error, but not the same one again and again. It is for
// one goroutine.
func (r *servedRealm) once(what string) func(error) {
	last := ""
	return func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != last {
			r.server.log.Line(serve.LevelWarning, fmt.Sprintf("realm %s: %s: %s", r.conf.Name, what, text))
		}
		last = text
	}
}

// exchanges is the realm as the network side sees it.
func (r *servedRealm) exchanges() serve.Realm {
	return serve.Realm{
		Name: r.conf.Name,
		AS: func(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome {
			return as.Answer(r.cur.Load().core, req, q)
		},
		TGS: func(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome {
			return tgs.Answer(r.cur.Load().core, req, q)
		},
		Note:    func(n exchange.Note) { r.cur.Load().keeper.Record(n) },
		Data:    r,
		Kpasswd: r.passwordServers(),
	}
}

// Version, Catch and Look are those of the view in use (serve.Snapshot).
func (r *servedRealm) Version() uint64 { return r.cur.Load().view.Version() }

// Catch is View.Catch.
func (r *servedRealm) Catch(ctx context.Context) { r.cur.Load().view.Catch(ctx) }

// Look is View.Look.
func (r *servedRealm) Look(ctx context.Context) { r.cur.Load().view.Look(ctx) }

// settings takes what the core needs from the configuration.
func (r *servedRealm) settings() (realm.Settings, error) {
	p := r.all.Profile()
	s := realm.Settings{
		Name:             r.conf.Name,
		ClockSkew:        int64(r.all.ClockSkew / time.Second),
		MaxLife:          int64(r.conf.MaxLife / time.Second),
		MaxRenewLife:     int64(r.conf.MaxRenewLife / time.Second),
		Permitted:        r.all.PermittedEnctypes,
		RejectBadTransit: r.conf.RejectBadTransit,
		DisablePAC:       r.conf.DisablePAC,
		RestrictAnon:     r.conf.RestrictAnon,
		DisableLockout:   r.conf.DisableLockout,
		DisableSuccess:   r.conf.DisableLastSuccess,
		ECIndicator:      r.conf.EncryptedChallengeIndicator,
		HostBased:        r.conf.HostBased,
		NoHostReferral:   r.conf.NoHostReferral,
		NoTimestamp:      r.switchedOff("encrypted_timestamp"),
		NoChallenge:      r.switchedOff("encrypted_challenge"),
	}
	r.spake(&s)
	var errs [5]error
	s.AllowRC4, errs[0] = p.Bool(false, "libdefaults", "allow_rc4")
	s.AllowDES3, errs[1] = p.Bool(false, "libdefaults", "allow_des3")
	s.VagueErrors, errs[2] = p.Bool(false, r.path("vague_errors")...)
	s.ASTag, errs[3] = r.replyTag()
	s.StrictClients, errs[4] = p.Bool(false, r.path("tgs_check_client")...)
	s.RealmOf = func(host string) string {
		for _, name := range hostSuffixes(host) {
			if v, ok := p.String("domain_realm", name); ok {
				return v
			}
		}
		return ""
	}
	s.TransitPath = func(client, server string) ([]string, bool) {
		list := p.Strings("capaths", client, server)
		return slices.DeleteFunc(slices.Clone(list), func(v string) bool { return v == "." }), len(list) > 0
	}
	return s, errors.Join(errs[:]...)
}

// path is where a relation that a realm's section or [kdcdefaults] may have stands.
func (r *servedRealm) path(name string) []string {
	if own := []string{"realms", r.conf.Name, name}; r.all.Profile().Has(own...) {
		return own
	}
	return []string{"kdcdefaults", name}
}

// replyTag reports whether AS replies are to be marked as such: as_reply_tag is 25, which RFC 4120
// wants, or 26, which MIT's KDC sends.
func (r *servedRealm) replyTag() (bool, error) {
	path := r.path("as_reply_tag")
	switch tag, _ := r.all.Profile().String(path...); tag {
	case "", "26":
		return false, nil
	case "25":
		return true, nil
	default:
		return false, fmt.Errorf("%s: as_reply_tag = %q: neither 25 nor 26", r.all.Profile().Source(path...), tag)
	}
}

// spake takes the relations of SPAKE pre-authentication. It is off unless groups are named; as
// in MIT krb5 a word that is no group, or a challenge in a group that is not among them, is
// passed over with a line in the log.
func (r *servedRealm) spake(s *realm.Settings) {
	p := r.all.Profile()
	complain := func(format string, args ...any) {
		r.server.log.Line(serve.LevelWarning, fmt.Sprintf("realm "+r.conf.Name+": "+format, args...))
	}
	list, _ := p.String("libdefaults", "spake_preauth_groups")
	var unknown []string
	if s.SPAKEGroups, unknown = spake.ParseGroups(list); len(unknown) > 0 {
		complain("spake_preauth_groups: unknown %q", unknown)
	}
	if r.switchedOff("spake") {
		s.SPAKEGroups = nil
		return
	}
	s.SPAKEIndicators = p.Strings("realms", r.conf.Name, "spake_preauth_indicator")
	name, ok := p.String("kdcdefaults", "spake_preauth_kdc_challenge")
	if !ok || name == "" {
		return
	}
	g, err := spake.ParseGroup(name)
	if err != nil || !slices.Contains(s.SPAKEGroups, g) {
		complain("spake_preauth_kdc_challenge: %q is not among spake_preauth_groups, no challenge is sent unasked", name)
		return
	}
	s.SPAKEChallenge = g
}

// hostSuffixes returns the names under which [domain_realm] may know a host: its own, then each
// parent domain with and without a leading dot.
func hostSuffixes(host string) []string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	out := []string{host}
	for i := strings.IndexByte(host, '.'); i >= 0 && len(out) < 64; {
		out = append(out, host[i:], host[i+1:])
		next := strings.IndexByte(host[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return out
}
