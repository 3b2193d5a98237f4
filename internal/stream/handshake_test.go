package stream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
)

const (
	master  = "krep/kdc1.example.org@EXAMPLE.ORG"
	slave   = "krep/kdc2.example.org@EXAMPLE.ORG"
	nobody  = "mallory@EXAMPLE.ORG"
	foreign = "krep/kdc1.example.org@OTHER.ORG"
)

// shake runs both ends of a handshake over a pipe.
func shake(t *testing.T, a *stream.Acceptor, cr *stream.Credentials) (near, far *stream.Conn, nearErr, farErr error) {
	t.Helper()
	n, f := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { far, farErr = a.Accept(t.Context(), f) })
	near, nearErr = stream.Initiate(t.Context(), n, cr)
	if nearErr != nil {
		_ = n.Close()
	}
	wg.Wait()
	t.Cleanup(func() { _ = n.Close(); _ = f.Close() })
	return near, far, nearErr, farErr
}

func TestHandshake(t *testing.T) {
	for _, e := range []krbcrypto.Enctype{17, 18, 19, 20} {
		t.Run(e.String(), func(t *testing.T) {
			r := streamtest.NewRealm("EXAMPLE.ORG")
			var part krbmsg.EncTicketPart
			r.Edit = func(p *krbmsg.EncTicketPart) {
				k, err := krbcrypto.RandomKey(e)
				if err != nil {
					t.Fatal(err)
				}
				p.Key = krbmsg.EncryptionKey{Etype: int32(e), Value: k.Bytes()}
				part = *p
			}
			cr := r.Credentials(master, slave)
			cr.Key, _ = krbcrypto.NewKey(e, part.Key.Value)
			near, far, err1, err2 := shake(t, r.Acceptor(slave, master), cr)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if near.Peer() != slave || far.Peer() != master || near.Local() != master || far.Local() != slave {
				t.Errorf("peers %q %q", near.Peer(), far.Peer())
			}
			if !near.Expiry().Equal(far.Expiry()) || time.Until(far.Expiry()) < 7*time.Hour {
				t.Errorf("expiry %v, %v", near.Expiry(), far.Expiry())
			}
			exchange(t, near, far)
			exchange(t, far, near)
		})
	}
}

func exchange(t *testing.T, from, to *stream.Conn) {
	t.Helper()
	for _, size := range []int{0, 1, 1000, stream.MaxPayload} {
		want := bytes.Repeat([]byte{byte(size), 5}, size)[:size]
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := from.Send(want); err != nil {
				t.Error(err)
			}
		})
		got, err := to.Receive()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d octets: got %d, %v", size, len(got), err)
		}
		wg.Wait()
	}
}

func TestRefused(t *testing.T) {
	hour := int64(3600)
	tests := []struct {
		name string
		edit func(*krbmsg.EncTicketPart)
		cred func(*streamtest.Realm) *stream.Credentials
		acc  func(*stream.Acceptor)
		err  error
	}{
		{name: "client not on the list", err: stream.ErrNotAllowed,
			cred: func(r *streamtest.Realm) *stream.Credentials { return r.Credentials(nobody, slave) }},
		{name: "same name in another realm", err: stream.ErrNotAllowed,
			cred: func(r *streamtest.Realm) *stream.Credentials { return r.Credentials(foreign, slave) }},
		{name: "service not in the keytab", err: stream.ErrNoKey,
			cred: func(r *streamtest.Realm) *stream.Credentials { return r.Credentials(master, master) }},
		{name: "ticket under another key", err: stream.ErrBadTicket,
			cred: func(r *streamtest.Realm) *stream.Credentials {
				cr := r.Credentials(master, slave)
				r.Rotate(slave)
				return cr
			}},
		{name: "expired", err: stream.ErrExpired,
			edit: func(p *krbmsg.EncTicketPart) { p.AuthTime -= 9 * hour; p.EndTime = p.AuthTime + 8*hour }},
		{name: "not yet valid", err: stream.ErrExpired,
			edit: func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some(p.AuthTime + hour) }},
		{name: "not validated", err: stream.ErrBadTicket,
			edit: func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid }},
		{name: "for another address", err: stream.ErrBadTicket,
			edit: func(p *krbmsg.EncTicketPart) { p.CAddr = []krbmsg.HostAddress{{Type: 2, Addr: []byte{192, 0, 2, 1}}} }},
		{name: "weak session key", err: stream.ErrBadTicket,
			edit: func(p *krbmsg.EncTicketPart) {
				p.Key = krbmsg.EncryptionKey{Etype: 23, Value: make([]byte, 16)}
			}},
		{name: "authenticator under another key", err: stream.ErrBadAuth,
			cred: func(r *streamtest.Realm) *stream.Credentials {
				cr := r.Credentials(master, slave)
				cr.Key, _ = krbcrypto.RandomKey(18)
				return cr
			}},
		{name: "authenticator of another client", err: stream.ErrBadAuth,
			cred: func(r *streamtest.Realm) *stream.Credentials {
				cr := r.Credentials(master, slave)
				cr.Client = krbmsg.NewName(1, "mallory")
				return cr
			}},
		{name: "clock ahead", err: stream.ErrSkew,
			acc:  func(a *stream.Acceptor) { a.Now = func() time.Time { return time.Now().Add(-6 * time.Minute) } },
			edit: func(p *krbmsg.EncTicketPart) { p.AuthTime -= hour }},
		{name: "clock behind", err: stream.ErrSkew,
			acc: func(a *stream.Acceptor) { a.Now = func() time.Time { return time.Now().Add(6 * time.Minute) } }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := streamtest.NewRealm("EXAMPLE.ORG")
			r.Edit = tt.edit
			a := r.Acceptor(slave, master)
			if tt.acc != nil {
				tt.acc(a)
			}
			cr := r.Credentials(master, slave)
			if tt.cred != nil {
				cr = tt.cred(r)
			}
			_, _, nearErr, farErr := shake(t, a, cr)
			if !errors.Is(nearErr, stream.ErrRefused) {
				t.Errorf("initiator: %v", nearErr)
			}
			var refusal *stream.Refusal
			if !errors.As(farErr, &refusal) || !errors.Is(farErr, tt.err) {
				t.Fatalf("acceptor: %v, want %v", farErr, tt.err)
			}
			if tt.err != stream.ErrNoKey && tt.name != "ticket under another key" && refusal.Client == "" {
				t.Error("refusal does not name the client")
			}
		})
	}
}

