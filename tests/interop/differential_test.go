package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
	"krealm/tests/testrealm"
)

// twins are two KDCs over the same realm, A.TEST of the recorded exchanges with a few entries
// more: ours and the stock one. The keys of all its principals are known, so requests can be made
// and replies opened here.
type twins struct {
	t        *testing.T
	our, mit string // addresses, TCP and UDP
	r        *realm.Realm
	like     map[string]string // entries that are copies, of what
	keys     []kdcfixture.LongTermKey
	now      int64
	nonce    int64
	logs     [2]*os.File // ours, MIT's, read up to the last question
}

// logged is what a KDC has logged of exchanges since it was asked last: the lines behind their
// headers, without the time of authentication. A line is written before the answer is sent.
func (x *twins) logged(i int) (lines []string) {
	x.t.Helper()
	b := must(io.ReadAll(x.logs[i]))(x.t)
	for line := range strings.Lines(string(b)) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "): ")
		if exchangeLine.MatchString(text) {
			lines = append(lines, authTime.ReplaceAllString(text, "authtime T"))
		}
	}
	return lines
}

var (
	exchangeLine = regexp.MustCompile(`^(AS_REQ|TGS_REQ|preauth|\.\.\.) `)
	authTime     = regexp.MustCompile(`authtime [1-9][0-9]*`)
	// Where MIT has a text of its own and not that of the code's table, ours may say it otherwise.
	ownText = regexp.MustCompile(`(verify failure: |, )[^,]*$`)
	// MIT knows no names yet when it refuses these; ours does.
	early = regexp.MustCompile(`(FIND_FAST|VALIDATE_MESSAGE_TYPE|NULL_[A-Z]*): .*`)
)

// sameLog compares logs line by line.
func sameLog(our, mit []string) bool {
	if len(mit) > 100 { // more padata than we verify (4.3)
		return true
	}
	if len(our) != len(mit) {
		return false
	}
	for i, m := range mit {
		o := our[i]
		if early.MatchString(m) {
			o, m = early.ReplaceAllString(o, "$1"), early.ReplaceAllString(m, "$1")
		}
		if text := ownText.FindStringSubmatch(m); text != nil && !tableText[strings.TrimPrefix(text[0], text[1])] {
			o, m = ownText.ReplaceAllString(o, "$1"), ownText.ReplaceAllString(m, "$1")
		}
		// Lists of hundreds of enctypes are cut; the names of those of CMS (9 to 15) are not worth a table; we
		// write no octets that are not UTF-8.
		if o != m && len(m) < 1000 && !strings.Contains(m, "-EnvOID(") && utf8.ValidString(m) {
			return false
		}
	}
	return true
}

// tableText are the texts of the error codes.
var tableText = func() map[string]bool {
	set := map[string]bool{}
	for code := range int32(128) {
		set[krbmsg.ErrorText(code)] = true
	}
	return set
}()

// twinConf takes database name, stash file, port and log file.
const twinConf = `[kdcdefaults]
    log_format = mit
[logging]
    kdc = FILE:%[4]s
[realms]
    A.TEST = {
        database_name = %[1]s
        key_stash_file = %[2]s
        kdc_listen = 127.0.0.1:%[3]d
        kdc_tcp_listen = 127.0.0.1:%[3]d
        max_life = 1d
        max_renewable_life = 7d
        host_based_services = *
        no_host_referral = nofar
    }
[dbmodules]
    A.TEST = {
        db_library = db2
        database_name = %[1]s
    }
`

const twinKRB5 = `[libdefaults]
    default_realm = A.TEST
    dns_lookup_kdc = false
    dns_lookup_realm = false
    spake_preauth_groups = edwards25519
[domain_realm]
    .b.test = B.TEST
    .c.test = C.TEST
    .a.test = A.TEST
`

