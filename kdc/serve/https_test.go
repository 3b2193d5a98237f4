package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbmsg"
	"krealm/internal/sdnotify"
	"krealm/tests/kdcfixture"
)

// writeCert writes a new certificate and its key for 127.0.0.1 into two files.
func writeCert(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "kdc"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	p8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: p8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startProxy runs a server that is also reached over HTTPS.
func startProxy(t *testing.T) (s *Server, addr string, h HTTPS) {
	t.Helper()
	dir := t.TempDir()
	h = HTTPS{Listen: []string{"127.0.0.1:0"}, CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	writeCert(t, h.CertFile, h.KeyFile, 1)
	s, _, _, _ = start(t, func(o *Options) { o.HTTPS, o.FrameTimeout = h, 5*time.Second })
	return s, s.HTTPSAddrs()[0], h
}

// rawPost sends octets over a TLS connection of its own and returns all that comes back.
func rawPost(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func proxied(msg []byte) []byte {
	m := krbmsg.ProxyMessage{Message: append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...), Domain: []byte("A.TEST")}
	return krbmsg.Marshal(&m)
}

// TestRecordedProxyExchange sends what MIT's kinit sent, header and body: HTTP/1.0, which reads up to
// the end of the connection.
func TestRecordedProxyExchange(t *testing.T) {
	_, addr, _ := startProxy(t)
	var fixture struct {
		Exchanges []struct {
			Headers string
			Request kdcfixture.Hex `json:"request_body"`
		}
	}
	if err := json.Unmarshal(kdcfixture.File(t, "kkdcp.json"), &fixture); err != nil || len(fixture.Exchanges) == 0 {
		t.Fatal(err)
	}
	for i, x := range fixture.Exchanges {
		got := rawPost(t, addr, x.Headers+"\r\n\r\n"+string(x.Request))
		head, body, ok := strings.Cut(got, "\r\n\r\n")
		if !ok || !strings.HasPrefix(head, "HTTP/1.0 200 ") || strings.Contains(head, "chunked") || !strings.Contains(head, "Content-Type: application/kerberos") {
			t.Fatalf("%d: %q", i, got)
		}
		var m krbmsg.ProxyMessage
		var e krbmsg.KRBError
		if err := m.Parse([]byte(body)); err != nil || m.Domain != nil {
			t.Fatalf("%d: %v, %+v", i, err, m)
		}
		if err := e.Parse(m.Message[4:]); err != nil || int(binary.BigEndian.Uint32(m.Message)) != len(m.Message)-4 {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestProxySharesTheCache: the same message over TCP and HTTPS gets the same reply.
func TestProxySharesTheCache(t *testing.T) {
	s, addr, _ := startProxy(t)
	_, stream := s.Addrs()
	c := dial(t, "tcp", stream[0])
	sendFrame(t, c, goodRequest(77))
	want := readFrame(t, c)
	body := proxied(goodRequest(77))
	got := rawPost(t, addr, fmt.Sprintf("POST /x HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if !strings.HasSuffix(got, string(want)) || len(want) == 0 {
		t.Errorf("%q does not end in %q", got, want)
	}
}

func TestProxyRefusals(t *testing.T) {
	s, addr, _ := startProxy(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	short := krbmsg.Marshal(&krbmsg.ProxyMessage{Message: []byte{0, 0, 0, 9, 1}})
	for _, c := range []struct {
		name, method string
		body         []byte
		length       int64
		want         int
	}{
		{"not POST", "GET", nil, 0, 405},
		{"no length", "POST", proxied(goodRequest(5)), -1, 411},
		{"too long", "POST", make([]byte, 2<<20), 2 << 20, 413},
		{"empty", "POST", nil, 0, 400},
		{"no DER", "POST", []byte("hello"), 5, 400},
		{"length inside wrong", "POST", short, int64(len(short)), 400},
		{"no request", "POST", proxied([]byte("hello")), int64(len(proxied([]byte("hello")))), 400},
		{"a request", "POST", proxied(goodRequest(6)), int64(len(proxied(goodRequest(6)))), 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+addr+"/KdcProxy", bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if req.ContentLength = c.length; c.length < 0 {
			req.Body = io.NopCloser(bytes.NewReader(c.body))
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.name, resp.Status, c.want)
		}
	}
	if held := s.conns.buffered.Load(); held != 0 {
		t.Errorf("%d octets not given back", held)
	}
}

// kpasswdMessage is as RFC 3244 has it, with an AP-REQ and a KRB-PRIV that nobody reads here.
func kpasswdMessage(version uint16) []byte {
	ap, priv := []byte("an AP-REQ"), []byte("a KRB-PRIV")
	b := binary.BigEndian.AppendUint16(nil, uint16(6+len(ap)+len(priv)))
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ap)))
	return append(append(b, ap...), priv...)
}

// TestProxiedPasswordChange: messages to a password server are passed on to that of the realm; a server that
// is not there is passed over, and without any the proxy says that the service is not available.
func TestProxiedPasswordChange(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan []byte, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var head [4]byte
			if _, err := io.ReadFull(c, head[:]); err == nil {
				msg := make([]byte, binary.BigEndian.Uint32(head[:]))
				_, _ = io.ReadFull(c, msg)
				asked <- msg
				reply := []byte("\x00\x0b\x00\x01\x00\x00reply")
				if bytes.Contains(msg, []byte{0xff, 0x80}) {
					_, _ = c.Write([]byte{0x7f, 0, 0, 0}) // too long
				} else {
					_ = writeMessage(c, reply)
				}
			}
			_ = c.Close()
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	dir := t.TempDir()
	h := HTTPS{Listen: []string{"127.0.0.1:0"}, CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	writeCert(t, h.CertFile, h.KeyFile, 1)
	s, _, _, _ := start(t, func(o *Options) {
		o.HTTPS, o.FrameTimeout = h, 5*time.Second
		o.Realms = append(o.Realms, Realm{Name: "NONE.TEST"}, Realm{Name: "GONE.TEST", Kpasswd: []string{gone.Addr().String()}})
		o.Realms[0].Kpasswd = []string{gone.Addr().String(), l.Addr().String()}
	})
	for _, c := range []struct {
		name, realm string
		msg         []byte
		want        string
	}{
		{"version 1", "A.TEST", kpasswdMessage(1), "HTTP/1.0 200 "},
		{"no realm", "", kpasswdMessage(1), "HTTP/1.0 503 "},
		{"another realm", "B.TEST", kpasswdMessage(1), "HTTP/1.0 503 "},
		{"no server", "NONE.TEST", kpasswdMessage(1), "HTTP/1.0 503 "},
		{"server gone", "GONE.TEST", kpasswdMessage(1), "HTTP/1.0 503 "},
		{"an answer that is too long", "A.TEST", kpasswdMessage(0xff80), "HTTP/1.0 503 "},
		{"unknown version", "A.TEST", kpasswdMessage(2), "HTTP/1.0 400 "},
		{"cut short", "A.TEST", kpasswdMessage(1)[:20], "HTTP/1.0 400 "},
	} {
		m := krbmsg.ProxyMessage{Message: append(binary.BigEndian.AppendUint32(nil, uint32(len(c.msg))), c.msg...)}
		if c.realm != "" {
			m.Domain = []byte(c.realm)
		}
		body := krbmsg.Marshal(&m)
		got := rawPost(t, s.HTTPSAddrs()[0], fmt.Sprintf("POST /KdcProxy HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		if strings.Contains(c.want, "200") {
			if msg := <-asked; !bytes.Equal(msg, c.msg) || !strings.HasSuffix(got, "\x00\x0b\x00\x01\x00\x00reply") {
				t.Errorf("passed on %q, answered %q", msg, got)
			}
		}
	}
}

// TestCertificateIsReadAgain: a renewed certificate is used at once, a damaged one not at all.
func TestCertificateIsReadAgain(t *testing.T) {
	_, addr, h := startProxy(t)
	serial := func() int64 {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	later := func(d time.Duration) {
		for _, f := range []string{h.CertFile, h.KeyFile} {
			if err := os.Chtimes(f, time.Time{}, time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := serial()
	writeCert(t, h.CertFile, h.KeyFile, 2)
	later(time.Minute)
	second := serial()
	if err := os.WriteFile(h.CertFile, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	later(2 * time.Minute)
	if third := serial(); first != 1 || second != 2 || third != 2 {
		t.Errorf("serial numbers %d, %d, %d", first, second, third)
	}
	d, log := recorded(t, 0)
	if _, err := New(t.Context(), Options{HTTPS: h, Realms: d.realms, Log: log}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("started with a damaged certificate: %v", err)
	}
}

// TestInheritedSockets: of what a service manager passes the configured ones are used, and nothing
// else is bound.
func TestInheritedSockets(t *testing.T) {
	listen := func() (*net.UDPConn, net.Listener) {
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return u, l
	}
	u, l := listen()
	u2, l2 := listen()
	path := filepath.Join(t.TempDir(), "kdc")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s, log, udp, tcp := start(t, func(o *Options) {
		o.UDP, o.TCP = []string{"127.0.0.1:1", u.LocalAddr().String(), path}, []string{l.Addr().String()}
		o.Inherited = &sdnotify.Sockets{Packet: []*net.UDPConn{u, u2}, Stream: []net.Listener{l, l2, unix}}
	})
	if udp != u.LocalAddr().String() || tcp != l.Addr().String() || s.l.count() != 3 {
		t.Errorf("listening on %s, %s, %d in all", udp, tcp, s.l.count())
	}
	if len(askUDP(t, udp, goodRequest(9))) == 0 {
		t.Error("no reply")
	}
	c := dial(t, "unix", path)
	sendFrame(t, c, goodRequest(10))
	if len(readFrame(t, c)) == 0 {
		t.Error("no reply over the UNIX socket")
	}
	if text := strings.Join(log.text(), "\n"); !strings.Contains(text, u2.LocalAddr().String()) || !strings.Contains(text, l2.Addr().String()) {
		t.Errorf("log: %s", text)
	}
	u3, l3 := listen()
	d, log := recorded(t, 0)
	if _, err := New(t.Context(), Options{UDP: []string{"127.0.0.1:1"}, Realms: d.realms, Log: log,
		Inherited: &sdnotify.Sockets{Packet: []*net.UDPConn{u3}, Stream: []net.Listener{l3}}}); err != ErrNoListener {
		t.Errorf("nothing matches: %v", err)
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		want, bound string
		ok          bool
	}{
		{":88", "[::]:88", true}, {":88", "0.0.0.0:88", true}, {":88", "127.0.0.1:88", false}, {":88", "0.0.0.0:89", false},
		{"127.0.0.1:88", "127.0.0.1:88", true}, {"127.0.0.1:88", "[::ffff:127.0.0.1]:88", true}, {"[::1]:88", "[::1]:88", true},
		{"127.0.0.1:88", "0.0.0.0:88", false}, {"kdc.example:88", "127.0.0.1:88", false},
	} {
		a, err := net.ResolveTCPAddr("tcp", c.bound)
		if err != nil {
			t.Fatal(err)
		}
		if got := named([]string{"/path", c.want}, a); got != c.ok {
			t.Errorf("%s for %s: %v", c.bound, c.want, got)
		}
	}
}
