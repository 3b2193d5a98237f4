package krb

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// testKDC is the least that is a KDC: it wants pre-authentication, and has a ticket for everybody
// who shows the right key.
type testKDC struct {
	t    *testing.T
	addr string
	tcp  bool

	mu       sync.Mutex
	keys     map[string]*krbcrypto.Key // by principal
	kvno     map[string]uint32
	tgs      *krbcrypto.Key
	session  krbcrypto.Enctype
	requests int
	edit     func(reply []byte) []byte // spoils replies
	life     time.Duration
	off      time.Duration // its clock, against ours
}

func newTestKDC(t *testing.T, tcp bool) *testKDC {
	t.Helper()
	k := &testKDC{t: t, tcp: tcp, keys: map[string]*krbcrypto.Key{}, kvno: map[string]uint32{}, session: 18, life: time.Hour}
	k.tgs, _ = krbcrypto.RandomKey(18)
	if tcp {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		k.addr = ln.Addr().String()
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				k.serveTCP(nc)
			}
		}()
		return k
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	k.addr = pc.LocalAddr().String()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(k.answer(buf[:n]), from)
		}
	}()
	return k
}

func (k *testKDC) serveTCP(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return
	}
	req := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(nc, req); err != nil {
		return
	}
	rep := k.answer(req)
	_, _ = nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(rep))), rep...))
}

// set gives a principal a key.
func (k *testKDC) set(principal string, kvno uint32, key *krbcrypto.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[principal], k.kvno[principal] = key, kvno
}

func (k *testKDC) asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests
}

func (k *testKDC) answer(b []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests++
	rep := k.reply(b)
	if k.edit != nil {
		rep = k.edit(rep)
	}
	return rep
}

func (k *testKDC) refuse(code int32, edata []byte) []byte {
	e := krbmsg.KRBError{Code: code, STime: time.Now().Unix(), Realm: []byte(realmName),
		SName: krbmsg.NewName(2, "krbtgt", realmName)}
	if edata != nil {
		e.EData = edata
	}
	return krbmsg.Marshal(&e)
}

func (k *testKDC) reply(b []byte) []byte {
	var req krbmsg.KDCReq
	if err := req.Parse(b); err != nil {
		return k.refuse(60, nil)
	}
	server := req.Body.SName.V.Unparse(req.Body.Realm)
	if req.AS {
		return k.as(&req, server)
	}
	return k.ticket(&req, server)
}

func (k *testKDC) as(req *krbmsg.KDCReq, _ string) []byte {
	name := req.Body.CName.V.Unparse(req.Body.Realm)
	key := k.keys[name]
	if key == nil {
		return k.refuse(6, nil)
	}
	value, ok := krbmsg.FindPA(req.PAData, krbmsg.PAEncTimestamp)
	if !ok {
		info := krbmsg.Marshal(krbmsg.ETypeInfo2{{Etype: int32(key.Enctype())}})
		return k.refuse(25, krbmsg.Marshal(krbmsg.MethodData{{Type: krbmsg.PAETypeInfo2, Value: info}}))
	}
	var enc krbmsg.EncryptedData
	if err := enc.Parse(value); err != nil {
		return k.refuse(60, nil)
	}
	if _, err := key.Decrypt(nil, krbcrypto.UsagePAEncTS, enc.Cipher); err != nil || enc.Kvno.Or(0) != k.kvno[name] {
		return k.refuse(24, nil)
	}
	return k.issue(req, req.Body.CName.V, k.tgs, 1, key, krbcrypto.UsageASRepEncPart)
}

