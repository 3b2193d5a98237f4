package krb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	// As kadmin does it: a reader sees the old file or the new one.
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestKeytabChoosesByVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keytab")
	k1, k2, k300, other := random(t, 18), random(t, 18), random(t, 18), random(t, 17)
	write(t, path, keytabFile(
		entry{name("kdc2"), 2, 900, k2}, entry{name("kdc2"), 300, 100, k300}, entry{name("kdc2"), 1, 999, k1},
		entry{name("kdc2"), 2, 900, other}, entry{name("kdc3"), 7, 1, other}))
	kt, err := OpenKeytab("FILE:" + path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		service string
		kvno    uint32
		e       krbcrypto.Enctype
		want    []*krbcrypto.Key
	}{
		{name("kdc2"), 0, 18, []*krbcrypto.Key{k300, k2, k1}}, // newest version first, whatever the times say
		{name("kdc2"), 2, 18, []*krbcrypto.Key{k2}},
		{name("kdc2"), 2, 17, []*krbcrypto.Key{other}},
		{name("kdc2"), 258, 18, []*krbcrypto.Key{k2}}, // a keytab may have the low eight bits only
		{name("kdc2"), 9, 18, nil},
		{name("kdc3"), 0, 17, []*krbcrypto.Key{other}},
		{name("kdc4"), 0, 17, nil},
	} {
		got := kt.Keys(tt.service, tt.kvno, tt.e)
		if len(got) != len(tt.want) {
			t.Errorf("%s kvno %d: %d keys, want %d", tt.service, tt.kvno, len(got), len(tt.want))
			continue
		}
		for i := range got {
			if !got[i].Equal(tt.want[i]) {
				t.Errorf("%s kvno %d: key %d is another", tt.service, tt.kvno, i)
			}
		}
	}
	if got := strings.Join(kt.Principals(), " "); got != name("kdc2")+" "+name("kdc3") {
		t.Error(got)
	}
}

func TestKeytabIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keytab")
	old, fresh := random(t, 18), random(t, 18)
	write(t, path, keytabFile(entry{name("kdc2"), 1, 1, old}))
	kt, err := OpenKeytab(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, keytabFile(entry{name("kdc2"), 1, 1, old}, entry{name("kdc2"), 2, 2, fresh}))
	if got := kt.Keys(name("kdc2"), 0, 18); len(got) != 2 || !got[0].Equal(fresh) {
		t.Errorf("%d keys after the rotation", len(got))
	}
	write(t, path, []byte{5, 2, 0, 0})
	_ = os.WriteFile(path, []byte("garbage"), 0o600)
	if got := kt.Keys(name("kdc2"), 0, 18); len(got) != 2 || kt.Err() == nil {
		t.Errorf("%d keys while the file is damaged, %v", len(got), kt.Err())
	}
}

