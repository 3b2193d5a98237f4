package stream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// DefaultSkew is how far the clocks of the two ends may differ, as in MIT krb5.
const DefaultSkew = 5 * time.Minute

// Keys finds the keys that tickets are sealed with: those of the named service principal with the
// given enctype and, unless it is 0, key version. None is a normal answer.
type Keys interface {
	Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key
}

// Acceptor accepts handshakes. It is safe for concurrent use once set up.
type Acceptor struct {
	Keys  Keys
	Allow func(client string) bool // who may connect; asked as soon as the ticket is open
	Skew  time.Duration            // 0: DefaultSkew
	Now   func() time.Time         // nil: time.Now

	replay replayCache
}

// Accept does the acceptor's part of the handshake. It owns nc from the call on and closes it
// when it fails; the error is then a *Refusal. The peer has proved to be who it says, and to
// be there now, when Accept returns a Conn.
func (a *Acceptor) Accept(ctx context.Context, nc net.Conn) (*Conn, error) {
	h := &accepting{a: a, now: time.Now()}
	if a.Now != nil {
		h.now = a.Now()
	}
	c, err := h.run(ctx, nc)
	if err != nil {
		if h.answer {
			_, _ = nc.Write([]byte{statusRefused})
		}
		_ = nc.Close()
		return nil, &Refusal{Peer: nc.RemoteAddr().String(), Client: h.client, Err: preferCtx(ctx, err)}
	}
	return c, nil
}

// preferCtx prefers the end of ctx, which shows as a timeout on the connection, to its symptom.
func preferCtx(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// accepting is the state of one handshake.
type accepting struct {
	secrets
	a      *Acceptor
	now    time.Time
	client string // once the ticket is open
	server string
	answer bool // a refusal is to be sent: the peer speaks the protocol and waits

	ticket krbmsg.EncTicketPart
	auth   krbmsg.Authenticator
}

func (h *accepting) run(ctx context.Context, nc net.Conn) (*Conn, error) {
	lift, leave, err := bound(ctx, nc)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := bufio.NewReaderSize(nc, readBuffer)
	greeting := make([]byte, len(preface))
	if _, err := io.ReadFull(r, greeting); err != nil {
		return nil, err
	}
	if string(greeting) != preface {
		return nil, fmt.Errorf("preface %q: %w", greeting, ErrProtocol)
	}
	share, token, raw, err := readToken(r)
	if err != nil {
		return nil, err
	}
	h.answer = true
	h.transcript = slices.Concat(greeting, raw)
	if err := h.check(token, h.transcript[:len(preface)+shareSize], nc.RemoteAddr()); err != nil {
		return nil, err
	}
	reply, err := h.reply(share)
	if err != nil {
		return nil, err
	}
	h.answer = false
	if _, err := nc.Write(reply); err != nil {
		return nil, err
	}
	return h.open(nc, r, lift)
}

// open makes the stream and waits for the peer's first frame, which proves that it is there now
// and not a recording.
func (h *accepting) open(nc net.Conn, r *bufio.Reader, lift func() error) (*Conn, error) {
	toAcceptor, toInitiator, err := h.frameKeys()
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc, r, toInitiator, toAcceptor)
	if err != nil {
		return nil, err
	}
	c.peer, c.local, c.expiry = h.client, h.server, time.Unix(h.ticket.EndTime, 0)
	if first, err := c.read(); err != nil || len(first) > 0 {
		return nil, errors.Join(err, ErrBadAuth)
	}
	if err := lift(); err != nil {
		return nil, err
	}
	return c, nil
}

// check verifies an AP-REQ (RFC 4120 section 3.2.3) made for this handshake.
func (h *accepting) check(token, greeting []byte, peer net.Addr) error {
	var req krbmsg.APReq
	if err := req.Parse(token); err != nil {
		return fmt.Errorf("AP-REQ: %w: %w", ErrProtocol, err)
	}
	if req.Options&krbmsg.APMutualRequired == 0 || req.Options&krbmsg.APUseSessionKey != 0 {
		return fmt.Errorf("AP-REQ options %08x: %w", req.Options, ErrProtocol)
	}
	if err := h.openTicket(&req.Ticket); err != nil {
		return err
	}
	if err := h.checkTicket(peer); err != nil {
		return err
	}
	if !h.a.Allow(h.client) {
		return ErrNotAllowed
	}
	return h.checkAuthenticator(&req.Authenticator, greeting)
}

// openTicket decrypts the ticket with the keytab's keys for its server.
func (h *accepting) openTicket(t *krbmsg.Ticket) error {
	h.server = t.SName.Unparse(t.Realm)
	keys := h.a.Keys.Keys(h.server, t.EncPart.Kvno.Or(0), krbcrypto.Enctype(t.EncPart.Etype))
	if len(keys) == 0 {
		return fmt.Errorf("%q, kvno %d, enctype %v: %w", h.server, t.EncPart.Kvno.Or(0),
			krbcrypto.Enctype(t.EncPart.Etype), ErrNoKey)
	}
	var plain []byte
	err := krbcrypto.ErrIntegrity
	for _, k := range keys {
		if plain, err = k.Decrypt(nil, krbcrypto.UsageTicket, t.EncPart.Cipher); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%q, kvno %d: %w", h.server, t.EncPart.Kvno.Or(0), ErrBadTicket)
	}
	if err := h.ticket.Parse(plain); err != nil {
		return fmt.Errorf("%w: %w", ErrBadTicket, err)
	}
	h.client = h.ticket.CName.Unparse(h.ticket.CRealm)
	if h.session, err = ownKey(h.ticket.Key); err != nil {
		return fmt.Errorf("session key: %w: %w", ErrBadTicket, err)
	}
	if !strong(h.session.Enctype()) {
		return fmt.Errorf("session key of enctype %v is too weak: %w", h.session.Enctype(), ErrBadTicket)
	}
	// A client of another realm would need the transited path checked; no such client has a
	// place on either end of a realm's replication.
	if !bytes.Equal(h.ticket.CRealm, t.Realm) {
		return fmt.Errorf("client of another realm: %w", ErrNotAllowed)
	}
	return nil
}

