package streamtest

import (
	"net"
	"sync"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/stream"
)

// Realm has a key for every service principal, made when it is first asked for.
type Realm struct {
	Name string
	// Edit, if set, changes each ticket before it is sealed.
	Edit func(*krbmsg.EncTicketPart)

	mu   sync.Mutex
	keys map[string]*krbcrypto.Key
}

// NewRealm returns an empty realm.
func NewRealm(name string) *Realm { return &Realm{Name: name, keys: make(map[string]*krbcrypto.Key)} }

// Key returns the key of a service, key version 1.
func (r *Realm) Key(service string) *krbcrypto.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[service]
	if k == nil {
		k = must(krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1))
		r.keys[service] = k
	}
	return k
}

// SetKey sets the key of a service, for a realm that is shared by several processes.
func (r *Realm) SetKey(service string, k *krbcrypto.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[service] = k
}

// Rotate gives a service a new key.
func (r *Realm) Rotate(service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, service)
}

// Credentials issues a ticket. Names are with realm.
func (r *Realm) Credentials(client, service string) *stream.Credentials {
	cn, sn := must(dumpfmt.ParseName(client, "")), must(dumpfmt.ParseName(service, ""))
	session := must(krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1))
	now := time.Now().Unix()
	part := krbmsg.EncTicketPart{
		Flags:    krbmsg.FlagPreAuth,
		Key:      krbmsg.EncryptionKey{Etype: int32(session.Enctype()), Value: session.Bytes()},
		CRealm:   []byte(cn.Realm),
		CName:    krbmsg.NewName(krbmsg.NTPrincipal, cn.Components...),
		AuthTime: now,
		EndTime:  now + 8*3600,
	}
	if r.Edit != nil {
		r.Edit(&part)
	}
	key := r.Key(service)
	ticket := krbmsg.Ticket{
		Realm: []byte(sn.Realm),
		SName: krbmsg.NewName(krbmsg.NTPrincipal, sn.Components...),
		EncPart: krbmsg.EncryptedData{Etype: int32(key.Enctype()), Kvno: krbmsg.Some(uint32(1)),
			Cipher: key.Encrypt(nil, krbcrypto.UsageTicket, krbmsg.Marshal(&part))},
	}
	return &stream.Credentials{
		Client: part.CName,
		Realm:  cn.Realm,
		Server: service,
		Ticket: krbmsg.Marshal(&ticket),
		Key:    session,
		End:    time.Unix(part.EndTime, 0),
	}
}

// Keytab returns the keys of one service.
func (r *Realm) Keytab(service string) stream.Keys { return keytab{r, service} }

type keytab struct {
	realm   *Realm
	service string
}

// Keys implements stream.Keys.
func (k keytab) Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key {
	key := k.realm.Key(k.service)
	if service != k.service || kvno > 1 || e != key.Enctype() {
		return nil
	}
	return []*krbcrypto.Key{key}
}

// Acceptor returns an acceptor for service that allows the given clients.
func (r *Realm) Acceptor(service string, allow ...string) *stream.Acceptor {
	return &stream.Acceptor{Keys: r.Keytab(service), Allow: func(client string) bool {
		for _, a := range allow {
			if a == client {
				return true
			}
		}
		return false
	}}
}

// Pair returns both ends of an authenticated stream over a net.Pipe.
func (r *Realm) Pair(t testing.TB, client, service string) (initiator, acceptor *stream.Conn) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		var err error
		acceptor, err = r.Acceptor(service, client).Accept(t.Context(), far)
		done <- err
	}()
	initiator, err := stream.Initiate(t.Context(), near, r.Credentials(client, service))
	if err2 := <-done; err != nil || err2 != nil {
		t.Fatalf("handshake: %v; %v", err, err2)
	}
	t.Cleanup(func() { _ = initiator.Close(); _ = acceptor.Close() })
	return initiator, acceptor
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
