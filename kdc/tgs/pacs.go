package tgs

import (
	"bytes"
	"errors"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// oldTGTKvnos is how many krbtgt versions before the current one may have signed a PAC.
const oldTGTKvnos = 2

// checkHeaderPAC is row 5.
func checkHeaderPAC(s *state) *exchange.Refusal {
	p, refusal := s.verifiedPAC(s.header, s.hServer, "HEADER_PAC")
	s.hPAC = p
	return refusal
}

// verifiedPAC returns the PAC of a ticket with every signature checked, nil if it has none
// (section 6.3). Tickets for a TGS carry the server signature only that counts here.
func (s *state) verifiedPAC(t *ticket.Opened, server *realm.Entry, status string) (*pac.PAC, *exchange.Refusal) {
	p, err := pac.Contained(t.Part.AuthData)
	if err == nil && p != nil {
		if server.IsTGS() {
			err = p.VerifyServer(t.Key)
		} else {
			err = p.VerifyService(&t.Part, t.Key, s.pacKeys(server))
		}
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, pac.ErrMissing), errors.Is(err, pac.ErrMalformed):
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	return nil, exchange.Refuse(krbmsg.ErrModified, status).Because(err)
}

// pacKeys returns the keys that may have made the KDC's signatures in a service ticket, the
// current one first.
func (s *state) pacKeys(server *realm.Entry) []*krbcrypto.Key {
	var keys []*krbcrypto.Key
	wanted := server.Attr("pac_privsvr_enctype")
	for i := uint32(0); i <= oldTGTKvnos && i < s.tgtKey.Kvno; i++ {
		k, err := s.tgt.FirstOf(s.tgtKey.Kvno - i)
		if err != nil {
			continue
		}
		tgt, err := k.Open()
		if err != nil {
			continue
		}
		if key, err := pac.KDCKey(tgt, wanted); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// matchesPAC reports whether the client and time in a PAC are those of its ticket.
func matchesPAC(p *pac.PAC, part *krbmsg.EncTicketPart) error {
	info, err := p.Find(pac.TypeClientInfo)
	if err != nil {
		return err
	}
	want, err := pac.ClientInfo(part.CName, part.AuthTime)
	if err != nil {
		return err
	}
	if !bytes.Equal(info.Data, want) {
		return errors.New("client of the PAC is not that of the ticket")
	}
	return nil
}
