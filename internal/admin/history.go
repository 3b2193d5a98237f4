package admin

import (
	"errors"
	"fmt"
	"slices"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// firstHistoryKvno is the version that MIT's kadmin/history starts with: its creation
// there makes version 1 and at once a random version 2.
const firstHistoryKvno = 2

// checkHistory refuses new keys (fresh) of which one is a current key of old or, with a history
// above 1, one that old remembers; then it adds old's current keys to the history in data.
func (c *change) checkHistory(ring *mkey.Ring, old *dumpfmt.Principal, fresh []PlainKey, pol *dumpfmt.Policy, data *dumpfmt.KadmData) error {
	hist, histKvno, err := c.historyKeys(ring)
	if err != nil {
		return err
	}
	var entry []dumpfmt.HistKey
	for _, k := range old.Keys {
		if k.Ver == 0 || k.Kvno != old.CurrentKvno() {
			continue
		}
		key, err := ring.OpenKey(old, &k)
		if err != nil {
			return err
		}
		if contains(fresh, key) {
			return fmt.Errorf("%w", ErrReuse)
		}
		k.Sealed = mkey.SealUnder(hist[0], key)
		entry = append(entry, k)
	}
	if pol.History <= 1 {
		return nil
	}
	if data.HistKVNO != histKvno {
		// The key that sealed the list is gone.
		data.History, data.OldKeyNext, data.HistKVNO = nil, 0, histKvno
	}
	for _, past := range data.History {
		for i := range past {
			if key := openHistory(hist, &past[i]); key != nil && contains(fresh, key) {
				return fmt.Errorf("%w", ErrReuse)
			}
		}
	}
	if len(entry) > 0 {
		addHistory(data, entry, int(min(pol.History, maxHistory)))
	}
	return nil
}

// maxHistory bounds the passwords remembered; an entry could not hold more anyway.
const maxHistory = 1 << 10

func contains(keys []PlainKey, k *krbcrypto.Key) bool {
	return slices.ContainsFunc(keys, func(p PlainKey) bool { return p.Key.Equal(k) })
}

// openHistory opens a remembered key with whichever history key fits, nil if none does.
func openHistory(hist []*krbcrypto.Key, k *dumpfmt.HistKey) *krbcrypto.Key {
	for _, hk := range hist {
		if key, err := mkey.OpenSealed(hk, k.Sealed, krbcrypto.Enctype(k.Enctype)); err == nil {
			return key
		}
	}
	return nil
}

// addHistory writes an entry into the ring of size-1 passwords, as MIT krb5
// src/lib/kadm5/srv/svr_principal.c add_to_history does: a ring that has room grows by a slot
// at the next index, one that became too long keeps its newest.
func addHistory(data *dumpfmt.KadmData, entry []dumpfmt.HistKey, size int) {
	n, next := len(data.History), int(data.OldKeyNext)
	if next > n {
		next = n // not written by MIT, but read without harm
	}
	switch {
	case n+1 < size:
		data.History = slices.Insert(data.History, next, nil)
		n++
	case n+1 > size:
		kept := make([][]dumpfmt.HistKey, size-1)
		for i, j := size-2, next; i >= 0; i-- {
			j = (j - 1 + n) % n
			kept[i] = data.History[j]
		}
		data.History, n, next = kept, size-1, 0
	}
	if next >= n {
		next = 0
	}
	data.History[next] = entry
	data.OldKeyNext = uint32((next + 1) % (size - 1))
}

// historyKeys returns the keys of kadmin/history and their version; it makes the entry when it
// is not there yet.
func (c *change) historyKeys(ring *mkey.Ring) ([]*krbcrypto.Key, uint32, error) {
	p, err := c.tx.Principal(c.historyName())
	if errors.Is(err, kdb.ErrNotFound) {
		p, err = c.createHistory(ring)
	}
	if err != nil {
		return nil, 0, err
	}
	plain, err := openKeys(ring, p, ofKvno(p.CurrentKvno()))
	if err != nil {
		return nil, 0, err
	}
	if len(plain) == 0 {
		return nil, 0, fmt.Errorf("%w", ErrBadDB)
	}
	var keys []*krbcrypto.Key
	for _, k := range plain {
		keys = append(keys, k.Key)
	}
	return keys, uint32(plain[0].Kvno), nil
}

// createHistory makes kadmin/history: one random key of the master key's type, and no tickets.
func (c *change) createHistory(ring *mkey.Ring) (*dumpfmt.Principal, error) {
	k, err := krbcrypto.RandomKey(ring.Active(c.at).Key.Enctype())
	if err != nil {
		return nil, err
	}
	sealed, mkvno := ring.Seal(k, c.at)
	p := &dumpfmt.Principal{
		Name:       c.historyName(),
		Attributes: dumpfmt.AttrDisallowAllTix,
		MaxLife:    seconds(c.conf.MaxLife),
		Keys:       []dumpfmt.Key{{Ver: 1, Kvno: firstHistoryKvno, Enctype: int16(k.Enctype()), Sealed: sealed}},
	}
	p.SetLastPwdChange(c.now)
	p.SetMKVNO(mkvno)
	return p, c.put(p)
}
