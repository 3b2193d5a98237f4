package exchange

import (
	"time"

	"krealm/internal/der"
	"krealm/internal/krbmsg"
)

// ErrorReply encodes the KRB-ERROR of a refusal (docs/protocols/kdc.md section 7). client is nil
// while unknown. There is no ctime: clients correct their clocks by stime alone.
func (r *Refusal) ErrorReply(now time.Time, client *Principal, server Principal) []byte {
	e := r.Message(now, client, server)
	w := der.NewWriter(256)
	e.AppendTo(w)
	return w.Bytes()
}

// Message returns the KRB-ERROR of a refusal before it is encoded.
func (r *Refusal) Message(now time.Time, client *Principal, server Principal) *krbmsg.KRBError {
	e := &krbmsg.KRBError{
		STime: now.Unix(),
		Susec: int32(now.Nanosecond() / 1000),
		Code:  r.Code,
		Realm: server.Realm,
		SName: server.Name,
	}
	if r.Status != "" {
		e.EText = []byte(r.Status)
	}
	if r.PAData != nil {
		e.EData = krbmsg.Marshal(r.PAData)
	}
	if r.Client != nil {
		client = r.Client
	}
	if client != nil {
		e.CRealm, e.CName = client.Realm, krbmsg.Some(client.Name)
	}
	return e
}
