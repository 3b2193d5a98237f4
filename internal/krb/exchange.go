package krb

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// etypes are those that both gokrb5 and package stream take, in MIT's order of preference.
var etypes = []krbcrypto.Enctype{
	krbcrypto.ETypeAES256SHA1, krbcrypto.ETypeAES128SHA1,
	krbcrypto.ETypeAES256SHA2, krbcrypto.ETypeAES128SHA2,
}

// KDCError is a KRB-ERROR from a KDC.
type KDCError struct {
	Code int32  // RFC 4120 section 7.5.9
	Name string // number, name and meaning of the code
}

func (e *KDCError) Error() string { return "KDC says " + e.Name }

// wrongKey tells whether another version of the client's key may help.
func wrongKey(err error) bool {
	var ke *KDCError
	return errors.As(err, &ke) && ke.Code == errorcode.KDC_ERR_PREAUTH_FAILED || errors.Is(err, errOpenReply)
}

// errSkew means a reply that is right, of a KDC whose clock is too far from ours.
var errSkew = errors.New("clock skew too great")

// errOpenReply means an AS-REP that does not open with our key, or is not what was asked for.
var errOpenReply = errors.New("reply does not open with the keytab's key or is not the one asked for")

// exchange is one AS and one TGS exchange with one KDC.
type exchange struct {
	client, server dumpfmt.Name
	kvno           uint32
	keytab         *Keytab
	skew           time.Duration
	ask            func(req []byte) ([]byte, error)

	conf *config.Config
	kt   *keytab.Keytab // the client's keys of version kvno
}

func (x *exchange) run() (t *Ticket, err error) {
	err = guard(func() error {
		if err := x.prepare(); err != nil {
			return err
		}
		tgt, key, err := x.as()
		if err != nil {
			return err
		}
		t, err = x.tgs(tgt, key)
		return err
	})
	return t, err
}

// prepare reads the keytab once more, for gokrb5, and builds its configuration.
func (x *exchange) prepare() error {
	st, err := os.Stat(x.keytab.path)
	if err != nil {
		return err
	}
	kt, err := parseFile(x.keytab.path, st)
	if err != nil {
		return fmt.Errorf("keytab %q: %w", x.keytab.path, err)
	}
	all := kt.Entries
	kt.Entries = kt.Entries[:0:0]
	var have []int32
	for _, want := range etypes {
		for _, e := range all {
			name := dumpfmt.Name{Realm: e.Principal.Realm, Components: e.Principal.Components}
			if e.KVNO == x.kvno && e.Key.KeyType == int32(want) && name.String() == x.client.String() {
				kt.Entries = append(kt.Entries, e)
				have = append(have, e.Key.KeyType)
				break
			}
		}
	}
	if len(have) == 0 {
		return ErrNoEntry
	}
	x.kt = kt

	c := config.New()
	c.LibDefaults.DefaultRealm = x.client.Realm
	c.LibDefaults.DNSLookupKDC = false
	c.LibDefaults.DefaultTktEnctypeIDs = have
	c.LibDefaults.DefaultTGSEnctypeIDs = nil
	for _, e := range etypes {
		c.LibDefaults.DefaultTGSEnctypeIDs = append(c.LibDefaults.DefaultTGSEnctypeIDs, int32(e))
	}
	if x.skew > 0 {
		c.LibDefaults.Clockskew = x.skew
	}
	x.conf = c
	return nil
}

func principal(n dumpfmt.Name, nameType int32) types.PrincipalName {
	return types.PrincipalName{NameType: nameType, NameString: n.Components}
}

// as gets a ticket-granting ticket.
func (x *exchange) as() (messages.Ticket, types.EncryptionKey, error) {
	req, err := messages.NewASReqForTGT(x.client.Realm, x.conf, principal(x.client, nametype.KRB_NT_PRINCIPAL))
	if err != nil {
		return messages.Ticket{}, types.EncryptionKey{}, fmt.Errorf("AS-REQ: %w", err)
	}
	raw, kerr, err := x.send(&req)
	if kerr != nil && kerr.ErrorCode == errorcode.KDC_ERR_PREAUTH_REQUIRED {
		if err := x.preauth(&req, kerr.EData); err != nil {
			return messages.Ticket{}, types.EncryptionKey{}, err
		}
		raw, kerr, err = x.send(&req)
	}
	if err == nil && kerr != nil {
		err = kdcError(kerr)
	}
	if err != nil {
		return messages.Ticket{}, types.EncryptionKey{}, fmt.Errorf("AS exchange of %q: %w", x.client, err)
	}
	var rep messages.ASRep
	if err := rep.Unmarshal(raw); err != nil {
		return messages.Ticket{}, types.EncryptionKey{}, errors.New("AS-REP does not parse")
	}
	creds := credentials.New("", x.client.Realm).WithKeytab(x.kt)
	if ok, err := rep.Verify(x.conf, creds, req); !ok || err != nil {
		part := &rep.DecryptedEncPart // empty if it did not open
		if off := time.Until(part.AuthTime).Round(time.Second); part.Nonce == req.ReqBody.Nonce && !part.AuthTime.IsZero() && off.Abs() > x.conf.LibDefaults.Clockskew {
			return messages.Ticket{}, types.EncryptionKey{}, fmt.Errorf("AS-REP: this host's clock differs from the KDC's by %v: %w", -off, errSkew)
		}
		return messages.Ticket{}, types.EncryptionKey{}, fmt.Errorf("AS-REP: %w", errOpenReply)
	}
	return rep.Ticket, rep.DecryptedEncPart.Key, nil
}

