package exchange

import (
	"fmt"
	"net/netip"
	"time"

	"krealm/internal/krbmsg"
)

// Request is one message from a client.
type Request struct {
	Msg  []byte     // values parsed from it alias it: it must not change afterwards
	From netip.Addr // of the client; not valid for a local socket
	Now  time.Time
}

// Outcome is what came of a request.
type Outcome struct {
	Reply []byte // nil: say nothing
	Event Event
	Note  *Note // bookkeeping on the client's entry, nil for none
}

// Refusal is the reason why a request gets an error, or silence, instead of a ticket. The
// client sees Code, Status and PAData; Err is for the log and may name principals, key versions
// or files.
type Refusal struct {
	Code   int32             // RFC 4120 section 7.5.9
	Status string            // e-text, and the word that logs have for the case
	Err    error             // may be nil
	PAData krbmsg.MethodData // e-data, inside the armor under FAST; nil for none
	Silent bool              // no reply at all
	// Client, if set, replaces the client of the request in the error: a referral.
	Client *Principal
}

// Principal is a name with its realm, as messages carry it.
type Principal struct {
	Name  krbmsg.PrincipalName
	Realm []byte
}

// String returns the name in MIT's text form.
func (p Principal) String() string { return p.Name.Unparse(p.Realm) }

// Refuse returns a Refusal with the given code and status.
func Refuse(code int32, status string) *Refusal { return &Refusal{Code: code, Status: status} }

// Because adds the cause for the log.
func (r *Refusal) Because(err error) *Refusal {
	r.Err = err
	return r
}

// Becausef adds a cause for the log that is only a text.
func (r *Refusal) Becausef(format string, args ...any) *Refusal {
	return r.Because(fmt.Errorf(format, args...))
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("krb-error %d (%s): %v", r.Code, r.Status, r.Err)
	}
	return fmt.Sprintf("krb-error %d (%s)", r.Code, r.Status)
}

func (r *Refusal) Unwrap() error { return r.Err }

// Kind says which exchange an Event is of.
type Kind uint8

// Kinds of exchanges.
const (
	Undecodable Kind = iota // not a request, or damaged: answered by silence
	AS
	TGS
)

// String returns the word that logs have for the exchange.
func (k Kind) String() string {
	switch k {
	case AS:
		return "AS_REQ"
	case TGS:
		return "TGS_REQ"
	}
	return "UNDECODABLE"
}

// StatusIssue is the status of an exchange that ended with a ticket.
const StatusIssue = "ISSUE"

// Event is what the log is told of an exchange.
type Event struct {
	Kind     Kind
	From     netip.Addr
	Via      string  // the transport, where there is no exchange: "udp", "tcp", "https"
	Status   string  // StatusIssue, or that of the refusal
	Code     int32   // 0 for a ticket
	Etypes   []int32 // requested
	AuthTime int64   // of the ticket; TGS: 0 until the subject is known
	RepEtype int32   // of the reply, the ticket and the session key, if issued
	TktEtype int32
	SesEtype int32
	Client   string // "" while unknown
	Server   string
	Err      error    // the cause of a refusal, if there is more to say than the code does
	Second   string   // client of the second ticket, for code 26
	Delegate string   // S4U client, for a second log line
	Proxy    bool     // the delegation is constrained delegation, else protocol transition
	Notes    []string // further lines
}

// Note asks for the write-back of an entry's lockout fields after the reply is built
// (design invariant 6: they stay local to this database).
type Note struct {
	Name    string // the canonical name of the client's entry
	Failure bool   // a failed preauthentication, else a success
	When    time.Time
}
