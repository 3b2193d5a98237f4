package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

func goodRequest(nonce int64) []byte {
	b := kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST")
	b.Nonce = nonce
	return kdctest.ASReq(b)
}

// start runs a server on loopback ports until the test ends.
func start(t *testing.T, change func(o *Options)) (s *Server, log *memLog, udp, tcp string) {
	t.Helper()
	d, log := recorded(t, kdctest.At)
	o := Options{UDP: []string{"127.0.0.1:0"}, TCP: []string{"127.0.0.1:0"}, Realms: d.realms, Log: log, Clock: d.clock}
	if change != nil {
		change(&o)
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	u, st := s.Addrs()
	return s, log, slices.Concat(u, []string{""})[0], slices.Concat(st, []string{""})[0]
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func askUDP(t *testing.T, addr string, msg []byte) []byte {
	t.Helper()
	c := dial(t, "udp", addr)
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func sendFrame(t *testing.T, c net.Conn, msg []byte) {
	t.Helper()
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)); err != nil {
		t.Fatal(err)
	}
}

// readFrame returns nil when the server has closed the connection.
func readFrame(t *testing.T, c net.Conn) []byte {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil
	}
	msg := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, msg); err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestUDPAndTCPShareTheCache(t *testing.T) {
	_, log, udp, tcp := start(t, nil)
	msg := goodRequest(1)
	first := askUDP(t, udp, msg)
	c := dial(t, "tcp", tcp)
	sendFrame(t, c, msg)
	if again := readFrame(t, c); !bytes.Equal(first, again) || summary(first) != "AS-REP" {
		t.Errorf("UDP %s, TCP %s", summary(first), summary(again))
	}
	if !log.has("repeated (retransmitted?) request from 127.0.0.1, resending previous response") {
		t.Errorf("log: %q", log.text())
	}
	if log.count() != 1 {
		t.Errorf("%d exchanges, want 1", log.count())
	}
}

// TestSmallDatagramLimit: the reply that is too long for UDP waits in the cache for TCP, and a
// retransmission gets the same error again.
func TestSmallDatagramLimit(t *testing.T) {
	_, log, udp, tcp := start(t, func(o *Options) { o.MaxDgramReply = 100 })
	msg := goodRequest(2)
	for range 2 {
		reply := askUDP(t, udp, msg)
		var e krbmsg.KRBError
		if err := e.Parse(reply); err != nil || e.Code != krbmsg.ErrResponseTooBig || e.EText != nil || e.CName.Set || !e.SName.Is("krbtgt", "A.TEST") {
			t.Errorf("%+v, %v", e, err)
		}
	}
	c := dial(t, "tcp", tcp)
	sendFrame(t, c, msg)
	if got := summary(readFrame(t, c)); got != "AS-REP" || log.count() != 1 {
		t.Errorf("%s after %d exchanges", got, log.count())
	}
	if got := summary(askUDP(t, udp, goodRequest(3))); got != "ERR 52 " {
		t.Errorf("afterwards: %s", got)
	}
}