// newTwins starts both KDCs. more are entries beside the recorded ones: copies of others, changed;
// conf is more configuration.
func newTwins(t *testing.T, more []entry, conf ...string) *twins {
	t.Helper()
	ctx, r := newRealmWith(t, testrealm.Options{Slaves: []string{}, CountLogins: true})
	x := &twins{t: t, like: map[string]string{}, keys: kdcfixture.LongTermKeys(t)}
	dump := dumpFile(r.Master, "twins")
	text := x.dump(more)
	writeFile(t, dump, text)
	db := kdctest.Load(t, text)
	x.r = realm.New(kdctest.Settings("A.TEST"), db, kdctest.PublishedKeys(t))
	mit := must(r.AddHost("mit"))(t)
	for i, h := range []*testrealm.Host{r.Master, mit} {
		writeFile(t, h.KDCConf, fmt.Appendf(nil, twinConf, h.Database, h.Stash, h.KDCPort, dumpFile(h, "kdc.log")))
		addLines(t, h.KDCConf, strings.Join(conf, ""))
		writeFile(t, h.KRB5Conf, []byte(twinKRB5))
		s := &site{Host: h, realm: "A.TEST", stock: i == 1}
		s.tool(ctx, t, "kdb5_util", "load", dump)
		s.tool(ctx, t, "kdb5_util", "-P", "mastermaster", "stash", "-f", h.Stash)
		s.start(ctx, t)
		x.logs[i] = must(os.Open(dumpFile(h, "kdc.log")))(t)
		t.Cleanup(func() { _ = x.logs[i].Close() })
	}
	x.our, x.mit = fmt.Sprintf("127.0.0.1:%d", r.Master.KDCPort), fmt.Sprintf("127.0.0.1:%d", mit.KDCPort)
	return x
}

// entry is a principal that both databases have beside the recorded ones.
type entry struct {
	name, like string
	change     func(p *dumpfmt.Principal)
}

// dump is the recorded realm with more entries.
func (x *twins) dump(more []entry) []byte {
	x.t.Helper()
	r := must(dumpfmt.NewReader(bytes.NewReader(kdcfixture.File(x.t, "realm-A.dump"))))(x.t)
	var out bytes.Buffer
	w := must(dumpfmt.NewWriter(&out, dumpfmt.Version7))(x.t)
	have := map[string]*dumpfmt.Principal{}
	var policies []dumpfmt.Record
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(x.t, err)
		if p, ok := rec.(*dumpfmt.Principal); ok {
			p.SetLockout(dumpfmt.Lockout{})
			have[p.Name] = p
		} else {
			policies = append(policies, rec)
		}
	}
	for _, e := range more {
		p := have[e.like+"@A.TEST"].Clone()
		p.Name = e.name + "@A.TEST"
		x.like[p.Name] = e.like + "@A.TEST"
		if e.change != nil {
			e.change(p)
		}
		have[p.Name] = p
	}
	for _, p := range have {
		check(x.t, w.Write(p))
	}
	for _, rec := range policies {
		check(x.t, w.Write(rec))
	}
	check(x.t, w.Flush())
	return out.Bytes()
}

// key returns a long-term key.
func (x *twins) key(name string, kvno uint32, etype int32) *krbcrypto.Key {
	x.t.Helper()
	if k := x.find(name, kvno, etype); k != nil {
		return k
	}
	x.t.Fatalf("no key of %s, version %d, type %d", name, kvno, etype)
	return nil
}

// find is key that may fail; version 0 is any.
func (x *twins) find(name string, kvno uint32, etype int32) *krbcrypto.Key {
	if origin, ok := x.like[name]; ok {
		name = origin
	}
	for _, k := range x.keys {
		if k.Principal == name && (kvno == 0 || k.Kvno == kvno) && k.Etype == etype {
			return kdctest.NewKey(x.t, k.Etype, k.Bytes)
		}
	}
	return nil
}

// ask sends a message over a connection of its own, or in a datagram; nil is silence. A stream
// tells silence by its end, so that nobody has to wait.
func ask(t *testing.T, network, addr string, msg []byte) []byte {
	t.Helper()
	c := must((&net.Dialer{}).DialContext(t.Context(), network, addr))(t)
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	if network == "udp" {
		must(c.Write(msg))(t)
		buf := make([]byte, 65536)
		return buf[:must(c.Read(buf))(t)]
	}
	must(c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)))(t)
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatalf("%s: neither answer nor end", addr)
		}
		return nil
	}
	reply := make([]byte, binary.BigEndian.Uint32(head[:]))
	must(io.ReadFull(c, reply))(t)
	return reply
}

// question is a request and what opens the answer.
type question struct {
	msg   []byte
	udp   bool
	reply func(etype int32) *krbcrypto.Key // nil: a long-term key of the client
	usage uint32
	armor *krbcrypto.Key // under FAST
	seal  *krbcrypto.Key // of a ticket without a key version; nil: a long-term key
	body  krbmsg.KDCReqBody
}

