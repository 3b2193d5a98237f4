package serve

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

// Exchange answers a decoded request: as.Answer or tgs.Answer over a realm.
type Exchange func(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome

// Realm is one realm that a Server answers for.
type Realm struct {
	Name string
	AS   Exchange
	TGS  Exchange
	// Note takes the bookkeeping of an exchange, nil for none. It must not block.
	Note func(exchange.Note)
	Data Snapshot // nil: it never changes
	// Kpasswd are the realm's password servers, "host:port", for messages that come through the proxy
	// protocol.
	Kpasswd []string
}

// Snapshot is what the exchanges of a realm answer from, as far as the network side is concerned:
// kdb.View.
type Snapshot interface {
	Version() uint64           // another one whenever the content may be
	Catch(ctx context.Context) // brings it up to date where it is known not to be
	Look(ctx context.Context)  // brings it up to date, within milliseconds and at next to no cost
}

// dispatcher answers messages, whatever they came over.
type dispatcher struct {
	realms []Realm
	cache  *lookaside
	log    Log
	clock  func() time.Time
	limit  *limits
}

// What a message came over, as logs name it; a UNIX socket counts as TCP.
const (
	viaUDP   = "udp"
	viaTCP   = "tcp"
	viaHTTPS = "https"
)

// answer returns the reply to a message, nil for silence, which closes a stream.
func (d *dispatcher) answer(msg []byte, from netip.Addr, via string) []byte {
	now := d.clock()
	key := digest(sha256.Sum256(msg))
	switch v, reply := d.cache.begin(key, now); v {
	case answered:
		d.limit.repeated.line(d.log, now, func() {
			d.log.Line(LevelInfo, "DISPATCH: repeated (retransmitted?) request from "+
				address(from)+", resending previous response")
		})
		return reply
	case busy:
		return nil
	}
	var reply []byte
	defer func() { d.cache.finish(key, reply, now) }()
	reply = d.process(msg, key, from, via, now)
	return reply
}

// process decodes and answers a message that is new.
func (d *dispatcher) process(msg []byte, key digest, from netip.Addr, via string, now time.Time) (reply []byte) {
	defer func() {
		if p := recover(); p != nil {
			reply = nil
			d.log.Panic(fmt.Sprintf("%x", key[:8]), len(msg), describe(p), debug.Stack())
		}
	}()
	if !krbmsg.IsKDCReq(msg) {
		d.drop(from, via, now, statusType, nil)
		return nil
	}
	var q krbmsg.KDCReq
	if err := q.Parse(msg); err != nil {
		d.drop(from, via, now, "DECODE", err)
		return nil
	}
	r := d.pick(&q)
	if r == nil {
		d.drop(from, via, now, statusRealm, fmt.Errorf("realm %q is not served", clip(string(q.Body.Realm))))
		return nil
	}
	out := r.run(&exchange.Request{Msg: msg, From: from, Now: now}, &q)
	d.log.Exchange(&out.Event)
	if out.Note != nil && r.Note != nil {
		r.Note(*out.Note)
	}
	return out.Reply
}

// run answers a request, from what was committed before it came. Before it is refused, the snapshot gets one chance to catch up with the database: a
// principal that was added, or a password changed, a moment before is never the reason of a refusal.
func (r *Realm) run(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome {
	answer := r.TGS
	if q.AS {
		answer = r.AS
	}
	if r.Data == nil {
		return answer(req, q)
	}
	r.Data.Catch(context.Background())
	version := r.Data.Version()
	out := answer(req, q)
	if out.Event.Code == 0 {
		return out
	}
	if r.Data.Look(context.Background()); r.Data.Version() == version {
		return out
	}
	return answer(req, q)
}

// drop logs a message that no exchange comes of.
func (d *dispatcher) drop(from netip.Addr, via string, now time.Time, status string, err error) {
	d.limit.damaged.line(d.log, now, func() {
		d.log.Exchange(&exchange.Event{From: from, Via: via, Status: status, Err: err})
	})
}

// Statuses of messages that no exchange comes of, for which MIT's log has words.
const (
	statusType  = "MESSAGE_TYPE"
	statusRealm = "UNKNOWN_REALM"
)

// describe says what a panic was about without what it was about: errors of the runtime name
// indexes and types, anything else could hold content of the request.
func describe(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// pick chooses the realm. A server of one realm does not look: a foreign name is not found
// later, with a proper error.
func (d *dispatcher) pick(q *krbmsg.KDCReq) *Realm {
	if len(d.realms) == 1 {
		return &d.realms[0]
	}
	for i := range d.realms {
		if d.realms[i].Name == string(q.Body.Realm) {
			return &d.realms[i]
		}
	}
	return nil
}

// plainError is a KRB-ERROR about the transport: it names no client and has no text.
func (d *dispatcher) plainError(code int32) []byte {
	r := exchange.Refusal{Code: code}
	name := d.realms[0].Name
	return r.ErrorReply(d.clock(), nil, exchange.Principal{
		Name: krbmsg.NewName(krbmsg.NTSrvInst, "krbtgt", name), Realm: []byte(name),
	})
}

// address is how logs name a peer: without a port.
func address(from netip.Addr) string {
	if !from.IsValid() {
		return "local"
	}
	return from.Unmap().String()
}