func TestSilence(t *testing.T) {
	_, log, udp, tcp := start(t, nil)
	c := dial(t, "udp", udp)
	for _, msg := range [][]byte{{}, {0x30}, {0x6a, 0x80}, bytes.Repeat([]byte{0xff}, 60000)} {
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(goodRequest(4)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	if n, err := c.Read(buf); err != nil || summary(buf[:n]) != "AS-REP" {
		t.Errorf("the first answer is %s, %v", summary(buf[:n]), err)
	}
	s := dial(t, "tcp", tcp)
	sendFrame(t, s, []byte{0x6a, 0x80})
	if got := readFrame(t, s); got != nil {
		t.Errorf("TCP answered %s", summary(got))
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if n := len(log.events); n != 5 || log.events[0].Status != statusType || log.events[0].Via != viaUDP || log.events[n-1].Via != viaTCP {
		t.Errorf("logged %+v", log.events)
	}
}

func TestSeveralRequestsOnOneConnection(t *testing.T) {
	_, _, _, tcp := start(t, nil)
	c := dial(t, "tcp", tcp)
	for nonce := range int64(3) {
		sendFrame(t, c, goodRequest(10+nonce))
	}
	for range 3 {
		if got := summary(readFrame(t, c)); got != "AS-REP" {
			t.Errorf("%s", got)
		}
	}
}

func TestLongMessages(t *testing.T) {
	_, log, _, tcp := start(t, nil)
	for _, length := range []uint32{1 << 20, 1<<20 - 3, 1 << 31, 0xffffffff} {
		c := dial(t, "tcp", tcp)
		if err := binary.Write(c, binary.BigEndian, length); err != nil {
			t.Fatal(err)
		}
		var e krbmsg.KRBError
		if err := e.Parse(readFrame(t, c)); err != nil || e.Code != krbmsg.ErrFieldTooLong || e.EText != nil {
			t.Errorf("%d: %+v, %v", length, e, err)
		}
		if rest := readFrame(t, c); rest != nil {
			t.Error("the connection goes on")
		}
	}
	if !log.has("wants 1048576 bytes, cap is 1048572") {
		t.Errorf("log: %q", log.text())
	}
	c := dial(t, "tcp", tcp)
	if err := binary.Write(c, binary.BigEndian, uint32(0)); err != nil {
		t.Fatal(err)
	}
	if readFrame(t, c) != nil {
		t.Error("an empty message was answered")
	}
}

// TestReplyComesFromTheAddressAsked: a wildcard socket answers from the address a datagram was
// sent to.
func TestReplyComesFromTheAddressAsked(t *testing.T) {
	s, _, _, _ := start(t, func(o *Options) { o.UDP, o.TCP = []string{":0"}, nil })
	udp, _ := s.Addrs()
	for _, bound := range udp {
		port := netip.MustParseAddrPort(bound).Port()
		hosts := []string{"127.0.0.2", "127.0.0.1"}
		if netip.MustParseAddrPort(bound).Addr().Is6() {
			hosts = []string{"::1"}
		}
		for i, h := range hosts {
			// A connected socket takes datagrams from that address only.
			addr := netip.AddrPortFrom(netip.MustParseAddr(h), port).String()
			if got := summary(askUDP(t, addr, goodRequest(int64(20+i)))); got != "AS-REP" {
				t.Errorf("%s: %s", addr, got)
			}
		}
	}
}

func TestUNIXSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kdc")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	_, log, _, _ := start(t, func(o *Options) { o.UDP, o.TCP = []string{path}, nil })
	c := dial(t, "unix", path)
	sendFrame(t, c, goodRequest(30))
	if got := summary(readFrame(t, c)); got != "AS-REP" {
		t.Error(got)
	}
	if got := address(log.event(0).From); got != "local" {
		t.Errorf("peer %s", got)
	}
}

func TestBindErrors(t *testing.T) {
	_, _, udp, tcp := start(t, nil)
	d, log := recorded(t, kdctest.At)
	base := Options{Realms: d.realms, Log: log}
	for name, change := range map[string]func(o *Options){
		"nothing":       func(*Options) {},
		"UDP port used": func(o *Options) { o.UDP = []string{udp} },
		"TCP port used": func(o *Options) { o.TCP = []string{tcp} },
		"no such host":  func(o *Options) { o.UDP = []string{"192.0.2.1:0"} },
		"half of two":   func(o *Options) { o.UDP = []string{"127.0.0.1:0", udp} },
	} {
		o := base
		change(&o)
		if s, err := New(t.Context(), o); err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// TestBacklog: how many connections may wait is what the system is asked for.
func TestBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kdc")
	s, _, _, _ := start(t, func(o *Options) { o.Backlog, o.TCP = 3, append(o.TCP, path) })
	for _, l := range s.l.stream {
		if _, ok := l.(*net.TCPListener); !ok {
			continue
		}
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var info *unix.TCPInfo
		if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		if info.Sacked != 3 { // of a listening socket: its backlog
			t.Errorf("backlog %d", info.Sacked)
		}
	}
	c := dial(t, "unix", path)
	sendFrame(t, c, goodRequest(31))
	if got := summary(readFrame(t, c)); got != "AS-REP" {
		t.Error(got)
	}
}

// stream starts to serve one end of a pipe under a fake clock.
func (s *Server) stream(t *testing.T) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	st := &stream{Conn: far}
	evicted, ok := s.conns.add(st)
	if evicted != nil {
		_ = evicted.Close()
	}
	if !ok {
		_ = far.Close()
		return near
	}
	go s.serveStream(st)
	return near
}

// still is a server without sockets.
func still(t *testing.T, max int) (*Server, *memLog) {
	t.Helper()
	d, log := recorded(t, kdctest.At)
	s := &Server{o: Options{FrameTimeout: 10 * time.Second, ConnTimeout: 30 * time.Second, Log: log}, d: *d}
	s.conns.max = max
	return s, log
}

// closedAfter reads until the other end closes and returns how long that took.
func closedAfter(c net.Conn) time.Duration {
	begin := time.Now()
	_, _ = io.Copy(io.Discard, c)
	return time.Since(begin)
}

func TestStreamDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := still(t, 10)
		idle := s.stream(t)
		if d := closedAfter(idle); d != 10*time.Second {
			t.Errorf("idle for %v", d)
		}
		half := s.stream(t)
		_, _ = half.Write([]byte{0, 0, 1, 0, 0x6a})
		if d := closedAfter(half); d != 10*time.Second {
			t.Errorf("half a message held it for %v", d)
		}
		// A peer that sends now and then is cut off in the end.
		chatty := s.stream(t)
		done := make(chan struct{})
		go func() {
			for i := int64(0); ; i++ {
				msg := goodRequest(100 + i)
				if _, err := chatty.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)); err != nil {
					return
				}
				select {
				case <-done:
					return
				case <-time.After(7 * time.Second):
				}
			}
		}()
		if d := closedAfter(chatty); d != 30*time.Second {
			t.Errorf("a chatty peer was served for %v", d)
		}
		close(done)
		synctest.Wait()
	})
}

