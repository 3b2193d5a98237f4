package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"krealm/internal/krbcrypto"
	"krealm/internal/sdnotify"
	"krealm/kdc/serve"
)

const serveName = "krb5kdc"

const serveUsage = `usage: krb5kdc [-x db_args]* [-d dbpathname] [-r dbrealmname]
		[-R replaycachename] [-m] [-k masterenctype]
		[-M masterkeyname] [-p port] [-P pid_file]
		[-n] [-w numworkers] [-T time_offset] [/]

where,
	[-x db_args]* - dbname=NAME names the database
`

// serveOptions are the options of krb5kdc (docs/protocols/kdc.md section 9.1).
type serveOptions struct {
	realms     []realmOptions
	foreground bool
	workers    int
	pidFile    string
	offset     time.Duration // added to the clock, for tests
}

// Serve is krb5kdc: it answers the clients of one realm or several until it is told to stop.
func Serve(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseServe(args)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n%s", serveName, err, serveUsage)
		return 1
	}
	con := newConsole(stdin, stdout, stderr)
	parent := daemonParent()
	if !o.foreground && parent == nil {
		return detach(o, con, stderr)
	}
	return runServer(o, con, stderr, parent)
}

// parseServe reads the command line. Options hold for the realms that follow them.
func parseServe(args []string) (*serveOptions, error) {
	o := &serveOptions{}
	var cur realmOptions
	add := func(name string) {
		cur.realm = name
		o.realms = append(o.realms, cur)
		// Names of databases are for one realm; the default addresses stay.
		cur = realmOptions{listen: cur.listen}
	}
	g := &getopt{args: args, spec: "x:r:d:mM:k:R:P:p:nw:4:T:X3"}
	for {
		opt, arg, err := g.next()
		if err != nil {
			return nil, err
		}
		switch opt {
		case 0:
			if len(o.realms) == 0 {
				add("")
			}
			return o, nil
		case 'r':
			add(arg)
		case 'd':
			cur.database = arg
		case 'x':
			err = cur.dbArg(arg)
		case 'm':
			cur.manual = true
		case 'M':
			cur.master = arg
		case 'k':
			_, err = krbcrypto.ParseEnctype(arg) // the entry itself says what its key is
		case 'p':
			cur.listen = arg
		case 'P':
			o.pidFile = arg
		case 'n':
			o.foreground = true
		case 'w':
			if o.workers, err = strconv.Atoi(arg); err == nil && o.workers < 1 {
				err = fmt.Errorf("%s workers", arg)
			}
		case 'T':
			var seconds int
			seconds, err = strconv.Atoi(arg)
			o.offset = time.Duration(seconds) * time.Second
		}
		if err != nil {
			return nil, err
		}
	}
}

// maxRealms is how many realms one process serves, as in MIT krb5kdc.
const maxRealms = 32

// runServer opens everything, says that it is ready, and serves until a signal ends it.
// parent is where a daemon reports, nil in the foreground.
func runServer(o *serveOptions, con *console, stderr io.Writer, parent *report) int {
	log, err := newServeLog(o, stderr)
	if err == nil && len(o.realms) > maxRealms {
		err = fmt.Errorf("%d realms, at most %d", len(o.realms), maxRealms)
	}
	if err != nil {
		parent.fail(err)
		fmt.Fprintf(stderr, "%s: %v\n", serveName, err)
		return 1
	}
	defer log.close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	s := &server{o: o, con: con, log: log, ready: func() {
		fmt.Fprintf(stderr, "%s: starting...\n", serveName)
		parent.ready()
	}}
	defer s.close()
	if err := s.run(ctx); err != nil {
		log.Line(serve.LevelError, err.Error())
		parent.fail(err)
		if !log.onStderr {
			fmt.Fprintf(stderr, "%s: %v\n", serveName, err)
		}
		return 1
	}
	log.Line(serve.LevelInfo, "shutting down")
	return 0
}

// server is a running krb5kdc.
type server struct {
	o      *serveOptions
	con    *console
	log    *serveLog
	ready  func()
	realms []*servedRealm
	clock  func() time.Time
}

func (s *server) close() {
	for _, r := range s.realms {
		r.close()
	}
}

// run opens realms and sockets and serves until ctx ends, then returns nil.
func (s *server) run(ctx context.Context) error {
	s.clock = func() time.Time { return time.Now().Add(s.o.offset) }
	opts := serve.Options{Log: s.log, Clock: s.clock, Workers: s.o.workers}
	for i := range s.o.realms {
		r, err := openServed(ctx, &s.o.realms[i], s)
		if errors.Is(err, context.Canceled) {
			return nil // told to stop while it waited for a snapshot
		}
		if err != nil {
			return err
		}
		s.realms = append(s.realms, r)
		opts.Realms = append(opts.Realms, r.exchanges())
		if opts.UDP, opts.TCP, err = r.addresses(opts.UDP, opts.TCP); err != nil {
			return err
		}
		opts.MaxDgramReply, opts.Backlog = r.conf.MaxDgramReply, r.conf.TCPBacklog
		if err := r.proxy(&opts.HTTPS); err != nil {
			return err
		}
	}
	var err error
	if opts.Inherited, err = sdnotify.Inherited(); err != nil {
		return err
	}
	srv, err := serve.New(ctx, opts)
	if err != nil {
		return s.placed(err)
	}
	if err := s.writePID(); err != nil {
		return errors.Join(err, srv.Close())
	}
	defer s.removePID()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anybody can know that this process serves
	defer signal.Stop(hangup)
	s.log.Line(serve.LevelInfo, "commencing operation")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return srv.Run(ctx) })
	for _, r := range s.realms {
		g.Go(func() error { return r.run(ctx) })
	}
	g.Go(func() error { return s.followHangup(ctx, hangup) })
	s.ready()
	s.notify(sdnotify.Ready)
	defer s.notify(sdnotify.Stopping)
	return g.Wait()
}

// notify tells a service manager.
func (s *server) notify(state string) {
	if err := sdnotify.Notify(state); err != nil {
		s.log.Line(serve.LevelWarning, err.Error())
	}
}

// followHangup opens the log files again at each SIGHUP.
func (s *server) followHangup(ctx context.Context, c <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c:
			s.log.reopen()
		}
	}
}

func (s *server) writePID() error {
	if s.o.pidFile == "" {
		return nil
	}
	return os.WriteFile(s.o.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
}

// removePID removes the PID file if it is still ours.
func (s *server) removePID() {
	if s.o.pidFile == "" {
		return
	}
	b, err := os.ReadFile(s.o.pidFile)
	if err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(s.o.pidFile)
	}
}
