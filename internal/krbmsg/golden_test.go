package krbmsg

import (
	"bytes"
	"fmt"
	"testing"

	"krealm/internal/der"
	"krealm/tests/kdcfixture"
)

type message2 interface {
	Parse([]byte) error
	AppendTo(*der.Writer)
}

// forget drops the raw octets that AppendTo would copy, so that a round trip proves the fields.
func forget(m message2) {
	tickets := func(b *KDCReqBody) {
		for i := range b.Tickets {
			b.Tickets[i].Raw = nil
		}
	}
	switch m := m.(type) {
	case *KDCReq:
		m.RawBody = nil
		tickets(&m.Body)
	case *FastReq:
		m.RawBody = nil
		tickets(&m.Body)
	case *KDCRep:
		m.Ticket.Raw = nil
	case *APReq:
		m.Ticket.Raw = nil
	}
}

// roundTrip parses b into m and compares what m encodes with b. Decrypted messages may end in
// cipher padding (des3); padding is what may follow.
func roundTrip(m message2, b []byte, padding int) error {
	if err := m.Parse(b); err != nil {
		return err
	}
	forget(m)
	got := Marshal(m)
	if len(b) < len(got) || len(b) > len(got)+padding || !bytes.Equal(got, b[:len(got)]) {
		return fmt.Errorf("encoded again:\n %x\nwant\n %x", got, b)
	}
	return nil
}

// decryptedTypes maps the names of decrypted parts in the fixtures to their messages.
var decryptedTypes = map[string]func() message2{
	"enc_kdc_rep_part":        func() message2 { return new(EncKDCRepPart) },
	"ticket_enc_part":         func() message2 { return new(EncTicketPart) },
	"header_ticket_enc_part":  func() message2 { return new(EncTicketPart) },
	"armor_ticket_enc_part":   func() message2 { return new(EncTicketPart) },
	"authenticator":           func() message2 { return new(Authenticator) },
	"armor_authenticator":     func() message2 { return new(Authenticator) },
	"pa_enc_timestamp":        func() message2 { return new(PAEncTSEnc) },
	"pa_encrypted_challenge":  func() message2 { return new(PAEncTSEnc) },
	"kdc_encrypted_challenge": func() message2 { return new(PAEncTSEnc) },
	"fast_req":                func() message2 { return new(FastReq) },
	"fast_response":           func() message2 { return new(FastResponse) },
	"spake_factor":            func() message2 { return new(SPAKEFactor) },
	"request_cookie_plain":    func() message2 { return new(SecureCookie) },
	"reply_cookie_plain":      func() message2 { return new(SecureCookie) },
}

func TestFixturesRoundTrip(t *testing.T) {
	counts := map[string]int{}
	for _, s := range kdcfixture.Scenarios(t) {
		for i, step := range s.Steps {
			check := func(what string, m message2, b []byte) {
				counts[what]++
				if err := roundTrip(m, b, 7); err != nil {
					t.Errorf("%s step %d, %s: %v", s.File, i, what, err)
				}
			}
			check("request", new(KDCReq), step.Request)
			if step.Response != nil {
				check("response", newResponse(step.Response), step.Response)
			}
			for name, plain := range step.Decrypted {
				if mk := decryptedTypes[name]; mk != nil {
					check(name, mk(), plain)
				}
			}
			checkPAData(t, fmt.Sprintf("%s step %d", s.File, i), step, counts)
		}
	}
	for _, want := range []string{"request", "response", "enc_kdc_rep_part", "ticket_enc_part",
		"authenticator", "pa_enc_timestamp", "fast_req", "fast_response", "padata 1", "padata 19",
		"padata 136", "padata 151", "spake_factor", "reply_cookie_plain", "padata 128", "padata 2", "padata 129", "padata 130", "e-data", "authorization-data"} {
		if counts[want] == 0 {
			t.Errorf("no %s among the fixtures", want)
		}
	}
	t.Log(counts)
}

func newResponse(b []byte) message2 {
	if b[0] == byte(der.Application(appKRBError)) {
		return new(KRBError)
	}
	return new(KDCRep)
}

// checkPAData round-trips what is inside padata, e-data and authorization data of a step.
func checkPAData(t *testing.T, where string, step kdcfixture.Step, counts map[string]int) {
	t.Helper()
	var q KDCReq
	if err := q.Parse(step.Request); err != nil {
		return // reported already
	}
	inner := func(list []PAData, reply bool) {
		for _, p := range list {
			if m := paMessage(p, reply); m != nil {
				counts[fmt.Sprint("padata ", p.Type)]++
				if err := roundTrip(m, p.Value, 0); err != nil {
					t.Errorf("%s padata %d: %v", where, p.Type, err)
				}
			}
		}
	}
	inner(q.PAData, false)
	var rep KDCRep
	var kerr KRBError
	if rep.Parse(step.Response) == nil {
		inner(rep.PAData, true)
	} else if kerr.Parse(step.Response) == nil && kerr.EData != nil && kerr.EData[0] == 0x30 {
		var md MethodData
		if md.Parse(kerr.EData) == nil {
			counts["e-data"]++
			if got := Marshal(md); !bytes.Equal(got, kerr.EData) {
				t.Errorf("%s e-data: %x, want %x", where, got, kerr.EData)
			}
			inner(md, true)
		}
	}
	if b := step.Decrypted["ticket_enc_part"]; b != nil {
		var tkt EncTicketPart
		if err := tkt.Parse(b); err == nil && len(tkt.AuthData) > 0 {
			counts["authorization-data"]++
			var ad AuthorizationData
			if err := ad.Parse(tkt.AuthData[0].Data); err != nil {
				t.Errorf("%s: %v", where, err)
			} else if got := Marshal(ad); !bytes.Equal(got, tkt.AuthData[0].Data) {
				t.Errorf("%s: authorization data %x", where, got)
			}
		}
	}
}

func paMessage(p PAData, reply bool) message2 {
	switch {
	case len(p.Value) == 0:
		return nil
	case p.Type == PATGSReq && !reply:
		return new(APReq)
	case p.Type == PAETypeInfo2:
		return new(ETypeInfo2)
	case p.Type == PAETypeInfo:
		return new(ETypeInfo)
	case p.Type == PAFXFast && reply:
		return new(FastArmoredRep)
	case p.Type == PAFXFast:
		return new(FastArmoredReq)
	case p.Type == PAForUser:
		return new(ForUser)
	case p.Type == PAS4UX509User:
		return new(S4UX509User)
	case p.Type == PAPACRequest:
		return new(PACRequest)
	case p.Type == PAPACOptions:
		return new(PACOptions)
	case p.Type == PASPAKE:
		return new(SPAKE)
	case p.Type == PAEncTimestamp || p.Type == PAEncryptedChal:
		return new(EncryptedData)
	}
	return nil
}

func TestRequestKeepsRawBody(t *testing.T) {
	step := kdcfixture.Load(t, "tgs-plain").Steps[1]
	var q KDCReq
	if err := q.Parse(step.Request); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(q.RawBody, Marshal(&q.Body)) {
		t.Error("raw body differs from the body encoded again")
	}
	if !bytes.Contains(step.Request, q.RawBody) {
		t.Error("raw body is not a part of the request")
	}
}

func TestKeysHaveNoText(t *testing.T) {
	k := EncryptionKey{Etype: 18, Value: []byte("secret")}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v", k, k, k)} {
		if bytes.Contains([]byte(s), []byte("secret")) || bytes.Contains([]byte(s), []byte("115")) {
			t.Errorf("a key shows in %q", s)
		}
	}
}