// TestEviction: when there are too many connections, the one that has kept the server waiting
// longest goes.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := still(t, 3)
		var conns []net.Conn
		closed := make([]bool, 5)
		var mu sync.Mutex
		open := func() {
			i := len(conns)
			conns = append(conns, s.stream(t))
			go func() {
				_ = closedAfter(conns[i])
				mu.Lock()
				closed[i] = true
				mu.Unlock()
			}()
			synctest.Wait()
		}
		open()
		open()
		open()
		// The first one asks something and moves to the end of the line.
		go func() {
			msg := goodRequest(1)
			_, _ = conns[0].Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...))
		}()
		synctest.Wait()
		open()
		open()
		mu.Lock()
		if want := []bool{false, true, true, false, false}; !slices.Equal(closed, want) {
			t.Errorf("closed %v, want %v", closed, want)
		}
		mu.Unlock()
		s.conns.closeAll()
		synctest.Wait()
		if n := s.conns.buffered.Load(); n != 0 {
			t.Errorf("%d octets still accounted for", n)
		}
	})
}

func TestPanicsAreContained(t *testing.T) {
	d, log := recorded(t, kdctest.At)
	secret := "content of the request"
	calls := 0
	d.realms[0].AS = func(*exchange.Request, *krbmsg.KDCReq) exchange.Outcome {
		calls++
		if calls == 1 {
			panic(secret)
		}
		var none []int
		return exchange.Outcome{Reply: make([]byte, none[calls])}
	}
	for range 2 {
		if reply := d.answer(goodRequest(1), peer, viaUDP); reply != nil {
			t.Errorf("answered %x", reply)
		}
	}
	if calls != 2 || log.panics != 2 {
		t.Errorf("%d calls, %d panics logged", calls, log.panics)
	}
	if log.has(secret) || !log.has("index out of range") || !log.has("serve.TestPanicsAreContained") {
		t.Errorf("log: %s", log.lines)
	}
}

// TestFloodsAreCounted: damaged messages do not fill the log.
func TestFloodsAreCounted(t *testing.T) {
	d, log := recorded(t, kdctest.At)
	now := time.Unix(kdctest.At, 0)
	d.clock = func() time.Time { return now }
	for i := range 1000 {
		d.answer([]byte{0x30, byte(i >> 8), byte(i)}, peer, viaUDP)
		d.answer([]byte{0x6a, byte(i >> 8), byte(i)}, peer, viaUDP)
	}
	now = now.Add(time.Second)
	d.answer([]byte{0x30}, peer, viaUDP)
	if n := len(log.lines) + len(log.events); n != maxLines+2 || !log.has("1980 more damaged messages") {
		t.Errorf("%d lines: %q", n, log.lines)
	}
}

