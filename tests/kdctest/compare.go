package kdctest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdcfixture"
)

// NewKey makes a key or ends the test.
func NewKey(t testing.TB, etype int32, value []byte) *krbcrypto.Key {
	t.Helper()
	k, err := krbcrypto.NewKey(krbcrypto.Enctype(etype), value)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func decrypt(t testing.TB, k *krbcrypto.Key, usage uint32, ed krbmsg.EncryptedData) []byte {
	t.Helper()
	if ed.Etype != int32(k.Enctype()) {
		t.Fatalf("enctype %d, key is %v", ed.Etype, k)
	}
	plain, err := k.Decrypt(nil, usage, ed.Cipher)
	if err != nil {
		t.Fatalf("usage %d: %v", usage, err)
	}
	return plain
}

// ours drops from a hint list the mechanisms that the recording KDCs had and this one has not,
// PKINIT and OTP, and what is random in those it has.
func ours(md krbmsg.MethodData) string {
	var out []string
	for _, pa := range md {
		var challenge krbmsg.SPAKE
		switch {
		case slices.Contains([]int32{krbmsg.PAPKASReq, krbmsg.PAPKINITKX, krbmsg.PAASFreshness, krbmsg.PAOTPChallenge}, pa.Type):
			continue
		case pa.Type == krbmsg.PASPAKE && challenge.Parse(pa.Value) == nil && challenge.Challenge != nil:
			challenge.Challenge.Public = make([]byte, len(challenge.Challenge.Public))
			pa.Value = krbmsg.Marshal(&challenge)
		case pa.Type == krbmsg.PAFXCookie && bytes.HasPrefix(pa.Value, []byte("MIT1")):
			pa.Value = append([]byte("MIT1 of "), byte(len(pa.Value)))
		}
		out = append(out, fmt.Sprintf("%d:%x", pa.Type, pa.Value))
	}
	return strings.Join(out, " ")
}

// compareErrors compares two KRB-ERRORs but for the time.
func compareErrors(t *testing.T, got, want []byte) {
	t.Helper()
	var g, w krbmsg.KRBError
	if err := w.Parse(want); err != nil {
		t.Fatal(err)
	}
	if err := g.Parse(got); err != nil {
		t.Fatalf("not an error: %v; want %d %s", err, w.Code, w.EText)
	}
	if g.Code != w.Code || string(g.EText) != string(w.EText) {
		t.Fatalf("error %d %s, want %d %s", g.Code, g.EText, w.Code, w.EText)
	}
	var gd, wd krbmsg.MethodData
	if w.EData != nil && wd.Parse(w.EData) == nil {
		if err := gd.Parse(g.EData); err != nil {
			t.Fatalf("e-data: %v", err)
		}
		if ours(gd) != ours(wd) {
			t.Errorf("hints %s, want %s", ours(gd), ours(wd))
		}
	}
	g.STime, g.Susec, g.EData = w.STime, w.Susec, w.EData
	if !bytes.Equal(krbmsg.Marshal(&g), want) {
		t.Errorf("error differs:\n%+v\n%+v", g, w)
	}
}

// secret blanks what is random in a ticket or reply, so that two can be compared.
func secret(k *krbmsg.EncryptionKey) { k.Value = nil }

// compareTickets compares the plaintexts of two tickets but for the session keys and the
// authorization data.
func compareTickets(t *testing.T, got, want *krbmsg.EncTicketPart) {
	t.Helper()
	g, w := *got, *want
	secret(&g.Key)
	secret(&w.Key)
	g.AuthData, w.AuthData = nil, nil
	if a, b := krbmsg.Marshal(&g), krbmsg.Marshal(&w); !bytes.Equal(a, b) {
		t.Errorf("ticket\n %+v\nwant\n %+v", g, w)
	}
}

// compareParts compares the plaintexts of two replies. Encrypted padata are compared by type.
func compareParts(t *testing.T, got, want *krbmsg.EncKDCRepPart) {
	t.Helper()
	g, w := *got, *want
	secret(&g.Key)
	secret(&w.Key)
	if a, b := paTypes(g.PAData), paTypes(w.PAData); a != b {
		t.Errorf("encrypted padata %s, want %s", a, b)
	}
	g.PAData, w.PAData = nil, nil
	if a, b := krbmsg.Marshal(&g), krbmsg.Marshal(&w); !bytes.Equal(a, b) {
		t.Errorf("reply\n %+v\nwant\n %+v", g, w)
	}
}

func paTypes(list []krbmsg.PAData) (s string) {
	for _, p := range list {
		s += fmt.Sprint(p.Type, " ")
	}
	return s
}

// Answer is a way to ask a KDC core: a message at a time.
type Answer func(msg []byte, at int64) exchange.Outcome

// Replay feeds a recorded request to a KDC and compares the answer with the recorded one, field
// by field but for what is random or signed over it. The clock is set so that the
// authentication time is the recorded one.
func Replay(t *testing.T, ask Answer, step kdcfixture.Step) {
	t.Helper()
	var want krbmsg.KDCRep
	if want.Parse(step.Response) != nil {
		compareAnyErrors(t, ask, step)
		return
	}
	step = opened(t, step, &want)
	var wantPart krbmsg.EncKDCRepPart
	if err := wantPart.Parse(step.Decrypted["enc_kdc_rep_part"]); err != nil {
		t.Fatal(err)
	}
	at := wantPart.AuthTime
	if !want.AS {
		at = wantPart.StartTime.Or(wantPart.AuthTime)
		if d := at - step.Time; d < -2 || d > 2 {
			at = step.Time // a validated ticket keeps its start
		}
	}
	out := ask(step.Request, at)
	var got krbmsg.KDCRep
	if err := got.Parse(out.Reply); err != nil {
		var e krbmsg.KRBError
		_ = e.Parse(out.Reply)
		t.Fatalf("no reply but error %d %s (%v)", e.Code, e.EText, out.Event.Err)
	}
	name, usage := "client_key", krbcrypto.UsageASRepEncPart
	if !want.AS {
		name, usage = "header_session_key", krbcrypto.UsageTGSRepSession
		if _, ok := step.Keys["authenticator_subkey"]; ok {
			name, usage = "authenticator_subkey", krbcrypto.UsageTGSRepSubkey
		}
	}
	if _, ok := step.Keys["spake_K0_reply_key"]; ok {
		name = "spake_K0_reply_key"
	}
	replyKey := stepKey(t, step, name)
	gotPA, wantPA := got.PAData, want.PAData
	if armor, ok := step.Keys["armor_key"]; ok {
		k := NewKey(t, armor.Etype, armor.Bytes)
		var resp krbmsg.FastResponse
		gotPA, resp = openFast(t, k, got.PAData)
		wantPA, _ = openFast(t, k, want.PAData)
		f := resp.Finished.V
		if err := k.VerifyChecksum(krbcrypto.UsageFASTFinished, got.Ticket.Raw, f.Checksum.Sum); err != nil || !f.CName.Equal(want.CName) {
			t.Errorf("finished: %+v, %v", f, err)
		}
		var err error
		if replyKey, err = krbcrypto.CF2(NewKey(t, resp.Strengthen.V.Etype, resp.Strengthen.V.Value), replyKey, "strengthenkey", "replykey"); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := ours(dropChallenge(gotPA)), ours(dropChallenge(wantPA)); a != b {
		t.Errorf("padata %s, want %s", a, b)
	}
	var part krbmsg.EncKDCRepPart
	if err := part.Parse(decrypt(t, replyKey, usage, got.EncPart)); err != nil {
		t.Fatal(err)
	}
	compareParts(t, &part, &wantPart)
	checkEncPA(t, replyKey, step.Request, part.PAData)
	compareIssued(t, step, &got, &part)
	// What is left is outside the encrypted parts.
	got.PAData, got.EncPart.Cipher, got.Ticket.EncPart.Cipher, got.Ticket.Raw = nil, nil, nil, nil
	want.PAData, want.EncPart.Cipher, want.Ticket.EncPart.Cipher, want.Ticket.Raw = nil, nil, nil, nil
	if a, b := krbmsg.Marshal(&got), krbmsg.Marshal(&want); !bytes.Equal(a, b) {
		t.Errorf("reply\n %+v\nwant\n %+v", got, want)
	}
	if out.Event.Status != exchange.StatusIssue || out.Event.RepEtype != int32(replyKey.Enctype()) {
		t.Errorf("event %+v", out.Event)
	}
}

// opened adds the plaintext of an AS reply and the key to a step that lacks them: the recorder knew
// no keys of aliases.
func opened(t *testing.T, step kdcfixture.Step, rep *krbmsg.KDCRep) kdcfixture.Step {
	t.Helper()
	if _, ok := step.Decrypted["enc_kdc_rep_part"]; ok || !rep.AS {
		return step
	}
	step.Keys, step.Decrypted = maps.Clone(step.Keys), maps.Clone(step.Decrypted)
	for _, k := range kdcfixture.LongTermKeys(t) {
		if k.Etype != rep.EncPart.Etype {
			continue
		}
		if plain, err := NewKey(t, k.Etype, k.Bytes).Decrypt(nil, krbcrypto.UsageASRepEncPart, rep.EncPart.Cipher); err == nil {
			step.Decrypted["enc_kdc_rep_part"], step.Keys["client_key"] = plain, kdcfixture.Key{Etype: k.Etype, Bytes: k.Bytes}
		}
	}
	return step
}

// compareIssued opens the ticket of a reply and compares it with the recorded one.
func compareIssued(t *testing.T, step kdcfixture.Step, got *krbmsg.KDCRep, part *krbmsg.EncKDCRepPart) {
	t.Helper()
	var tkt, wantTkt krbmsg.EncTicketPart
	tk := stepKey(t, step, "ticket_key")
	if err := tkt.Parse(decrypt(t, tk, krbcrypto.UsageTicket, got.Ticket.EncPart)); err != nil {
		t.Fatal(err)
	}
	if err := wantTkt.Parse(step.Decrypted["ticket_enc_part"]); err != nil {
		t.Fatal(err)
	}
	compareTickets(t, &tkt, &wantTkt)
	compareAuthData(t, step, got.Ticket.SName, &tkt, &wantTkt)
	if !bytes.Equal(tkt.Key.Value, part.Key.Value) {
		t.Error("session keys of ticket and reply differ")
	}
}

// compareAnyErrors compares errors, also inside FAST.
func compareAnyErrors(t *testing.T, ask Answer, step kdcfixture.Step) {
	t.Helper()
	out := ask(step.Request, step.Time)
	armor, ok := step.Keys["armor_key"]
	if !ok {
		compareErrors(t, out.Reply, step.Response)
		return
	}
	k := NewKey(t, armor.Etype, armor.Bytes)
	inner := func(b []byte) ([]krbmsg.PAData, krbmsg.KRBError) {
		var e, fx krbmsg.KRBError
		var md krbmsg.MethodData
		if err := e.Parse(b); err != nil {
			t.Fatal(err)
		}
		if err := md.Parse(e.EData); err != nil {
			t.Fatal(err)
		}
		pa, resp := openFast(t, k, md)
		if resp.Strengthen.Set || resp.Finished.Set {
			t.Error("an error has a strengthen key")
		}
		last := pa[len(pa)-1]
		if err := fx.Parse(last.Value); last.Type != krbmsg.PAFXError || err != nil {
			t.Fatalf("padata %d: %v", last.Type, err)
		}
		e.EData, e.STime, e.Susec = nil, 0, 0
		fx.STime, fx.Susec = 0, 0
		if !bytes.Equal(krbmsg.Marshal(&e), krbmsg.Marshal(&fx)) {
			t.Errorf("outer error %+v, inner %+v", e, fx)
		}
		return pa[:len(pa)-1], fx
	}
	gotPA, got := inner(out.Reply)
	wantPA, want := inner(step.Response)
	if a, b := ours(gotPA), ours(wantPA); a != b {
		t.Errorf("hints %s, want %s", a, b)
	}
	if !bytes.Equal(krbmsg.Marshal(&got), krbmsg.Marshal(&want)) {
		t.Errorf("error %+v, want %+v", got, want)
	}
}

func openFast(t *testing.T, armor *krbcrypto.Key, padata []krbmsg.PAData) ([]krbmsg.PAData, krbmsg.FastResponse) {
	t.Helper()
	value, ok := krbmsg.FindPA(padata, krbmsg.PAFXFast)
	if !ok || len(padata) != 1 {
		t.Fatalf("padata %s, want 136 alone", paTypes(padata))
	}
	var rep krbmsg.FastArmoredRep
	var resp krbmsg.FastResponse
	if err := rep.Parse(value); err != nil {
		t.Fatal(err)
	}
	if err := resp.Parse(decrypt(t, armor, krbcrypto.UsageFASTRep, rep.EncFastRep)); err != nil {
		t.Fatal(err)
	}
	return resp.PAData, resp
}

// dropChallenge replaces the encrypted challenge of the KDC, which is different each time.
func dropChallenge(list []krbmsg.PAData) krbmsg.MethodData {
	out := slices.Clone(list)
	for i := range out {
		if out[i].Type == krbmsg.PAEncryptedChal {
			out[i].Value = nil
		}
	}
	return out
}

// checkEncPA verifies the checksum over the request, if the reply has one.
func checkEncPA(t *testing.T, replyKey *krbcrypto.Key, request []byte, padata []krbmsg.PAData) {
	t.Helper()
	value, ok := krbmsg.FindPA(padata, krbmsg.PAReqEncPARep)
	if !ok {
		return
	}
	var sum krbmsg.Checksum
	if err := sum.Parse(value); err != nil {
		t.Fatal(err)
	}
	if err := krbcrypto.VerifyAny(replyKey, sum.Type, krbcrypto.UsageASReqChecksum, request, sum.Sum); err != nil {
		t.Errorf("checksum of the request: %v", err)
	}
}

func stepKey(t testing.TB, step kdcfixture.Step, name string) *krbcrypto.Key {
	t.Helper()
	k, ok := step.Keys[name]
	if !ok {
		t.Fatalf("no %s recorded", name)
	}
	return NewKey(t, k.Etype, k.Bytes)
}
