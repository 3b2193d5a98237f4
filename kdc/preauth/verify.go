package preauth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
)

// statusFailed is the e-text of every failed verification.
const statusFailed = "PREAUTH_FAILED"

// maxVerified is how many elements of padata are tried in one request. MIT krb5 tries all,
// so that one request can cost hundreds of decryptions; no client sends more than three.
const maxVerified = 16

// Context is what verification needs of an AS exchange.
type Context struct {
	Realm   *realm.Realm
	Client  *realm.Entry
	Key     *realm.Key   // the client's for this request, nil if none fits
	TGT     *realm.Entry // of the realm: its keys seal what the client is to bring back
	Body    *krbmsg.KDCReqBody
	RawBody []byte // the octets of Body as received
	PAData  []krbmsg.PAData
	Now     time.Time
	Armor   *krbcrypto.Key // nil outside FAST
}

// Result is what verification achieved.
type Result struct {
	PreAuth    bool
	HWAuth     bool
	Wrong      bool            // an element was wrong: a guess at the key, if the whole is refused
	Indicators []string        // authentication indicators the mechanism asserts
	Reply      []krbmsg.PAData // to be added to the reply
	ReplyKey   *krbcrypto.Key  // replaces the client's key for the reply, if not nil
}

// mechanism verifies one type of padata.
type mechanism struct {
	name   string // as logs have it
	verify func(c *Context, value []byte) (*Result, *exchange.Refusal)
	on     func(c *Context) bool // whether it is configured; nil: always
	costly bool                  // only the first element of a request is looked at
}

var mechanisms = map[int32]mechanism{
	krbmsg.PAEncTimestamp:  {name: "encrypted_timestamp", verify: encTimestamp, on: func(c *Context) bool { return !c.Realm.NoTimestamp }},
	krbmsg.PAEncryptedChal: {name: "encrypted_challenge", verify: encChallenge, on: func(c *Context) bool { return !c.Realm.NoChallenge }},
	krbmsg.PASPAKE:         {name: "spake", verify: verifySPAKE, on: useSPAKE, costly: true},
}

// Verify tries the padata of a request in order. Success of any element makes the whole
// succeed. If all failed, the first failure with data for the client is reported, that of SPAKE's
// challenge for instance, and if there is none the last, as in MIT krb5. A request without any
// known padata is neither: the Result is empty. notes are lines for the log.
func Verify(c *Context, padata []krbmsg.PAData) (res Result, notes []string, refusal *exchange.Refusal) {
	tried := 0
	var seen []int32
	for _, pa := range padata {
		m, known := mechanisms[pa.Type]
		if !known || m.on != nil && !m.on(c) || tried == maxVerified || m.costly && slices.Contains(seen, pa.Type) {
			continue
		}
		tried++
		if m.costly {
			seen = append(seen, pa.Type)
		}
		got, fail := m.verify(c, pa.Value)
		if fail != nil {
			fail = filter(fail)
			notes = append(notes, fmt.Sprintf("preauth (%s) verify failure: %s", m.name, krbmsg.ErrorText(fail.Code)))
			res.Wrong = res.Wrong || fail.Code == krbmsg.ErrPreauthFailed || fail.Code == krbmsg.ErrBadIntegrity
			if refusal == nil || refusal.PAData == nil {
				refusal = fail
			}
			continue
		}
		res.PreAuth = res.PreAuth || got.PreAuth
		res.HWAuth = res.HWAuth || got.HWAuth
		res.Indicators = append(res.Indicators, got.Indicators...)
		for _, r := range got.Reply { // the last of a mechanism replaces others
			res.Reply = append(slices.DeleteFunc(res.Reply, func(p krbmsg.PAData) bool { return p.Type == r.Type }), r)
		}
		if got.ReplyKey != nil {
			res.ReplyKey = got.ReplyKey
		}
	}
	if res.PreAuth {
		refusal = nil
	}
	return res, notes, refusal
}

// filter lets through the codes that mean something to clients and turns all others into
// PREAUTH_FAILED.
func filter(r *exchange.Refusal) *exchange.Refusal {
	switch c := r.Code; {
	case c == krbmsg.ErrEtypeNoSupp, c == krbmsg.ErrPreauthRequired, c == krbmsg.ErrBadIntegrity,
		c == krbmsg.ErrSkew, c >= 62 && c <= 66, c >= 70 && c <= 81 && c != 76,
		c == krbmsg.ErrMorePreauthData, c == krbmsg.ErrNoAcceptableKDF, r.Silent:
	default:
		r.Code = krbmsg.ErrPreauthFailed
	}
	r.Status = statusFailed
	return r
}

