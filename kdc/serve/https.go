package serve

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"krealm/internal/krbmsg"
)

// HTTPS says where clients reach the KDC by the proxy protocol of [MS-KKDCP]; without addresses
// they do not. The files hold a certificate chain and its key in PEM, and are read again when they
// change.
type HTTPS struct {
	Listen   []string // "host:port", ":port"
	CertFile string
	KeyFile  string
}

const (
	proxyType     = "application/kerberos"
	maxProxyHead  = 8 << 10 // octets of an HTTP header
	proxyOverhead = 1 << 10 // octets of KDC-PROXY-MESSAGE around a message, with the realm's name
)

// certificate is the key pair of the two files as they are now.
type certificate struct {
	cert, key string

	mu   sync.Mutex
	seen [2]time.Time
	pair *tls.Certificate
}

// get returns the pair. If the files have changed and cannot be read, the old one stays in use.
func (c *certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seen [2]time.Time
	for i, name := range []string{c.cert, c.key} {
		if fi, err := os.Stat(name); err == nil {
			seen[i] = fi.ModTime()
		}
	}
	if c.pair != nil && seen == c.seen {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.pair, c.seen = &pair, seen
	case c.pair == nil:
		return nil, fmt.Errorf("certificate %q, key %q: %w", c.cert, c.key, err)
	}
	return c.pair, nil
}

// serveHTTPS answers requests of the proxy protocol until ctx ends, then returns nil. Each
// connection brings one request or several; what is no such request gets an HTTP error.
func (s *Server) serveHTTPS(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(s.proxyRequest),
		ReadHeaderTimeout: s.o.FrameTimeout,
		ReadTimeout:       s.o.FrameTimeout,
		WriteTimeout:      2 * s.o.FrameTimeout,
		IdleTimeout:       s.o.FrameTimeout,
		MaxHeaderBytes:    maxProxyHead,
		ErrorLog:          log.New(logWriter{s.o.Log}, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.cert.get()
		}},
	}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	err := server.ServeTLS(netutil.LimitListener(l, s.o.MaxConns), "", "")
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serving on %s: %w", l.Addr(), err)
}

// logWriter takes what net/http has to say of single connections.
type logWriter struct{ log Log }

func (w logWriter) Write(b []byte) (int, error) {
	w.log.Line(LevelDebug, clip(string(b)))
	return len(b), nil
}

// proxyRequest answers one HTTP request.
func (s *Server) proxyRequest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	refuse := func(status int) { http.Error(w, http.StatusText(status), status) }
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed)
		return
	case r.ContentLength < 0:
		refuse(http.StatusLengthRequired)
		return
	case r.ContentLength > maxMessage+proxyOverhead:
		refuse(http.StatusRequestEntityTooLarge)
		return
	}
	body, err := s.conns.read(r.Body, r.ContentLength)
	if err != nil {
		if errors.Is(err, errNoRoom) {
			refuse(http.StatusServiceUnavailable)
		} else {
			refuse(http.StatusBadRequest)
		}
		return
	}
	var from netip.Addr
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = a.Addr()
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.FrameTimeout)
	defer cancel()
	reply, err := s.answerProxied(ctx, body, from)
	s.conns.buffered.Add(-int64(cap(body)))
	if err != nil {
		s.d.limit.proxied.line(s.o.Log, s.d.clock(), func() {
			s.o.Log.Line(LevelInfo, "proxy client "+address(from)+": "+err.Error())
		})
		if errors.Is(err, errNoKpasswd) {
			refuse(http.StatusServiceUnavailable)
		} else {
			refuse(http.StatusBadRequest)
		}
		return
	}
	w.Header().Set("Content-Type", proxyType)
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	_, _ = w.Write(reply)
}

// answerProxied answers what stands in KDC-PROXY-MESSAGE. The realm beside it counts for messages to
// a password server only: a request itself says which one it is for. An error means that there is no answer.
func (s *Server) answerProxied(ctx context.Context, body []byte, from netip.Addr) ([]byte, error) {
	var in krbmsg.ProxyMessage
	if err := in.Parse(body); err != nil {
		return nil, fmt.Errorf("KDC-PROXY-MESSAGE: %w", err)
	}
	if len(in.Message) < 4 || int64(binary.BigEndian.Uint32(in.Message)) != int64(len(in.Message)-4) {
		return nil, fmt.Errorf("KDC-PROXY-MESSAGE: %w", io.ErrUnexpectedEOF)
	}
	msg := in.Message[4:]
	var reply []byte
	if isKpasswd(msg) {
		var err error
		if reply, err = forward(ctx, s.d.passwordServers(string(in.Domain)), msg); err != nil {
			return nil, err
		}
	} else if reply = s.d.answer(msg, from, viaHTTPS); reply == nil {
		return nil, errors.New("message without an answer")
	}
	out := krbmsg.ProxyMessage{Message: append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...)}
	return krbmsg.Marshal(&out), nil
}