// preauth adds an encrypted time stamp with the first key that the KDC's etype-info2 names and
// the keytab has.
func (x *exchange) preauth(req *messages.ASReq, edata []byte) error {
	var offered []int32
	var pas types.PADataSequence
	if err := pas.Unmarshal(edata); err != nil {
		return errors.New("METHOD-DATA of the KDC does not parse")
	}
	for _, pa := range pas {
		if pa.PADataType == patype.PA_ETYPE_INFO2 {
			info, err := pa.GetETypeInfo2()
			if err != nil {
				return errors.New("ETYPE-INFO2 of the KDC does not parse")
			}
			for _, i := range info {
				offered = append(offered, i.EType)
			}
		}
	}
	offered = append(offered, x.conf.LibDefaults.DefaultTktEnctypeIDs...)
	for _, want := range offered {
		for _, e := range x.kt.Entries {
			if e.Key.KeyType != want {
				continue
			}
			ts, err := types.GetPAEncTSEncAsnMarshalled()
			if err != nil {
				return fmt.Errorf("PA-ENC-TIMESTAMP: %w", err)
			}
			enc, err := crypto.GetEncryptedData(ts, e.Key, keyusage.AS_REQ_PA_ENC_TIMESTAMP, int(x.kvno))
			if err != nil {
				return fmt.Errorf("PA-ENC-TIMESTAMP: %w", err)
			}
			value, err := enc.Marshal()
			if err != nil {
				return fmt.Errorf("PA-ENC-TIMESTAMP: %w", err)
			}
			req.PAData = types.PADataSequence{{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: value}}
			return nil
		}
	}
	return ErrNoEntry
}

// tgs gets the service ticket.
func (x *exchange) tgs(tgt messages.Ticket, key types.EncryptionKey) (*Ticket, error) {
	req, err := messages.NewTGSReq(principal(x.client, nametype.KRB_NT_PRINCIPAL), x.client.Realm, x.conf, tgt, key,
		principal(x.server, nametype.KRB_NT_SRV_HST), false)
	if err != nil {
		return nil, fmt.Errorf("TGS-REQ: %w", err)
	}
	raw, kerr, err := x.send(&req)
	if err == nil && kerr != nil {
		err = kdcError(kerr)
	}
	if err != nil {
		return nil, fmt.Errorf("TGS exchange: %w", err)
	}
	var rep messages.TGSRep
	if err := rep.Unmarshal(raw); err != nil {
		return nil, errors.New("TGS-REP does not parse")
	}
	if err := rep.DecryptEncPart(key); err != nil {
		return nil, fmt.Errorf("TGS-REP: %w", errOpenReply)
	}
	if ok, err := rep.Verify(x.conf, req); !ok || err != nil {
		return nil, errors.New("TGS-REP is not the one asked for, or the KDC's clock differs too much")
	}
	// gokrb5 does not compare the names, and would encode the ticket again.
	var own krbmsg.KDCRep
	if err := own.Parse(raw); err != nil {
		return nil, fmt.Errorf("TGS-REP: %w", err)
	}
	part := rep.DecryptedEncPart
	if !own.Ticket.SName.Is(x.server.Components...) || string(own.Ticket.Realm) != x.server.Realm ||
		!part.SName.Equal(principal(x.server, 0)) {
		return nil, errors.New("TGS-REP is for another service")
	}
	session, err := krbcrypto.NewKey(krbcrypto.Enctype(part.Key.KeyType), part.Key.KeyValue)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	return &Ticket{Client: x.client, Service: x.server.String(), Raw: own.Ticket.Raw, Key: session, End: part.EndTime}, nil
}

// send encodes and sends a request. The reply is raw, or a KRB-ERROR.
func (x *exchange) send(req interface{ Marshal() ([]byte, error) }) ([]byte, *messages.KRBError, error) {
	b, err := req.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("encode: %w", err)
	}
	raw, err := x.ask(b)
	if err != nil {
		return nil, nil, err
	}
	var kerr messages.KRBError
	if err := kerr.Unmarshal(raw); err == nil {
		return nil, &kerr, nil
	}
	return raw, nil, nil
}

func kdcError(e *messages.KRBError) error {
	return &KDCError{Code: e.ErrorCode, Name: errorcode.Lookup(e.ErrorCode)}
}
