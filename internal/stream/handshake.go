package stream

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"krealm/internal/krbcrypto"
)

// HandshakeTimeout is how long a handshake may take from the first octet to the last.
const HandshakeTimeout = 10 * time.Second

// MaxToken is the most octets of an AP-REQ or AP-REP that are read. Tickets with large
// authorization data stay well below.
const MaxToken = 48 << 10

// preface opens every connection: four letters, the version of the handshake and two octets of
// zero, for later use.
const preface = "krep\x00\x01\x00\x00"

const (
	shareSize = 32

	statusRefused  = 0
	statusAccepted = 1

	readBuffer = 64 << 10
)

// bound limits everything done on nc from now on to HandshakeTimeout and to ctx. lift lifts both; it
// fails if ctx has ended meanwhile or nc is closed. leave lets ctx forget nc, lifted or not: it is
// to be called in any case, for ctx may live as long as the process.
func bound(ctx context.Context, nc net.Conn) (lift func() error, leave func(), err error) {
	if err := nc.SetDeadline(time.Now().Add(HandshakeTimeout)); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	lift = func() error {
		if !stop() {
			return context.Cause(ctx)
		}
		return nc.SetDeadline(time.Time{})
	}
	return lift, func() { stop() }, nil
}

// newShare makes one side's part of the X25519 exchange.
func newShare() (*ecdh.PrivateKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("x25519: %w", err)
	}
	return k, nil
}

// agree computes the X25519 secret. A peer's share of low order is refused.
func agree(own *ecdh.PrivateKey, peerShare []byte) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(peerShare)
	if err != nil {
		return nil, fmt.Errorf("x25519 share: %w", ErrProtocol)
	}
	secret, err := own.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("x25519 share: %w", ErrProtocol)
	}
	return secret, nil
}

// secrets are what the keys of the frames are made of.
type secrets struct {
	session, initiator, acceptor *krbcrypto.Key // session key, subkeys
	dh                           []byte
	transcript                   []byte // all octets of the handshake, first the initiator's
}

const keySize = 32

// frameKeys derives the keys of the two directions.
func (s *secrets) frameKeys() (toAcceptor, toInitiator []byte, err error) {
	var ikm []byte
	for _, b := range [][]byte{s.session.Bytes(), s.initiator.Bytes(), s.acceptor.Bytes(), s.dh} {
		ikm = binary.BigEndian.AppendUint16(ikm, uint16(len(b)))
		ikm = append(ikm, b...)
	}
	hash := sha256.Sum256(s.transcript)
	prk, err := hkdf.Extract(sha256.New, ikm, hash[:])
	if err != nil {
		return nil, nil, fmt.Errorf("hkdf: %w", err)
	}
	if toAcceptor, err = hkdf.Expand(sha256.New, prk, "krep 1 initiator to acceptor", keySize); err != nil {
		return nil, nil, fmt.Errorf("hkdf: %w", err)
	}
	if toInitiator, err = hkdf.Expand(sha256.New, prk, "krep 1 acceptor to initiator", keySize); err != nil {
		return nil, nil, fmt.Errorf("hkdf: %w", err)
	}
	return toAcceptor, toInitiator, nil
}

// appendToken appends a token preceded by its length.
func appendToken(dst, token []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(token)))
	return append(dst, token...)
}

// readToken reads a share and a token, and returns all octets read as well.
func readToken(r *bufio.Reader) (share, token, raw []byte, err error) {
	raw = make([]byte, shareSize+4, 2048)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, nil, nil, err
	}
	n := int(binary.BigEndian.Uint32(raw[shareSize:]))
	if n == 0 || n > MaxToken {
		return nil, nil, nil, fmt.Errorf("token of %d octets: %w", n, ErrTooLarge)
	}
	raw = append(raw, make([]byte, n)...)
	if _, err := io.ReadFull(r, raw[shareSize+4:]); err != nil {
		return nil, nil, nil, err
	}
	return raw[:shareSize], raw[shareSize+4:], raw, nil
}