func failed(err error) *exchange.Refusal {
	return exchange.Refuse(krbmsg.ErrPreauthFailed, statusFailed).Because(err)
}

var errNoKeyFits = errors.New("no key of the client decrypts it")

// encTimestamp verifies PA-ENC-TIMESTAMP (section 4.5). All current keys of the enctype that
// was sent are tried, whatever the request's list says. There is no replay check: the
// lookaside cache answers retransmissions, and the same timestamp in another message is
// accepted, as in MIT krb5.
func encTimestamp(c *Context, value []byte) (*Result, *exchange.Refusal) {
	var ed krbmsg.EncryptedData
	if err := ed.Parse(value); err != nil {
		return nil, failed(err)
	}
	for _, k := range c.Client.Current() {
		if int32(k.Etype) != ed.Etype {
			continue
		}
		key, err := k.Open()
		if err != nil {
			return nil, failed(err)
		}
		plain, err := key.Decrypt(nil, krbcrypto.UsagePAEncTS, ed.Cipher)
		if err != nil {
			continue
		}
		if r := c.checkTime(plain); r != nil {
			return nil, r
		}
		return &Result{PreAuth: true}, nil
	}
	return nil, failed(errNoKeyFits)
}

// checkTime checks a decrypted PA-ENC-TS-ENC against the clock.
func (c *Context) checkTime(plain []byte) *exchange.Refusal {
	var ts krbmsg.PAEncTSEnc
	if err := ts.Parse(plain); err != nil {
		return failed(err)
	}
	if d := ts.Time - c.Now.Unix(); d > c.Realm.ClockSkew || d < -c.Realm.ClockSkew {
		return exchange.Refuse(krbmsg.ErrSkew, statusFailed).Becausef("client's clock is %d s ahead", d)
	}
	return nil
}

// encChallenge verifies PA-ENCRYPTED-CHALLENGE (section 4.6, RFC 6113 section 5.4.6), which
// exists only inside FAST: the timestamp is sealed in the client's key combined with the
// armor key, and the KDC answers in kind.
func encChallenge(c *Context, value []byte) (*Result, *exchange.Refusal) {
	if c.Armor == nil {
		return nil, failed(errors.New("encrypted challenge without FAST"))
	}
	var ed krbmsg.EncryptedData
	if err := ed.Parse(value); err != nil {
		return nil, failed(err)
	}
	for _, k := range c.Client.Current() {
		if !requested(c.Body.Etypes, k.Etype) {
			continue
		}
		long, err := k.Open()
		if err != nil {
			return nil, failed(err)
		}
		challenge, err := krbcrypto.CF2(c.Armor, long, "clientchallengearmor", "challengelongterm")
		if err != nil {
			return nil, failed(err)
		}
		if ed.Etype != int32(challenge.Enctype()) {
			continue
		}
		plain, err := challenge.Decrypt(nil, krbcrypto.UsageECClient, ed.Cipher)
		if err != nil {
			continue
		}
		if r := c.checkTime(plain); r != nil {
			return nil, r
		}
		return c.challengeReply(long)
	}
	return nil, failed(errNoKeyFits)
}

// challengeReply proves to the client that this KDC knows the key as well.
func (c *Context) challengeReply(long *krbcrypto.Key) (*Result, *exchange.Refusal) {
	key, err := krbcrypto.CF2(c.Armor, long, "kdcchallengearmor", "challengelongterm")
	if err != nil {
		return nil, failed(err)
	}
	ts := krbmsg.PAEncTSEnc{Time: c.Now.Unix(), Usec: krbmsg.Some(int32(c.Now.Nanosecond() / 1000))}
	ed := krbmsg.EncryptedData{
		Etype:  int32(key.Enctype()),
		Cipher: key.Encrypt(nil, krbcrypto.UsageECKDC, krbmsg.Marshal(ts)),
	}
	res := &Result{PreAuth: true}
	res.Reply = []krbmsg.PAData{{Type: krbmsg.PAEncryptedChal, Value: krbmsg.Marshal(ed)}}
	if ind := c.Realm.ECIndicator; ind != "" {
		res.Indicators = []string{ind}
	}
	return res, nil
}

func requested(etypes []int32, e krbcrypto.Enctype) bool {
	for _, n := range etypes {
		if n == int32(e) {
			return true
		}
	}
	return false
}