func TestKeytabRefused(t *testing.T) {
	dir := t.TempDir()
	secret := random(t, 18)
	good := keytabFile(entry{name("kdc2"), 1, 1, secret})
	for _, tt := range []struct {
		name string
		b    []byte
		mode os.FileMode
		err  error
	}{
		{"loose", good, 0o644, ErrMode},
		{"group-writable", good, 0o660, ErrMode},
		{"cut", good[:len(good)-30], 0o600, ErrKeytab},
		{"of-another-kind", []byte("password=hunter2"), 0o600, ErrKeytab},
		{"empty", nil, 0o600, ErrKeytab},
		{"negative-length", []byte{5, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0}, 0o600, nil},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, tt.b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeytab(path)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if err != nil && (strings.Contains(err.Error(), string(secret.Bytes()[:8])) || strings.Contains(err.Error(), hex.EncodeToString(secret.Bytes()))) {
			t.Errorf("%s: the error tells the key", tt.name)
		}
	}
	if _, err := OpenKeytab("MEMORY:x"); err == nil {
		t.Error("a keytab that is no file was opened")
	}
	if _, err := OpenKeytab(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestServicePrincipal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keytab")
	k := random(t, 18)
	write(t, path, keytabFile(entry{"host/kdc1.example.org@EXAMPLE.ORG", 1, 1, k}, entry{name("kdc1"), 1, 1, k}, entry{name("kdc2"), 1, 1, k}))
	kt, err := OpenKeytab(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ServicePrincipal(kt, "", "krep", "KDC2.example.org", realmName); err != nil || got != name("kdc2") {
		t.Error(got, err)
	}
	if got, err := ServicePrincipal(kt, "krep/kdc1.example.org", "krep", "x", realmName); err != nil || got != name("kdc1") {
		t.Error(got, err)
	}
	if _, err := ServicePrincipal(kt, "", "krep", "x", realmName); err == nil {
		t.Error("chose one of two")
	}
	if _, err := ServicePrincipal(kt, "krep/kdc9", "krep", "x", realmName); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
	if got, err := ServicePrincipal(kt, "", "host", "x", realmName); err != nil || got != "host/kdc1.example.org@EXAMPLE.ORG" {
		t.Error(got, err)
	}
}

// world is a KDC, a client with a keytab, and a service.
func world(t *testing.T, tcp bool) (*testKDC, *Client, *krbcrypto.Key) {
	t.Helper()
	kdc := newTestKDC(t, tcp)
	own, service := random(t, 18), random(t, 20)
	kdc.set(name("kdc1"), 3, own)
	kdc.set(name("kdc2"), 5, service)
	path := filepath.Join(t.TempDir(), "keytab")
	write(t, path, keytabFile(entry{name("kdc1"), 3, 1, own}))
	kt, err := OpenKeytab(path)
	if err != nil {
		t.Fatal(err)
	}
	return kdc, &Client{Principal: name("kdc1"), Keytab: kt, KDCs: func(string) []string { return []string{kdc.addr} }}, service
}

func TestTicket(t *testing.T) {
	for _, e := range []krbcrypto.Enctype{17, 18, 19, 20} {
		for _, tcp := range []bool{true, false} {
			kdc, c, service := world(t, tcp)
			kdc.mu.Lock()
			kdc.session = e
			kdc.mu.Unlock()
			tk, err := c.Ticket(t.Context(), name("kdc2"))
			if err != nil {
				t.Fatalf("%v, tcp %v: %v", e, tcp, err)
			}
			var ticket krbmsg.Ticket
			var part krbmsg.EncTicketPart
			if err := ticket.Parse(tk.Raw); err != nil {
				t.Fatal(err)
			}
			plain, err := service.Decrypt(nil, krbcrypto.UsageTicket, ticket.EncPart.Cipher)
			if err != nil || part.Parse(plain) != nil {
				t.Fatal("ticket does not open")
			}
			if string(part.Key.Value) != string(tk.Key.Bytes()) || tk.Key.Enctype() != e || !part.CName.Is("krep", "kdc1.example.org") {
				t.Errorf("%v: session key or client is another", e)
			}
			if d := time.Until(tk.End); d < 59*time.Minute || d > time.Hour {
				t.Errorf("ends in %v", d)
			}
			n := kdc.asked()
			if again, err := c.Ticket(t.Context(), name("kdc2")); err != nil || again != tk || kdc.asked() != n {
				t.Errorf("asked again for a good ticket: %v", err)
			}
			c.Forget(name("kdc2"))
			if _, err := c.Ticket(t.Context(), name("kdc2")); err != nil || kdc.asked() == n {
				t.Errorf("forgotten ticket was kept: %v", err)
			}
		}
	}
}

// A ticket with a short life is good for half of it: it is asked for before a slave is dialled, and
// used after that.
func TestShortTicket(t *testing.T) {
	kdc, c, _ := world(t, true)
	kdc.mu.Lock()
	kdc.life = renewBefore / 2
	kdc.mu.Unlock()
	first, err := c.Ticket(t.Context(), name("kdc2"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Ticket(t.Context(), name("kdc2")); err != nil || again != first {
		t.Errorf("asked for again at once: %v", err)
	}
	now := time.Now()
	for _, tt := range []struct {
		life, old time.Duration
		want      bool
	}{{12 * time.Second, 5 * time.Second, true}, {12 * time.Second, 7 * time.Second, false}, {time.Hour, 54 * time.Minute, true},
		{time.Hour, 56 * time.Minute, false}, {-time.Second, 0, false}} {
		ticket := &Ticket{got: now.Add(-tt.old), End: now.Add(tt.life - tt.old)}
		if got := ticket.fresh(); got != tt.want {
			t.Errorf("of %v, %v old: %v", tt.life, tt.old, got)
		}
	}
}

func TestKDCsSayNo(t *testing.T) {
	kdc, c, _ := world(t, true)
	code := func(err error) int32 {
		var ke *KDCError
		if errors.As(err, &ke) {
			return ke.Code
		}
		return -1
	}
	if _, err := c.Ticket(t.Context(), name("kdc9")); code(err) != 7 {
		t.Errorf("unknown service: %v", err)
	}
	kdc.set(name("kdc1"), 4, random(t, 18))
	if _, err := c.Ticket(t.Context(), name("kdc2")); code(err) != 24 {
		t.Errorf("changed key: %v", err)
	}
	c.Principal = name("kdc8")
	if _, err := c.Ticket(t.Context(), name("kdc2")); !errors.Is(err, ErrNoEntry) {
		t.Errorf("principal not in the keytab: %v", err)
	}
}

// A clock that is off is no wrong key.
func TestKDCsClock(t *testing.T) {
	for off, want := range map[time.Duration]string{time.Hour: "KDC's by -", -20 * time.Minute: "KDC's by 20m"} {
		kdc, c, _ := world(t, true)
		kdc.mu.Lock()
		kdc.off = off
		kdc.mu.Unlock()
		_, err := c.Ticket(t.Context(), name("kdc2"))
		if !errors.Is(err, errSkew) || errors.Is(err, errOpenReply) || !strings.Contains(err.Error(), want) {
			t.Errorf("KDC off by %v: %v", off, err)
		}
		// An answer to another request is none, whatever its time.
		var first []byte
		kdc.mu.Lock()
		kdc.edit = func(reply []byte) []byte {
			const asRep = 0x6b
			if reply[0] != asRep {
				return reply
			}
			if first == nil {
				first = bytes.Clone(reply)
			}
			return first
		}
		kdc.mu.Unlock()
		_, _ = c.Ticket(t.Context(), name("kdc2"))
		if _, err := c.Ticket(t.Context(), name("kdc2")); !errors.Is(err, errOpenReply) || errors.Is(err, errSkew) {
			t.Errorf("an old answer of a KDC off by %v: %v", off, err)
		}
	}
}

// In a rotation the keytab may have the next version before the KDC has it.
func TestOlderVersionIsTried(t *testing.T) {
	_, c, _ := world(t, true)
	own := c.Keytab.Keys(name("kdc1"), 3, 18)[0]
	write(t, c.Keytab.Path(), keytabFile(entry{name("kdc1"), 4, 2, random(t, 18)}, entry{name("kdc1"), 3, 1, own}))
	if _, err := c.Ticket(t.Context(), name("kdc2")); err != nil {
		t.Error(err)
	}
}

func TestNextKDCIsAsked(t *testing.T) {
	kdc, c, _ := world(t, true)
	young, _, _ := world(t, true) // does not know the service yet
	young.mu.Lock()
	delete(young.keys, name("kdc2"))
	young.mu.Unlock()
	young.set(name("kdc1"), 3, c.Keytab.Keys(name("kdc1"), 3, 18)[0])
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close()
	c.KDCs = func(string) []string { return []string{dead, young.addr, kdc.addr} }
	if _, err := c.Ticket(t.Context(), name("kdc2")); err != nil {
		t.Error(err)
	}
}

// Whatever comes back instead of a reply is an error: no panic, no goroutine, no great allocation.
func TestSpoiledReplies(t *testing.T) {
	for what, edit := range map[string]func([]byte) []byte{
		"nothing":  func([]byte) []byte { return []byte{} },
		"noise":    func([]byte) []byte { return []byte("\x6b\x03\x02\x01\x05") },
		"cut":      func(b []byte) []byte { return b[:len(b)/2] },
		"flipped":  func(b []byte) []byte { b[len(b)-9] ^= 1; return b },
		"too long": func(b []byte) []byte { return make([]byte, maxReply+1) },
		"tag only": func([]byte) []byte { return []byte{0x7e} },
	} {
		kdc, c, _ := world(t, true)
		var n atomic.Int32
		kdc.mu.Lock()
		kdc.edit = func(b []byte) []byte {
			if n.Add(1) < 3 { // the AS exchange goes well
				return b
			}
			return edit(b)
		}
		kdc.mu.Unlock()
		if _, err := c.Ticket(t.Context(), name("kdc2")); err == nil {
			t.Errorf("%s: accepted", what)
		}
		n.Store(10)
		if _, err := c.Ticket(t.Context(), name("kdc2")); err == nil {
			t.Errorf("%s, from the first reply on: accepted", what)
		}
	}
}

func TestContextEndsTheWait(t *testing.T) {
	_, c, _ := world(t, true)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c.KDCs = func(string) []string { return []string{ln.Addr().String()} }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := c.Ticket(ctx, name("kdc2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
}
