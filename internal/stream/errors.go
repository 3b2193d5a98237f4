package stream

import (
	"errors"
	"fmt"
)

// Errors of a handshake or of an open stream. They come wrapped.
var (
	// ErrRefused is all an initiator learns of a refusal; the reason is in the acceptor's log.
	ErrRefused = errors.New("refused by the other side; its log says why")
	// ErrNotMutual means that the acceptor did not prove that it has the service's key.
	ErrNotMutual = errors.New("the other side did not prove its identity")
	// ErrProtocol means octets that are not of this protocol or not of this version.
	ErrProtocol = errors.New("not the krep protocol")
	// ErrAltered means a frame that was not sent by the peer in this place of this stream.
	ErrAltered = errors.New("frame altered, repeated or out of order")
	// ErrTooLarge means a token or frame beyond the limits.
	ErrTooLarge = errors.New("token or frame too large")
	// ErrExhausted means that the keys have sealed as many frames as they may.
	ErrExhausted = errors.New("frame counter exhausted")
)

// Reasons of a Refusal.
var (
	ErrNotAllowed = errors.New("principal not on the allow list")
	ErrNoKey      = errors.New("no key for the ticket in the keytab")
	ErrBadTicket  = errors.New("ticket does not decrypt or is not valid")
	ErrExpired    = errors.New("ticket expired or not yet valid")
	ErrBadAuth    = errors.New("authenticator does not match the ticket")
	ErrSkew       = errors.New("clock skew too great")
	ErrReplay     = errors.New("authenticator seen before")
	ErrBusy       = errors.New("too many connections")
)

// Refusal is why an acceptor did not accept a connection. It is for the acceptor's log; the peer
// is told nothing but that it is refused.
type Refusal struct {
	Peer   string // network address
	Client string // principal of the ticket, empty as long as it was not decrypted
	Err    error
}

func (r *Refusal) Error() string {
	if r.Client == "" {
		return fmt.Sprintf("refused %s: %v", r.Peer, r.Err)
	}
	return fmt.Sprintf("refused %q at %s: %v", r.Client, r.Peer, r.Err)
}

func (r *Refusal) Unwrap() error { return r.Err }