// ticket answers a TGS-REQ, whose ticket and authenticator it believes once they open.
func (k *testKDC) ticket(req *krbmsg.KDCReq, server string) []byte {
	value, _ := krbmsg.FindPA(req.PAData, krbmsg.PATGSReq)
	var ap krbmsg.APReq
	var part krbmsg.EncTicketPart
	if err := ap.Parse(value); err != nil {
		return k.refuse(60, nil)
	}
	plain, err := k.tgs.Decrypt(nil, krbcrypto.UsageTicket, ap.Ticket.EncPart.Cipher)
	if err != nil || part.Parse(plain) != nil {
		return k.refuse(31, nil)
	}
	session, err := krbcrypto.NewKey(krbcrypto.Enctype(part.Key.Etype), part.Key.Value)
	if err != nil {
		return k.refuse(60, nil)
	}
	if _, err := session.Decrypt(nil, krbcrypto.UsageTGSReqAuth, ap.Authenticator.Cipher); err != nil {
		return k.refuse(31, nil)
	}
	key := k.keys[server]
	if key == nil {
		return k.refuse(7, nil)
	}
	return k.issue(req, part.CName, key, k.kvno[server], session, krbcrypto.UsageTGSRepSession)
}

func (k *testKDC) issue(req *krbmsg.KDCReq, client krbmsg.PrincipalName, under *krbcrypto.Key, kvno uint32, reply *krbcrypto.Key, usage uint32) []byte {
	session, _ := krbcrypto.RandomKey(k.session)
	now := time.Now().Add(k.off).Unix()
	wire := krbmsg.EncryptionKey{Etype: int32(session.Enctype()), Value: session.Bytes()}
	realm := []byte(realmName)
	part := krbmsg.EncTicketPart{Key: wire, CRealm: realm, CName: client, AuthTime: now, EndTime: now + int64(k.life.Seconds())}
	rep := krbmsg.KDCRep{AS: req.AS, CRealm: realm, CName: client, Ticket: krbmsg.Ticket{Realm: realm, SName: req.Body.SName.V,
		EncPart: krbmsg.EncryptedData{Etype: int32(under.Enctype()), Kvno: krbmsg.Some(kvno),
			Cipher: under.Encrypt(nil, krbcrypto.UsageTicket, krbmsg.Marshal(&part))}}}
	enc := krbmsg.EncKDCRepPart{ASTag: req.AS, Key: wire, Nonce: req.Body.Nonce, AuthTime: now, StartTime: krbmsg.Some(now),
		EndTime: part.EndTime, SRealm: realm, SName: req.Body.SName.V}
	rep.EncPart = krbmsg.EncryptedData{Etype: int32(reply.Enctype()), Cipher: reply.Encrypt(nil, usage, krbmsg.Marshal(&enc))}
	if req.AS {
		rep.EncPart.Kvno = krbmsg.Some(k.kvno[client.Unparse(realm)])
	}
	return krbmsg.Marshal(&rep)
}

const realmName = "EXAMPLE.ORG"

// entry is a key for a keytab.
type entry struct {
	principal string
	kvno      uint32
	time      uint32
	key       *krbcrypto.Key
}

// keytabFile makes a keytab, version 2.
func keytabFile(entries ...entry) []byte {
	b := []byte{5, 2}
	for _, e := range entries {
		name, err := dumpfmt.ParseName(e.principal, "")
		if err != nil {
			panic(err)
		}
		var r []byte
		str := func(s string) {
			r = binary.BigEndian.AppendUint16(r, uint16(len(s)))
			r = append(r, s...)
		}
		r = binary.BigEndian.AppendUint16(r, uint16(len(name.Components)))
		str(name.Realm)
		for _, c := range name.Components {
			str(c)
		}
		r = binary.BigEndian.AppendUint32(r, 1)
		r = binary.BigEndian.AppendUint32(r, e.time)
		r = append(r, byte(e.kvno))
		r = binary.BigEndian.AppendUint16(r, uint16(e.key.Enctype()))
		str(string(e.key.Bytes()))
		r = binary.BigEndian.AppendUint32(r, e.kvno)
		b = binary.BigEndian.AppendUint32(b, uint32(len(r)))
		b = append(b, r...)
	}
	return b
}

func random(t *testing.T, e krbcrypto.Enctype) *krbcrypto.Key {
	t.Helper()
	k, err := krbcrypto.RandomKey(e)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func name(host string) string { return fmt.Sprintf("krep/%s.example.org@%s", host, realmName) }
