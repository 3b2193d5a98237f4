package krbmsg

import (
	"bytes"
	"testing"

	"krealm/internal/der"
	"krealm/tests/kdcfixture"
)

// all are the messages a fuzz input is offered to.
func all() []message2 {
	return []message2{new(KDCReq), new(KDCRep), new(KRBError), new(APReq), new(APRep), new(EncAPRepPart),
		new(Authenticator), new(EncTicketPart), new(EncKDCRepPart), new(Ticket), new(EncryptedData),
		new(MethodData), new(ETypeInfo), new(ETypeInfo2), new(PAEncTSEnc), new(PACRequest),
		new(PACOptions), new(AuthorizationData), new(FastArmoredReq), new(FastArmoredRep), new(FastReq),
		new(FastResponse), new(Checksum), new(CAMMAC), new(Indicators),
		new(ForUser), new(S4UX509User), new(SPAKE), new(SPAKEFactor), new(SecureCookie), new(ProxyMessage)}
}

func seeds(tb testing.TB) [][]byte {
	var out [][]byte
	for _, s := range kdcfixture.Scenarios(tb) {
		for _, step := range s.Steps {
			out = append(out, step.Request, step.Response)
			for _, b := range step.Decrypted {
				out = append(out, b)
			}
			var q KDCReq
			if q.Parse(step.Request) == nil {
				for _, p := range q.PAData {
					out = append(out, p.Value)
				}
			}
		}
	}
	for _, c := range kdcfixture.Negative(tb) {
		if len(c.Request) < 4096 {
			out = append(out, c.Request)
		}
	}
	return out
}

// parseAndStabilise decodes b as every message: what decodes must encode to something that
// decodes to the same encoding.
func parseAndStabilise(t *testing.T, b []byte) {
	t.Helper()
	for i, m := range all() {
		if m.Parse(b) != nil {
			continue
		}
		forget(m)
		first := Marshal(m)
		again := all()[i]
		if err := again.Parse(first); err != nil {
			t.Fatalf("%T: own encoding refused: %v\n%x", m, err, first)
		}
		forget(again)
		if second := Marshal(again); !bytes.Equal(first, second) {
			t.Fatalf("%T: encodings differ:\n%x\n%x", m, first, second)
		}
	}
}

// FuzzTree mutates the DER trees of recorded messages.
func FuzzTree(f *testing.F) {
	base := seeds(f)
	for i := 0; i < len(base); i += 7 {
		f.Add(uint16(i), []byte{0, byte(i), byte(i), 1, 2, byte(3 * i)})
	}
	f.Fuzz(func(t *testing.T, which uint16, ops []byte) {
		parseAndStabilise(t, kdcfixture.Mutate(base[int(which)%len(base)], ops))
	})
}

// FuzzBytes mutates octets.
func FuzzBytes(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(parseAndStabilise)
}

// TestEveryTreeMutation walks all single mutations of some messages of each kind, so that an
// ordinary test run already covers what the fuzz target explores.
func TestEveryTreeMutation(t *testing.T) {
	base := seeds(t)
	for i := 0; i < len(base); i += 29 {
		for node := 0; node < 60; node++ {
			for op := 0; op < 16; op++ {
				parseAndStabilise(t, kdcfixture.Mutate(base[i], []byte{0, byte(node), byte(op | 0x30)}))
			}
		}
	}
}

func BenchmarkParseTGSReq(b *testing.B) {
	msg := kdcfixture.Load(b, "tgs-plain").Steps[1].Request
	b.ReportAllocs()
	for b.Loop() {
		var q KDCReq
		if err := q.Parse(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEncTicketPart(b *testing.B) {
	var tkt EncTicketPart
	if err := tkt.Parse(kdcfixture.Load(b, "tgs-plain").Steps[1].Decrypted["ticket_enc_part"]); err != nil {
		b.Fatal(err)
	}
	w := der.NewWriter(2048)
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		tkt.AppendTo(w)
	}
}
