package ticket

import (
	"errors"
	"fmt"

	"krealm/internal/der"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
)

// Seal encrypts the parts of a ticket. kvno is absent for user-to-user tickets, which are
// sealed in a session key.
func Seal(name krbmsg.PrincipalName, realmName []byte, part *krbmsg.EncTicketPart,
	key *krbcrypto.Key, kvno krbmsg.Opt[uint32]) krbmsg.Ticket {
	w := der.NewWriter(1024)
	part.AppendTo(w)
	t := krbmsg.Ticket{Realm: realmName, SName: name}
	t.EncPart = krbmsg.EncryptedData{
		Etype:  int32(key.Enctype()),
		Kvno:   kvno,
		Cipher: key.Encrypt(nil, krbcrypto.UsageTicket, w.Bytes()),
	}
	return t
}

// Errors of Open beside realm.ErrNoKey.
var (
	ErrIntegrity = errors.New("ticket does not decrypt")
	ErrMalformed = errors.New("ticket is malformed, decrypted or before")
)

// oldKvnos is how many versions below the current one are tried for a ticket that does not
// say which key seals it.
const oldKvnos = 2

// Opened is a ticket with its plaintext and the key that opened it.
type Opened struct {
	Part krbmsg.EncTicketPart
	Key  *krbcrypto.Key
	Kvno uint32
}

// Open decrypts a ticket of a server entry (section 3.2). A ticket for the realm's own TGS is
// opened only with the first key of its version: nothing else was ever used to make one.
// Errors are realm.ErrNoKey, those of the master key, ErrIntegrity and ErrMalformed.
func Open(t *krbmsg.Ticket, server *realm.Entry) (*Opened, error) {
	current := uint32(server.CurrentKvno())
	kvno := t.EncPart.Kvno.V
	if kvno != 0 {
		return openWith(t, server, kvno)
	}
	o, err := openWith(t, server, current)
	for i := uint32(1); err != nil && i <= oldKvnos && i < current; i++ {
		var older error
		if o, older = openWith(t, server, current-i); older == nil {
			return o, nil
		}
	}
	return o, err
}

func openWith(t *krbmsg.Ticket, server *realm.Entry, kvno uint32) (*Opened, error) {
	et := krbcrypto.Enctype(t.EncPart.Etype)
	k, err := server.Find(kvno, et)
	if server.IsLocalTGS() {
		k, err = server.FirstOf(kvno)
		if err == nil && k.Etype != et {
			err = fmt.Errorf("%s, key version %d is not %v: %w", server.Name, kvno, et, realm.ErrNoKey)
		}
	}
	if err != nil {
		return nil, err
	}
	key, err := k.Open()
	if err != nil {
		return nil, err
	}
	return Decrypt(t, key, kvno)
}

// Decrypt opens a ticket with a key that is known to be the right one.
func Decrypt(t *krbmsg.Ticket, key *krbcrypto.Key, kvno uint32) (*Opened, error) {
	if t.EncPart.Etype != int32(key.Enctype()) {
		return nil, ErrIntegrity
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageTicket, t.EncPart.Cipher)
	switch {
	case errors.Is(err, krbcrypto.ErrLength):
		return nil, errors.Join(ErrMalformed, err)
	case err != nil:
		return nil, ErrIntegrity
	}
	o := &Opened{Key: key, Kvno: kvno}
	if err := o.Part.Parse(plain); err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	return o, nil
}
