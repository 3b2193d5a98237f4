package sim

import (
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/stream"
)

// keytab is what a machine has of the keys of its service. The KDC's is always the newest.
type keytab struct {
	h    *host
	keys []*krbcrypto.Key
}

// Keys implements stream.Keys.
func (k *keytab) Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key {
	k.h.w.mu.Lock()
	defer k.h.w.mu.Unlock()
	if service != principal(k.h.name) || kvno > 1 || e != krbcrypto.ETypeAES256SHA1 {
		return nil
	}
	return k.keys
}

// learn writes the newest key to the keytab; the ones before stay.
func (k *keytab) learn() {
	key := k.h.realm.Key(principal(k.h.name))
	k.h.w.mu.Lock()
	defer k.h.w.mu.Unlock()
	k.keys = append([]*krbcrypto.Key{key}, k.keys...)
}

// changeKey gives a machine's service a new key, which its keytab has at once or after a while.
func (h *host) changeKey(x uint64, lag time.Duration) {
	h.realm.Rotate(principal(h.name))
	if x%2 == 0 {
		h.keytab.learn()
		return
	}
	h.w.after(lag, "keytab of "+h.name, h.keytab.learn)
}

// acceptor lets clients connect to a machine's service.
func (h *host) acceptor(allow func(client string) bool) *stream.Acceptor {
	return &stream.Acceptor{Keys: h.keytab, Allow: allow, Now: h.clock}
}