// describe turns an answer into lines that are the same for two KDCs that decide alike: what is
// random is left out, times are counted from now or named by what the request asked for.
func (x *twins) describe(q *question, reply []byte) (lines []string) {
	if reply == nil {
		return []string{"silence"}
	}
	var e krbmsg.KRBError
	var rep krbmsg.KDCRep
	switch {
	case e.Parse(reply) == nil:
		return x.describeError(q, &e)
	case rep.Parse(reply) != nil:
		return []string{fmt.Sprintf("undecodable %x", reply)}
	}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if rep.AS {
		say("AS-REP")
	} else {
		say("TGS-REP")
	}
	say("client %d %q@%s", rep.CName.Type, rep.CName.Unparse(nil), rep.CRealm)
	client := exchange.Principal{Name: rep.CName, Realm: rep.CRealm}.String()
	get := q.reply
	if get == nil {
		get = func(etype int32) *krbcrypto.Key { return x.find(client, 0, etype) }
	}
	key := get(rep.EncPart.Etype)
	padata := rep.PAData
	if q.armor != nil {
		resp, ok := x.openArmored(q.armor, rep.PAData)
		if !ok {
			say("no FAST in %s", padataTypes(rep.PAData))
			return lines
		}
		padata = resp.PAData
		strong, err := krbcrypto.CF2(kdctest.NewKey(x.t, resp.Strengthen.V.Etype, resp.Strengthen.V.Value), key, "strengthenkey", "replykey")
		check(x.t, err)
		key = strong
		f := resp.Finished.V
		say("finished %d %q@%s checksum %d %v", f.CName.Type, f.CName.Unparse(nil), f.CRealm, f.Checksum.Type,
			krbcrypto.VerifyAny(q.armor, f.Checksum.Type, krbcrypto.UsageFASTFinished, rep.Ticket.Raw, f.Checksum.Sum))
	}
	say("padata %s", describePA(padata))
	say("sealed with %d kvno %v", rep.EncPart.Etype, rep.EncPart.Kvno)
	say("ticket for %d %q@%s with %d kvno %v", rep.Ticket.SName.Type, rep.Ticket.SName.Unparse(nil), rep.Ticket.Realm,
		rep.Ticket.EncPart.Etype, rep.Ticket.EncPart.Kvno)
	if key == nil {
		say("no key of type %d", rep.EncPart.Etype)
		return lines
	}
	plain, err := key.Decrypt(nil, q.usage, rep.EncPart.Cipher)
	if err != nil {
		say("reply does not open")
		return lines
	}
	var part krbmsg.EncKDCRepPart
	check(x.t, part.Parse(plain))
	say("part tag25=%v session %d lastreq %v nonce %d keyexp %v flags %08x for %d %q@%s addresses %v", part.ASTag, part.Key.Etype, part.LastReq,
		part.Nonce-q.body.Nonce, part.KeyExpiration, part.Flags, part.SName.Type, part.SName.Unparse(nil), part.SRealm, part.CAddr)
	say("part %s", q.times(part.AuthTime, part.StartTime, part.EndTime, part.RenewTill))
	say("part padata %s", padataTypes(part.PAData))
	return append(lines, x.describeTicket(q, &rep.Ticket, part.Key.Value)...)
}

func (x *twins) describeTicket(q *question, tkt *krbmsg.Ticket, session []byte) (lines []string) {
	name := tkt.SName.Unparse(tkt.Realm)
	key := x.find(name, tkt.EncPart.Kvno.V, tkt.EncPart.Etype)
	if !tkt.EncPart.Kvno.Set && q.seal != nil {
		key = q.seal
	}
	if key == nil {
		return []string{"ticket key unknown"}
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageTicket, tkt.EncPart.Cipher)
	if err != nil {
		return []string{"ticket does not open"}
	}
	var p krbmsg.EncTicketPart
	check(x.t, p.Parse(plain))
	return []string{
		fmt.Sprintf("ticket flags %08x session %d same %v of %d %q@%s transited %d %q addresses %v", p.Flags, p.Key.Etype,
			bytes.Equal(p.Key.Value, session), p.CName.Type, p.CName.Unparse(nil), p.CRealm, p.Transited.Type, p.Transited.Contents, p.CAddr),
		"ticket " + q.times(p.AuthTime, p.StartTime, p.EndTime, p.RenewTill),
		"ticket authdata " + describeAD(p.AuthData),
	}
}

