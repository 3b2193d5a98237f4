package stream

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// Credentials are what an initiator shows: a ticket for the acceptor, and the client it is of.
type Credentials struct {
	Client krbmsg.PrincipalName
	Realm  string         // of the client
	Server string         // principal of the ticket, for Conn.Peer and messages
	Ticket []byte         // DER, as the KDC issued it
	Key    *krbcrypto.Key // session key
	End    time.Time      // of the ticket
}

// Initiate authenticates both ends of nc and returns the stream. It owns nc from the call on and
// closes it when it fails.
//
// Errors wrap ErrRefused, ErrNotMutual, ErrProtocol, or come from nc or ctx.
func Initiate(ctx context.Context, nc net.Conn, cr *Credentials) (*Conn, error) {
	c, err := initiate(ctx, nc, cr)
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("handshake with %s: %w", nc.RemoteAddr(), err)
	}
	return c, nil
}

func initiate(ctx context.Context, nc net.Conn, cr *Credentials) (*Conn, error) {
	lift, leave, err := bound(ctx, nc)
	if err != nil {
		return nil, err
	}
	defer leave()
	h, err := newInitiator(cr, time.Now())
	if err != nil {
		return nil, err
	}
	if _, err := nc.Write(h.transcript); err != nil {
		return nil, cause(ctx, err)
	}
	r := bufio.NewReaderSize(nc, readBuffer)
	if err := h.readReply(r); err != nil {
		return nil, cause(ctx, err)
	}
	toAcceptor, toInitiator, err := h.frameKeys()
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc, r, toAcceptor, toInitiator)
	if err != nil {
		return nil, err
	}
	c.peer, c.local, c.expiry = cr.Server, cr.Client.Unparse([]byte(cr.Realm)), cr.End
	if err := c.write(nil); err != nil {
		return nil, cause(ctx, err)
	}
	if err := lift(); err != nil {
		return nil, cause(ctx, err)
	}
	c.send.until = time.Time{} // lifted too
	return c, nil
}

// cause is preferCtx, and takes a hang-up for the refusal that it is.
func cause(ctx context.Context, err error) error {
	if err = preferCtx(ctx, err); errors.Is(err, io.EOF) {
		return fmt.Errorf("connection closed: %w", ErrRefused)
	}
	return err
}

// initiator is the state of the initiator's side of one handshake.
type initiator struct {
	secrets
	own   *ecdh.PrivateKey
	ctime int64
	cusec int32
}

// newInitiator makes everything that is sent; it is in transcript.
func newInitiator(cr *Credentials, now time.Time) (*initiator, error) {
	h := &initiator{ctime: now.Unix(), cusec: int32(now.Nanosecond() / 1000)}
	h.session = cr.Key
	own, err := newShare()
	if err != nil {
		return nil, err
	}
	h.own = own
	if h.initiator, err = krbcrypto.RandomKey(cr.Key.Enctype()); err != nil {
		return nil, fmt.Errorf("subkey: %w", err)
	}
	greeting := append([]byte(preface), own.PublicKey().Bytes()...)

	auth := krbmsg.Authenticator{
		CRealm: []byte(cr.Realm),
		CName:  cr.Client,
		Cksum: krbmsg.Some(krbmsg.Checksum{
			Type: cr.Key.ChecksumType(),
			Sum:  cr.Key.Checksum(nil, krbcrypto.UsageAPReqAuthCksum, greeting),
		}),
		CTime:  h.ctime,
		Cusec:  h.cusec,
		Subkey: krbmsg.Some(wireKey(h.initiator)),
	}
	req := krbmsg.APReq{Options: krbmsg.APMutualRequired}
	if err := req.Ticket.Parse(cr.Ticket); err != nil {
		return nil, fmt.Errorf("own ticket: %w", err)
	}
	req.Authenticator = seal(cr.Key, krbcrypto.UsageAPReqAuth, krbmsg.Marshal(&auth))
	token := krbmsg.Marshal(&req)
	if len(token) > MaxToken {
		return nil, fmt.Errorf("AP-REQ of %d octets: %w", len(token), ErrTooLarge)
	}
	h.transcript = appendToken(greeting, token)
	return h, nil
}

// readReply reads and checks what the acceptor answers.
func (h *initiator) readReply(r *bufio.Reader) error {
	status, err := r.ReadByte()
	if err != nil {
		return err
	}
	switch status {
	case statusAccepted:
	case statusRefused:
		return ErrRefused
	default:
		return ErrProtocol
	}
	share, token, raw, err := readToken(r)
	if err != nil {
		return err
	}
	var rep krbmsg.APRep
	if err := rep.Parse(token); err != nil {
		return fmt.Errorf("AP-REP: %w: %w", ErrProtocol, err)
	}
	plain, err := h.session.Decrypt(nil, krbcrypto.UsageAPRepEncPart, rep.EncPart.Cipher)
	if err != nil {
		return fmt.Errorf("AP-REP: %w", ErrNotMutual)
	}
	var part krbmsg.EncAPRepPart
	if err := part.Parse(plain); err != nil {
		return fmt.Errorf("AP-REP: %w: %w", ErrProtocol, err)
	}
	if part.CTime != h.ctime || part.Cusec != h.cusec {
		return fmt.Errorf("AP-REP answers another request: %w", ErrNotMutual)
	}
	if !part.Subkey.Set {
		return fmt.Errorf("AP-REP without subkey: %w", ErrProtocol)
	}
	if h.acceptor, err = ownKey(part.Subkey.V); err != nil {
		return fmt.Errorf("AP-REP subkey: %w", err)
	}
	if h.dh, err = agree(h.own, share); err != nil {
		return err
	}
	h.transcript = slices.Concat(h.transcript, []byte{status}, raw)
	return nil
}

// seal encrypts an encoded message.
func seal(k *krbcrypto.Key, usage uint32, plain []byte) krbmsg.EncryptedData {
	return krbmsg.EncryptedData{Etype: int32(k.Enctype()), Cipher: k.Encrypt(nil, usage, plain)}
}

// wireKey is a key as it travels, ownKey one that has arrived.
func wireKey(k *krbcrypto.Key) krbmsg.EncryptionKey {
	return krbmsg.EncryptionKey{Etype: int32(k.Enctype()), Value: k.Bytes()}
}

func ownKey(k krbmsg.EncryptionKey) (*krbcrypto.Key, error) {
	return krbcrypto.NewKey(krbcrypto.Enctype(k.Etype), k.Value)
}
