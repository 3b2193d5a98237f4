package serve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"krealm/internal/krbmsg"
	"krealm/kdc/as"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/tgs"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// memLog keeps what is logged.
type memLog struct {
	mu     sync.Mutex
	lines  []string
	events []exchange.Event
	panics int
}

func (l *memLog) Exchange(ev *exchange.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, *ev)
}

func (l *memLog) Line(_ Level, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, text)
}

func (l *memLog) Panic(_ string, _ int, value string, stack []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.panics++
	l.lines = append(l.lines, "panic: "+value+"\n"+string(stack))
}

func (l *memLog) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.lines, "\n"), text)
}

// recorded is the realm A.TEST at a time, as the network side sees it.
func recorded(t testing.TB, at int64) (*dispatcher, *memLog) {
	t.Helper()
	r, _, _ := kdctest.Realm(t, "A.TEST")
	log := new(memLog)
	d := &dispatcher{
		cache: newLookaside(), log: log, limit: newLimits(),
		clock: func() time.Time { return time.Unix(at, 0) },
	}
	serve(d, r)
	return d, log
}

// serve makes a dispatcher answer for a realm.
func serve(d *dispatcher, r *realm.Realm) {
	d.realms = []Realm{{
		Name: "A.TEST",
		AS:   func(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome { return as.Answer(r, req, q) },
		TGS:  func(req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome { return tgs.Answer(r, req, q) },
	}}
}

func (l *memLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

func (l *memLog) event(i int) exchange.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[i]
}

func (l *memLog) text() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

var peer = netip.MustParseAddr("192.0.2.7")

// summary describes an answer as the fixtures do, but for hint lists.
func summary(reply []byte) string {
	var rep krbmsg.KDCRep
	var e krbmsg.KRBError
	switch {
	case reply == nil:
		return "no reply"
	case rep.Parse(reply) == nil && rep.AS:
		return "AS-REP"
	case rep.Parse(reply) == nil:
		return "TGS-REP"
	case e.Parse(reply) == nil:
		return fmt.Sprintf("ERR %d %s", e.Code, e.EText)
	}
	return fmt.Sprintf("undecodable %x", reply)
}

// wanted shortens a recorded answer to the same form.
func wanted(s string) string {
	word, rest, _ := strings.Cut(s, " ")
	if word != "ERR" {
		if word == "no" {
			return s
		}
		return word
	}
	code, rest, _ := strings.Cut(rest, " ")
	_, text, _ := strings.Cut(rest, "text=")
	text, _, _ = strings.Cut(text, " edata=")
	if text == "None" {
		text = ""
	}
	return fmt.Sprintf("ERR %s %s", code, text)
}

// better are the cases that this server answers otherwise on purpose.
var better = map[string]struct{ answer, why string }{
	"nonce 2^31":                          {"AS-REP", "five octets are a valid UInt32"},
	"till year 0000":                      {"no reply", "there is no such year"},
	"empty padata 142":                    {"AS-REP", "OTP is not configured: ignored"},
	"garbage padata 142":                  {"AS-REP", "OTP is not configured: ignored"},
	"empty padata 151":                    {"AS-REP", "SPAKE is not configured: ignored"},
	"garbage padata 151":                  {"AS-REP", "SPAKE is not configured: ignored"},
	"TGS S4U2Proxy without second ticket": {"ERR 13 NO_2ND_TKT", "as MIT before 1.21"},
}

// TestHostileRequests feeds every hostile request to the whole core. The answer is that of MIT
// krb5kdc 1.23 or a documented better one, and nothing panics.
func TestHostileRequests(t *testing.T) {
	used := map[string]bool{}
	for _, c := range kdcfixture.Negative(t) {
		t.Run(strings.TrimSpace(c.Name+" "+c.CVE), func(t *testing.T) {
			at := int64(kdctest.At)
			if strings.Contains(c.Note, "1795301740") {
				at = 1795301740
			}
			d, log := recorded(t, at)
			reply := d.answer(c.Request, peer, viaUDP)
			if len(reply) > 4096 { // the limit of the KDCs that were recorded
				reply = d.plainError(krbmsg.ErrResponseTooBig)
			}
			want := wanted(c.Answer123)
			if b, ok := better[c.Name]; ok {
				want, used[c.Name] = b.answer, true
			}
			if got := summary(reply); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if log.panics > 0 {
				t.Error(log.lines)
			}
		})
	}
	for name := range better {
		if !used[name] {
			t.Errorf("no case %q", name)
		}
	}
}

// core answers one message without cache, log and recovery, so that a panic is seen.
func core(d *dispatcher, msg []byte) []byte {
	var q krbmsg.KDCReq
	if !krbmsg.IsKDCReq(msg) || q.Parse(msg) != nil {
		return nil
	}
	run := d.realms[0].TGS
	if q.AS {
		run = d.realms[0].AS
	}
	return run(&exchange.Request{Msg: msg, From: peer, Now: d.clock()}, &q).Reply
}

// FuzzCore mutates the trees of recorded requests and answers them at the time of the record, so that
// tickets, timestamps and cookies in it are good. Whatever is answered must decode and stay in
// proportion.
func FuzzCore(f *testing.F) {
	var seeds []kdcfixture.Step
	for _, s := range kdcfixture.Scenarios(f) {
		for _, step := range s.Steps {
			if step.Realm == "A.TEST" {
				seeds = append(seeds, step)
			}
		}
	}
	for i := range seeds {
		f.Add(uint16(i), []byte{})
		f.Add(uint16(i), []byte{0, byte(i), byte(i), 0, byte(2 * i), byte(7 * i)})
	}
	s := newSealer(f)
	f.Fuzz(func(t *testing.T, which uint16, ops []byte) {
		step := seeds[int(which)%len(seeds)]
		bounded(t, func(msg []byte) exchange.Outcome { return s.answerAt(msg, step.Time) }, kdcfixture.Mutate(step.Request, ops))
	})
}

// FuzzForged mutates what is inside a correctly encrypted ticket, authenticator and request: what
// another realm or a client could send.
func FuzzForged(f *testing.F) {
	r, _, _ := kdctest.Realm(f, "A.TEST")
	d, _ := recorded(f, kdctest.At)
	f.Add([]byte{0, 1, 2}, []byte{0, 3, 4}, []byte{0, 5, 6}, uint32(0), false)
	f.Add([]byte{0, 9, 0x17}, []byte{}, []byte{0, 2, 8}, uint32(krbmsg.OptRenew), true)
	f.Fuzz(func(t *testing.T, ticketOps, authOps, bodyOps []byte, options uint32, foreign bool) {
		issuer := "A.TEST"
		if foreign {
			issuer = "B.TEST"
		}
		creds := kdctest.Forge(t, r, kdctest.Name(issuer, "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
			mutated := kdcfixture.Mutate(krbmsg.Marshal(p), ticketOps)
			q := new(krbmsg.EncTicketPart)
			if q.Parse(mutated) == nil && q.Key.Etype == p.Key.Etype {
				key := p.Key
				*p = *q
				p.Key = key
			}
		})
		body := kdctest.TGSBody("A.TEST", "host", "svc.a.test")
		body.Options = options
		body.Tickets = []krbmsg.Ticket{creds.Ticket}
		if q := new(krbmsg.KDCReq); len(bodyOps) > 0 {
			whole := krbmsg.Marshal(&krbmsg.KDCReq{MsgType: 12, Body: body})
			if q.Parse(kdcfixture.Mutate(whole, bodyOps)) == nil {
				body = q.Body
			}
		}
		msg := creds.TGSReq(body, kdctest.Shown{Auth: func(a *krbmsg.Authenticator) {
			q := new(krbmsg.Authenticator)
			if q.Parse(kdcfixture.Mutate(krbmsg.Marshal(a), authOps)) == nil {
				*a = *q
			}
		}})
		if s := summary(core(d, msg)); strings.HasPrefix(s, "undecodable") {
			t.Error(s)
		}
	})
}