// times names the times of a ticket.
func (q *question) times(auth int64, start krbmsg.Opt[int64], end int64, renew krbmsg.Opt[int64]) string {
	from := start.Or(auth)
	word := func(t int64) string {
		switch {
		case t == 1<<32-1:
			return "inf"
		case t == q.body.Till:
			return "till"
		case q.body.RTime.Set && t == q.body.RTime.V:
			return "rtime"
		}
		return fmt.Sprintf("start%+d", t-from)
	}
	s := "end " + word(end)
	switch {
	case q.body.From.Set && start.Set && start.V == q.body.From.V:
		s += " start from"
	case start.Set:
		s += fmt.Sprintf(" start auth%+d", start.V-auth)
	}
	if renew.Set {
		s += " renew " + word(renew.V)
	}
	return s
}

func describeAD(ad krbmsg.AuthorizationData) string {
	var s []string
	for _, e := range ad {
		var in krbmsg.AuthorizationData
		if e.Type == krbmsg.ADIfRelevant && in.Parse(e.Data) == nil {
			for _, y := range in {
				s = append(s, fmt.Sprintf("1/%d%s", y.Type, describePAC(y)))
			}
			continue
		}
		s = append(s, fmt.Sprintf("%d:%x", e.Type, e.Data))
	}
	return strings.Join(s, " ")
}

// describePAC lists the buffers of a PAC. FULL_CHECKSUM (19) came with 1.21, section 13.
func describePAC(e krbmsg.AuthDataEntry) string {
	b := e.Data
	if e.Type != krbmsg.ADWin2kPAC || len(b) < 8 {
		return ""
	}
	var s []uint32
	for i := range binary.LittleEndian.Uint32(b) {
		if at := 8 + 16*int(i); at+16 <= len(b) {
			if kind := binary.LittleEndian.Uint32(b[at:]); kind != 19 {
				s = append(s, kind)
			}
		}
	}
	slices.Sort(s)
	return fmt.Sprint(s)
}

func (x *twins) describeError(q *question, e *krbmsg.KRBError) (lines []string) {
	lines = []string{strings.TrimSpace(fmt.Sprintf("error %d %s", e.Code, e.EText))}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	say("ctime %v %v", e.CTime.Set, e.Cusec.Set)
	if d := e.STime - x.now; d < -1 || d > 5 {
		say("stime %+d", d)
	}
	if e.CName.Set {
		say("client %d %q@%s", e.CName.V.Type, e.CName.V.Unparse(nil), e.CRealm)
	} else {
		say("client none@%s", e.CRealm)
	}
	say("server %d %q@%s", e.SName.Type, e.SName.Unparse(nil), e.Realm)
	if e.EData == nil {
		return lines
	}
	var md krbmsg.MethodData
	if md.Parse(e.EData) != nil {
		say("e-data %x", e.EData)
		return lines
	}
	if q.armor != nil {
		if resp, ok := x.openArmored(q.armor, md); ok {
			say("armored nonce %d strengthen %v finished %v", resp.Nonce-q.body.Nonce, resp.Strengthen.Set, resp.Finished.Set)
			md = resp.PAData
			if v, ok := krbmsg.FindPA(md, krbmsg.PAFXError); ok {
				var in krbmsg.KRBError
				check(x.t, in.Parse(v))
				for _, l := range x.describeError(&question{body: q.body}, &in) {
					say("inner %s", l)
				}
			}
		}
	}
	say("e-data %s", describePA(md))
	return lines
}

func (x *twins) openArmored(armor *krbcrypto.Key, padata []krbmsg.PAData) (resp krbmsg.FastResponse, ok bool) {
	v, ok := krbmsg.FindPA(padata, krbmsg.PAFXFast)
	if !ok || len(padata) != 1 {
		return resp, false
	}
	var rep krbmsg.FastArmoredRep
	if rep.Parse(v) != nil {
		return resp, false
	}
	plain, err := armor.Decrypt(nil, krbcrypto.UsageFASTRep, rep.EncFastRep.Cipher)
	return resp, err == nil && resp.Parse(plain) == nil
}

func padataTypes(list []krbmsg.PAData) string {
	var s []string
	for _, p := range list {
		s = append(s, fmt.Sprint(p.Type))
	}
	return strings.Join(s, " ")
}

// describePA shows padata with what is not random in it.
func describePA(list []krbmsg.PAData) string {
	var s []string
	for _, p := range list {
		switch {
		case slices.Contains([]int32{krbmsg.PASPAKE, krbmsg.PAEncryptedChal, krbmsg.PAFXError}, p.Type),
			p.Type == krbmsg.PAFXCookie && len(p.Value) > 3:
			s = append(s, fmt.Sprintf("%d(%v)", p.Type, len(p.Value) > 0))
		default:
			s = append(s, fmt.Sprintf("%d:%x", p.Type, p.Value))
		}
	}
	return strings.Join(s, " ")
}
