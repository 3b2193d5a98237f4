package command

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"krealm/internal/daemon/daemontest"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/internal/wire"
)

// logged keeps what is logged and tells that there is more.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(b)
}

// wait returns when all words are there; text is what was logged since the call before.
func (l *logged) wait(t *testing.T, words ...string) (text string) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		l.mu.Lock()
		text = l.text.String()
		lacks := ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				lacks = w
			}
		}
		if lacks == "" {
			l.text.Reset()
			l.mu.Unlock()
			return text
		}
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		select {
		case <-more:
		case <-end:
			t.Fatalf("lacks %q:\n%s", lacks, text)
		}
	}
}

// reloading is a daemon that is told to read its configuration again.
type reloading struct {
	t    *testing.T
	dir  string
	addr string
	hup  chan os.Signal
	log  logged
	peer *streamtest.Realm
}

func startReloading(t *testing.T) *reloading {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &reloading{t: t, dir: host(t, section), addr: ln.Addr().String(), hup: make(chan os.Signal, 1), peer: streamtest.NewRealm("EXAMPLE.ORG")}
	_ = ln.Close()
	x.peer.SetKey(slaveID, must(t, slaveKey))
	hangUpDaemon(t, x.addr, x.hup, &x.log)
	return x
}

// configure writes kdc.conf anew, and says so.
func (x *reloading) configure(krepSection string) {
	x.t.Helper()
	text := "[realms]\n EXAMPLE.ORG = {\n  database_name = DIR/principal\n }\n[krep]\n EXAMPLE.ORG = {\n" + krepSection + " }\n"
	daemontest.Write(x.t, x.dir, "kdc.conf", []byte(strings.ReplaceAll(text, "DIR", x.dir)))
	x.hup <- syscall.SIGHUP
}

// feed opens a stream and says hello.
func (x *reloading) feed(ctx context.Context, principal string) (*stream.Conn, error) {
	x.t.Helper()
	nc, err := net.Dial("tcp", x.addr)
	if err != nil {
		x.t.Fatal(err)
	}
	c, err := stream.Initiate(ctx, nc, x.peer.Credentials(principal, slaveID))
	if err != nil {
		return nil, err
	}
	x.t.Cleanup(func() { _ = c.Close() })
	hello := &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: "EXAMPLE.ORG"}
	if err := c.Send(hello.Append(nil)); err != nil {
		return nil, err
	}
	_, err = c.Receive()
	return c, err
}

// alive tells whether the slave still listens to a stream: it answers a question.
func alive(c *stream.Conn) error {
	ask := &wire.Inspect{ID: 1}
	if err := c.Send(ask.Append(nil)); err != nil {
		return err
	}
	for {
		b, err := c.Receive()
		if err != nil {
			return err
		}
		m, err := wire.Parse(b)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Sums:
			return nil
		case *wire.Error:
			return errors.New(m.Text)
		}
	}
}

// SIGHUP takes up who may feed the slave, and only that; a stream goes on unless its feeder is no
// longer allowed.
func TestReload(t *testing.T) {
	x := startReloading(t)
	const secondID = "krep/kdc9.example.org@EXAMPLE.ORG"
	c, err := x.feed(t.Context(), masterID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.feed(t.Context(), secondID); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("not allowed yet: %v", err)
	}
	x.log.wait(t, "connection refused")
	both := strings.Replace(section, "  allow =", "  allow = krep/kdc9.example.org\n  allow =", 1)
	x.configure(both)
	x.log.wait(t, "configuration read again", secondID, masterID)
	if err := alive(c); err != nil {
		t.Errorf("the stream was disturbed: %v", err)
	}
	// What cannot change is named, and does not.
	x.configure(strings.NewReplacer("DIR/spool", "DIR/other", "DIR/control", "DIR/socket").Replace(both))
	text := x.log.wait(t, "configuration read again")
	for _, want := range []string{`"setting":"spool","configured":"` + x.dir + `/other","in_force":"` + x.dir + `/spool"`, `"setting":"control"`} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "needs a restart"); n != 2 {
		t.Errorf("%d settings, not 2:\n%s", n, text)
	}
	if _, err := os.Stat(filepath.Join(x.dir, "other")); err == nil {
		t.Error("another spool was begun")
	}
	// What is not understood, or would let nobody feed the slave, changes nothing.
	for _, bad := range []string{"  allow = {\n", strings.Replace(section, "allow = krep", "allow = @", 1), "  keytab = DIR/keytab\n  spool = DIR/spool\n"} {
		x.configure(bad)
		x.log.wait(t, `"level":"error"`, "the old settings stay")
	}
	if err := alive(c); err != nil {
		t.Errorf("the stream was disturbed: %v", err)
	}
	// The other one takes over, and the first is taken off the list: that is no matter of the stream.
	c, err = x.feed(t.Context(), secondID)
	if err != nil {
		t.Fatal(err)
	}
	x.configure(strings.Replace(section, "kdc1", "kdc9", 1))
	x.log.wait(t, "configuration read again")
	if err := alive(c); err != nil {
		t.Errorf("the stream was disturbed: %v", err)
	}
	if _, err := x.feed(t.Context(), masterID); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("no longer allowed: %v", err)
	}
	x.configure(section)
	x.log.wait(t, "configuration read again", "no longer allowed to feed this slave")
	if err := alive(c); err == nil || err.Error() != "no longer allowed to feed this slave" && !errors.Is(err, io.EOF) {
		t.Errorf("its feeder is not allowed: %v", err)
	}
}

// Masters to dial may be the first ones.
func TestReloadConnect(t *testing.T) {
	x := startReloading(t)
	x.configure(section + "  connect = 127.0.0.1:1 krep/kdc7.example.org\n")
	x.log.wait(t, "configuration read again", "krep/kdc7.example.org@EXAMPLE.ORG", "trying again")
	x.configure(section)
	if text := x.log.wait(t, "configuration read again"); strings.Contains(text, "kdc7.example.org@") {
		t.Error(text)
	}
}

// -check says what is read again.
func TestCheckNamesReread(t *testing.T) {
	host(t, section)
	_, out, _ := run("-check", "-connect", "kdc3.example.org")
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		if got := strings.Contains(line, "read again on SIGHUP"); got != (name == "allow") { // connect is a flag
			t.Error(line)
		}
	}
}
