package preauth

import (
	"encoding/binary"
	"errors"
	"fmt"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
)

// A cookie carries what a mechanism wants back with the client's next message, so that the KDC
// keeps nothing and any KDC of the realm can go on (section 4.6). Its form is MIT krb5's:
//
//	"MIT1" | version of the krbtgt key, 4 bytes, big end first | ciphertext of a SecureCookie
//
// The key comes of the first krbtgt key of that version and the name of the client as it was
// requested: a cookie of one client is nothing in the hands of another. Without state it is
// "MIT".
const (
	plainCookie  = "MIT"
	secureCookie = "MIT1"
)

// cookieLife is how long a cookie is good, seconds.
const cookieLife = 600

// Cookie is the PA-FX-COOKIE of a KDC that has nothing to remember.
func Cookie() krbmsg.PAData {
	return krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: []byte(plainCookie)}
}

// hasCookie reports whether the request brought any cookie.
func (c *Context) hasCookie() bool {
	_, ok := krbmsg.FindPA(c.PAData, krbmsg.PAFXCookie)
	return ok
}

// cookieKey derives the key of a cookie.
func (c *Context) cookieKey(k *realm.Key) (*krbcrypto.Key, error) {
	tgt, err := k.Open()
	if err != nil {
		return nil, err
	}
	client := exchange.Principal{Name: c.Body.CName.V, Realm: c.Body.Realm}
	seed := tgt.PRFPlus([]byte("COOKIE"+client.String()), krbcrypto.SeedBytes(tgt.Enctype()))
	defer clear(seed)
	return krbcrypto.KeyFromSeed(tgt.Enctype(), seed)
}

// sealCookie makes a cookie of what a mechanism wants back.
func (c *Context) sealCookie(state krbmsg.PAData) (krbmsg.PAData, error) {
	plain := krbmsg.Marshal(krbmsg.SecureCookie{Time: c.Now.Unix(), Data: []krbmsg.PAData{state}})
	defer clear(plain)
	return c.sealBytes(plain)
}

func (c *Context) sealBytes(plain []byte) (krbmsg.PAData, error) {
	if c.TGT == nil {
		return krbmsg.PAData{}, errors.New("no krbtgt entry to seal a cookie with")
	}
	k, err := c.TGT.First()
	if err != nil {
		return krbmsg.PAData{}, err
	}
	key, err := c.cookieKey(k)
	if err != nil {
		return krbmsg.PAData{}, err
	}
	value := binary.BigEndian.AppendUint32([]byte(secureCookie), k.Kvno)
	return krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: key.Encrypt(value, krbcrypto.UsageCookie, plain)}, nil
}

var errCookie = errors.New("no cookie that this realm made for this client lately")

// openCookie returns what a mechanism wanted back. The error is errCookie, with a cause if there
// is one: a cookie that does not open counts as none.
func (c *Context) openCookie(paType int32) ([]byte, error) {
	value, _ := krbmsg.FindPA(c.PAData, krbmsg.PAFXCookie)
	head := len(secureCookie) + 4
	if len(value) < head || string(value[:len(secureCookie)]) != secureCookie || c.TGT == nil {
		return nil, errCookie
	}
	k, err := c.TGT.FirstOf(binary.BigEndian.Uint32(value[len(secureCookie):]))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCookie, err)
	}
	key, err := c.cookieKey(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCookie, err)
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageCookie, value[head:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCookie, err)
	}
	var sc krbmsg.SecureCookie
	if err := sc.Parse(plain); err != nil {
		return nil, fmt.Errorf("%w: %w", errCookie, err)
	}
	if age := c.Now.Unix() - sc.Time; age > cookieLife || age < -c.Realm.ClockSkew {
		return nil, fmt.Errorf("%w: %d s old", errCookie, age)
	}
	state, ok := krbmsg.FindPA(sc.Data, paType)
	if !ok {
		return nil, errCookie
	}
	return state, nil
}