// strong leaves out DES3 and RC4: whoever breaks the session key could have been the peer.
func strong(e krbcrypto.Enctype) bool {
	switch e {
	case krbcrypto.ETypeAES128SHA1, krbcrypto.ETypeAES256SHA1, krbcrypto.ETypeAES128SHA2,
		krbcrypto.ETypeAES256SHA2, krbcrypto.ETypeCamellia128, krbcrypto.ETypeCamellia256:
		return true
	}
	return false
}

func (h *accepting) skew() time.Duration {
	if h.a.Skew > 0 {
		return h.a.Skew
	}
	return DefaultSkew
}

// checkTicket checks flags, times and addresses.
func (h *accepting) checkTicket(peer net.Addr) error {
	if h.ticket.Flags&krbmsg.FlagInvalid != 0 {
		return fmt.Errorf("ticket not validated: %w", ErrBadTicket)
	}
	start, end := time.Unix(h.ticket.Start(), 0), time.Unix(h.ticket.EndTime, 0)
	if h.now.Add(h.skew()).Before(start) || h.now.Add(-h.skew()).After(end) {
		return fmt.Errorf("valid from %s to %s: %w", start.UTC().Format(time.RFC3339),
			end.UTC().Format(time.RFC3339), ErrExpired)
	}
	if len(h.ticket.CAddr) > 0 && !slices.ContainsFunc(h.ticket.CAddr, func(a krbmsg.HostAddress) bool {
		return matches(a, peer)
	}) {
		return fmt.Errorf("ticket is for other addresses: %w", ErrBadTicket)
	}
	return nil
}

func matches(a krbmsg.HostAddress, peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	switch a.Type {
	case krbmsg.AddrIPv4:
		return bytes.Equal(tcp.IP.To4(), a.Addr)
	case krbmsg.AddrIPv6:
		return bytes.Equal(tcp.IP.To16(), a.Addr)
	}
	return false
}

// checkAuthenticator checks that the peer has the session key, made the AP-REQ for this very
// handshake, and did so just now and once.
func (h *accepting) checkAuthenticator(e *krbmsg.EncryptedData, greeting []byte) error {
	plain, err := h.session.Decrypt(nil, krbcrypto.UsageAPReqAuth, e.Cipher)
	if err != nil {
		return fmt.Errorf("authenticator: %w", ErrBadAuth)
	}
	auth := &h.auth
	if err := auth.Parse(plain); err != nil {
		return fmt.Errorf("%w: %w", ErrBadAuth, err)
	}
	if !bytes.Equal(auth.CRealm, h.ticket.CRealm) || !auth.CName.Equal(h.ticket.CName) {
		return fmt.Errorf("authenticator of %q: %w", auth.CName.Unparse(auth.CRealm), ErrBadAuth)
	}
	made := time.Unix(auth.CTime, int64(auth.Cusec)*1000)
	if d := h.now.Sub(made); d > h.skew() || d < -h.skew() {
		return fmt.Errorf("peer's clock differs by %v: %w", -d.Round(time.Second), ErrSkew)
	}
	if !auth.Cksum.Set || auth.Cksum.V.Type != h.session.ChecksumType() {
		return fmt.Errorf("authenticator without the session key's checksum: %w", ErrBadAuth)
	}
	if h.session.VerifyChecksum(krbcrypto.UsageAPReqAuthCksum, greeting, auth.Cksum.V.Sum) != nil {
		return fmt.Errorf("authenticator was made for something else: %w", ErrBadAuth)
	}
	if !auth.Subkey.Set {
		return fmt.Errorf("authenticator without subkey: %w", ErrBadAuth)
	}
	if h.initiator, err = ownKey(auth.Subkey.V); err != nil {
		return fmt.Errorf("subkey: %w: %w", ErrBadAuth, err)
	}
	return h.a.replay.add(sha256.Sum256(e.Cipher), made.Add(2*h.skew()), h.now)
}

// reply makes what the acceptor answers and completes the secrets.
func (h *accepting) reply(peerShare []byte) ([]byte, error) {
	own, err := newShare()
	if err != nil {
		return nil, err
	}
	if h.dh, err = agree(own, peerShare); err != nil {
		return nil, err
	}
	if h.acceptor, err = krbcrypto.RandomKey(h.session.Enctype()); err != nil {
		return nil, fmt.Errorf("subkey: %w", err)
	}
	part := krbmsg.EncAPRepPart{CTime: h.auth.CTime, Cusec: h.auth.Cusec, Subkey: krbmsg.Some(wireKey(h.acceptor))}
	rep := krbmsg.APRep{EncPart: seal(h.session, krbcrypto.UsageAPRepEncPart, krbmsg.Marshal(&part))}
	reply := append([]byte{statusAccepted}, own.PublicKey().Bytes()...)
	reply = appendToken(reply, krbmsg.Marshal(&rep))
	h.transcript = append(h.transcript, reply...)
	return reply, nil
}