func TestRealmIsChosen(t *testing.T) {
	d, log := recorded(t, kdctest.At)
	asked := ""
	mark := func(name string) Exchange {
		return func(*exchange.Request, *krbmsg.KDCReq) exchange.Outcome {
			asked += name
			return exchange.Outcome{}
		}
	}
	d.realms = []Realm{{Name: "A.TEST", AS: mark("A")}, {Name: "B.TEST", AS: mark("B")}}
	for _, name := range []string{"B.TEST", "A.TEST", "C.TEST"} {
		d.answer(kdctest.ASReq(kdctest.ASBody(kdctest.Name(name, "u"), "krbtgt", name)), peer, viaUDP)
	}
	if asked != "BA" {
		t.Errorf("asked %s", asked)
	}
	if n := len(log.events); n != 3 || log.events[2].Status != "UNKNOWN_REALM" {
		t.Errorf("events %+v", log.events)
	}
}

func TestBookkeepingIsPassedOn(t *testing.T) {
	d, _ := recorded(t, kdctest.At)
	var notes []exchange.Note
	d.realms[0].Note = func(n exchange.Note) { notes = append(notes, n) }
	b := kdctest.ASBody(kdctest.Name("A.TEST", "pre"), "krbtgt", "A.TEST")
	bad := kdctest.Timestamp(kdctest.NewKey(t, 18, make([]byte, 32)), kdctest.At)
	msg := kdctest.ASReq(b, bad)
	for range 3 { // retransmissions count once
		d.answer(msg, peer, viaUDP)
	}
	if len(notes) != 1 || !notes[0].Failure || notes[0].Name != "pre@A.TEST" {
		t.Errorf("%+v", notes)
	}
}

func TestLookaside(t *testing.T) {
	l := newLookaside()
	now := time.Unix(1000, 0)
	key := digest{1}
	expect := func(what string, want verdict, at time.Time, reply string) {
		t.Helper()
		v, got := l.begin(key, at)
		if v != want || string(got) != reply {
			t.Errorf("%s: %d %q, want %d %q", what, v, got, want, reply)
		}
	}
	expect("new", fresh, now, "")
	expect("being answered", busy, now, "")
	l.finish(key, []byte("reply"), now)
	expect("answered", answered, now.Add(119*time.Second), "reply")
	expect("too old", fresh, now.Add(120*time.Second), "")
	l.finish(key, nil, now)
	expect("no reply is not remembered", fresh, now, "")
	l.finish(key, []byte("x"), now)
}

// TestLookasideIsBounded: by octets, the oldest first.
func TestLookasideIsBounded(t *testing.T) {
	l := newLookaside()
	now := time.Unix(1000, 0)
	for i := range 5000 {
		key := digest{0, byte(i >> 8), byte(i)}
		l.begin(key, now)
		l.finish(key, make([]byte, 1000), now)
	}
	s := l.of(digest{})
	if s.bytes > cacheBytes/shards || len(s.entries) != s.bytes/(1000+entryCost) || s.order.Len() != len(s.entries) {
		t.Errorf("%d octets, %d entries, %d in order", s.bytes, len(s.entries), s.order.Len())
	}
	if v, _ := l.begin(digest{0, 4999 >> 8, 4999 & 0xff}, now); v != answered {
		t.Error("the newest was dropped")
	}
	if v, _ := l.begin(digest{0, 0, 0}, now); v != fresh {
		t.Error("the oldest was kept")
	}
	for i := range 100 { // requests that get no reply leave nothing behind
		key := digest{16, byte(i)}
		l.begin(key, now)
		l.finish(key, nil, now)
	}
	if s := l.of(digest{16}); s.order.Len() != len(s.entries) {
		t.Errorf("%d in order, %d entries", s.order.Len(), len(s.entries))
	}
}

func TestParallelClients(t *testing.T) {
	_, log, udp, tcp := start(t, nil)
	var wg sync.WaitGroup
	errs := make(chan string, 64)
	for i := range 8 {
		wg.Go(func() {
			network, addr := "udp", udp
			if i%2 == 1 {
				network, addr = "tcp", tcp
			}
			c, err := net.Dial(network, addr)
			if err != nil {
				errs <- err.Error()
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			for n := range 20 {
				msg := goodRequest(int64(1000*i + n))
				if network == "tcp" {
					msg = append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)
				}
				if _, err := c.Write(msg); err != nil {
					errs <- err.Error()
					return
				}
				buf := make([]byte, 4096)
				got, err := c.Read(buf)
				if err != nil {
					errs <- fmt.Sprint(network, err)
					return
				}
				if reply := buf[:got]; network == "udp" && !strings.HasPrefix(summary(reply), "AS-REP") {
					errs <- summary(reply)
				} else if network == "tcp" && got > 4 {
					continue
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		t.Error(e)
	}
	if log.has("panic") {
		t.Error("panic")
	}
}