// tap passes octets on and keeps those of the initiator.
type tap struct {
	net.Conn
	sent bytes.Buffer
}

func (t *tap) Write(b []byte) (int, error) {
	t.sent.Write(b)
	return t.Conn.Write(b)
}

// record returns all octets that an initiator has sent up to the end of its handshake.
func record(t *testing.T, a *stream.Acceptor, cr *stream.Credentials) []byte {
	t.Helper()
	n, f := net.Pipe()
	tapped := &tap{Conn: n}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.Accept(t.Context(), f); err != nil {
			t.Error(err)
		}
	})
	if _, err := stream.Initiate(t.Context(), tapped, cr); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	_ = n.Close()
	return tapped.sent.Bytes()
}

// play sends octets to an acceptor and returns its verdict.
func play(t *testing.T, a *stream.Acceptor, octets []byte) error {
	t.Helper()
	n, f := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = n.Write(octets); _, _ = io.Copy(io.Discard, n) })
	_, err := a.Accept(t.Context(), f)
	_ = n.Close()
	wg.Wait()
	return err
}

func TestReplayedHandshake(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	a := r.Acceptor(slave, master)
	octets := record(t, a, r.Credentials(master, slave))
	if err := play(t, a, octets); !errors.Is(err, stream.ErrReplay) {
		t.Errorf("same acceptor: %v", err)
	}
	// An acceptor that has restarted remembers nothing, and still opens nothing.
	if err := play(t, r.Acceptor(slave, master), octets); !errors.Is(err, stream.ErrAltered) {
		t.Errorf("restarted acceptor: %v", err)
	}
}

// Every octet of the handshake matters: with any one changed no stream comes to be.
func TestAlteredHandshake(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	octets := record(t, r.Acceptor(slave, master), r.Credentials(master, slave))
	for i := range octets {
		if i > 60 && i%7 > 0 {
			continue
		}
		if i >= 40 && i < 44 {
			continue // a length that never comes: see the slow peer
		}
		b := bytes.Clone(octets)
		b[i] ^= 0x10
		if err := play(t, r.Acceptor(slave, master), b); err == nil {
			t.Fatalf("octet %d changed, and accepted", i)
		}
	}
}

func TestTooLargeToken(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	octets := append([]byte("krep\x00\x01\x00\x00"), make([]byte, 32)...)
	octets = append(octets, 0xff, 0xff, 0xff, 0xff)
	if err := play(t, r.Acceptor(slave, master), octets); !errors.Is(err, stream.ErrTooLarge) {
		t.Error(err)
	}
	if err := play(t, r.Acceptor(slave, master), []byte("GET / HTTP/1.1\r\n")); !errors.Is(err, stream.ErrProtocol) {
		t.Error(err)
	}
}

// A peer that does not have the service's key can answer, but not prove anything.
func TestAcceptorMustProveItself(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	impostor := streamtest.NewRealm("EXAMPLE.ORG")
	octets := record(t, impostor.Acceptor(slave, master), impostor.Credentials(master, slave))
	for name, answer := range map[string][]byte{
		"nothing":        {},
		"another status": {7},
		"noise":          append(append([]byte{1}, octets[8:40]...), 0, 0, 0, 2, 5, 6),
		"own request":    append([]byte{1}, octets[8:]...),
	} {
		n, f := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = f.Read(make([]byte, 4096))
			_, _ = f.Write(answer)
			_ = f.Close()
		})
		c, err := stream.Initiate(t.Context(), n, r.Credentials(master, slave))
		if err == nil || c != nil {
			t.Errorf("%s: accepted", name)
		}
		wg.Wait()
	}
}

func TestSlowPeerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := streamtest.NewRealm("EXAMPLE.ORG")
		n, f := net.Pipe()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { // one octet a second never amounts to a handshake
			for _, c := range []byte("krep\x00\x01\x00\x00 and then some more that takes too long") {
				<-time.After(time.Second)
				if _, err := n.Write([]byte{c}); err != nil {
					return
				}
			}
		})
		if _, err := r.Acceptor(slave, master).Accept(t.Context(), f); err == nil {
			t.Error("accepted")
		}
		if d := time.Since(start); d != stream.HandshakeTimeout {
			t.Errorf("dropped after %v", d)
		}
		wg.Wait()
	})
}

func TestCancelledHandshake(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	ctx, cancel := context.WithCancel(t.Context())
	n, f := net.Pipe()
	defer func() { _ = n.Close(); _ = f.Close() }()
	go cancel()
	if _, err := stream.Initiate(ctx, n, r.Credentials(master, slave)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzAccept(f *testing.F) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	a := r.Acceptor(slave, master)
	f.Add([]byte("krep\x00\x01\x00\x00"))
	f.Add(append(append([]byte("krep\x00\x01\x00\x00"), make([]byte, 32)...), 0, 0, 0, 2, 0x6e, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, far := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = n.Write(b); _ = n.Close() })
		if _, err := a.Accept(context.Background(), far); err == nil {
			t.Error("noise accepted")
		}
		_ = far.Close()
		wg.Wait()
	})
}
