package serve

import (
	"bytes"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdctest"
)

// TestBigRequests: the longest message that TCP lets in, filled with whatever costs most to decode, to look
// up or to try, costs memory and time in proportion to its length.
func TestBigRequests(t *testing.T) {
	s := newSealer(t)
	const room = maxMessage - 400
	body := func(change func(b *krbmsg.KDCReqBody)) []byte {
		b := kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST")
		change(&b)
		return kdctest.ASReq(b)
	}
	padata := func(list ...krbmsg.PAData) []byte {
		return kdctest.ASReq(kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST"), list...)
	}
	empty := krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: []byte{}}
	c := kdctest.Forge(t, s.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil)
	for _, x := range []struct {
		name string
		msg  []byte
	}{
		{"components of the client", body(func(b *krbmsg.KDCReqBody) { b.CName.V.Parts = make([][]byte, 1<<15) })},
		{"too many components", body(func(b *krbmsg.KDCReqBody) { b.CName.V.Parts = make([][]byte, room/2) })},
		{"components of the server", body(func(b *krbmsg.KDCReqBody) { b.SName.V.Parts = make([][]byte, 1<<15) })},
		{"a component that grows when written", body(func(b *krbmsg.KDCReqBody) { b.CName.V.Parts = [][]byte{bytes.Repeat([]byte("/"), room)} })},
		{"an enterprise name", body(func(b *krbmsg.KDCReqBody) {
			b.CName = krbmsg.Some(krbmsg.NewName(krbmsg.NTEnterprise, strings.Repeat("/@", room/2)))
		})},
		{"the realm", body(func(b *krbmsg.KDCReqBody) { b.Realm = make([]byte, room) })},
		{"enctypes", body(func(b *krbmsg.KDCReqBody) { b.Etypes = make([]int32, room/3) })},
		{"addresses", body(func(b *krbmsg.KDCReqBody) { b.Addresses = make([]krbmsg.HostAddress, room/11) })},
		{"tickets", body(func(b *krbmsg.KDCReqBody) { b.Tickets = slices.Repeat([]krbmsg.Ticket{{}}, room/45) })},
		{"timestamps", padata(slices.Repeat([]krbmsg.PAData{empty}, room/11)...)},
		{"timestamps of many enctypes", func() []byte {
			b := kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST")
			b.Etypes = make([]int32, room/7)
			return kdctest.ASReq(b, slices.Repeat([]krbmsg.PAData{{Type: krbmsg.PAEncryptedChal, Value: []byte{}}}, room/22)...)
		}()},
		{"one timestamp", padata(krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: krbmsg.Marshal(krbmsg.EncryptedData{Etype: 18, Cipher: make([]byte, room)})})},
		{"groups of SPAKE", padata(krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Support: slices.Repeat([]int32{99}, room/3)})})},
		{"a cookie", padata(krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: append([]byte("MIT1\x00\x00\x00\x01"), make([]byte, room)...)},
			krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Response: &krbmsg.SPAKEResponse{}})})},
		{"a ticket", func() []byte {
			big := *c
			big.Ticket.EncPart.Cipher = make([]byte, room-1000)
			return big.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{})
		}()},
		{"an authenticator", func() []byte {
			return c.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{Auth: func(a *krbmsg.Authenticator) {
				a.AuthData = slices.Repeat(krbmsg.AuthorizationData{{}}, room/11-100)
			}})
		}()},
		{"authorization data", func() []byte {
			b := kdctest.TGSBody("A.TEST", "svc128")
			list := krbmsg.Marshal(slices.Repeat(krbmsg.AuthorizationData{{Type: 1, Data: []byte{0x30, 0}}}, room/13-100))
			b.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: c.Session.Encrypt(nil, krbcrypto.UsageTGSReqADSession, list)})
			return c.TGSReq(b, kdctest.Shown{})
		}()},
		{"a server for the TGS", c.TGSReq(kdctest.TGSBody("A.TEST", strings.Repeat("/", room-2000)), kdctest.Shown{})},
		{"a host for the TGS", c.TGSReq(kdctest.TGSBody("A.TEST", "host", strings.Repeat("a.", room/2-1000)), kdctest.Shown{})},
		{"a realm for the TGS", c.TGSReq(kdctest.TGSBody("A.TEST", "krbtgt", strings.Repeat("A.", room/2-1000)), kdctest.Shown{})},
	} {
		t.Run(x.name, func(t *testing.T) {
			if len(x.msg) > maxMessage {
				t.Fatalf("%d octets are too many", len(x.msg)-maxMessage)
			}
			metrics.Read(allocated)
			before, begun := allocated[0].Value.Uint64(), time.Now()
			out := bounded(t, s.answer, x.msg)
			metrics.Read(allocated)
			t.Logf("%s: %d octets, %.1f MiB, %v, %s", x.name, len(x.msg), float64(allocated[0].Value.Uint64()-before)/(1<<20), time.Since(begun), out.Event.Status)
		})
	}
}
