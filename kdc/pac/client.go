package pac

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
)

// epochDelta is 1970-01-01 in the seconds that Windows counts from 1601.
const epochDelta = 11644473600

// perSecond is a second in the units of Windows' times.
const perSecond = 10_000_000

// clientHead is the time and the length in front of the name in PAC_CLIENT_INFO.
const clientHead = 10

// ClientInfo encodes PAC_CLIENT_INFO: the time of authentication and the client's name without
// realm and without escapes. A name that is not UTF-8 cannot be written in UTF-16.
func ClientInfo(name krbmsg.PrincipalName, authTime int64) ([]byte, error) {
	return clientInfo(appendPlain(nil, name), authTime)
}

// ClientInfoRealm is ClientInfo with the realm: what a ticket on its way to another realm says
// of a user whose name is not the ticket's own client's (section 6.3). As in MIT krb5 characters
// in it are escaped, but not in an enterprise name.
func ClientInfoRealm(name krbmsg.PrincipalName, realm []byte, authTime int64) ([]byte, error) {
	if name.Type == krbmsg.NTEnterprise {
		return clientInfo(plainWithRealm(name, realm), authTime)
	}
	return clientInfo(name.AppendUnparsed(nil, realm), authTime)
}

func clientInfo(text []byte, authTime int64) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("client name is not UTF-8")
	}
	units := utf16.Encode([]rune(string(text)))
	if len(units) > 0x7fff {
		return nil, errors.New("client name too long for a PAC")
	}
	b := make([]byte, 0, clientHead+2*len(units))
	b = binary.LittleEndian.AppendUint64(b, uint64(authTime+epochDelta)*perSecond)
	b = binary.LittleEndian.AppendUint16(b, uint16(2*len(units)))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b, nil
}

// appendPlain writes a name for display: without realm and escapes.
func appendPlain(dst []byte, name krbmsg.PrincipalName) []byte {
	for i, part := range name.Parts {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = append(dst, part...)
	}
	return dst
}

func plainWithRealm(name krbmsg.PrincipalName, realm []byte) []byte {
	return append(append(appendPlain(nil, name), '@'), realm...)
}

// Plain is a name for display, as PACs have them: without realm and without escapes.
func Plain(name krbmsg.PrincipalName) string { return string(appendPlain(nil, name)) }

// Client returns what PAC_CLIENT_INFO says: the client's name as it is written there, and the
// time of authentication. The errors are ErrMissing and ErrMalformed.
func (p *PAC) Client() (name string, authTime int64, err error) {
	info, err := p.Find(TypeClientInfo)
	if err != nil {
		return "", 0, err
	}
	if len(info.Data) < clientHead {
		return "", 0, fmt.Errorf("%w: client info of %d octets", ErrMalformed, len(info.Data))
	}
	n := int(binary.LittleEndian.Uint16(info.Data[8:]))
	if n%2 != 0 || n > len(info.Data)-clientHead {
		return "", 0, fmt.Errorf("%w: client name of %d octets in %d", ErrMalformed, n, len(info.Data))
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(info.Data[clientHead+2*i:])
	}
	windows := binary.LittleEndian.Uint64(info.Data) / perSecond
	return string(utf16.Decode(units)), int64(windows) - epochDelta, nil
}

// ErrClient means that a PAC is about somebody else, or another login.
var ErrClient = errors.New("client of the PAC is not that of the ticket")

// IsFor checks that a PAC is about a client by the name without realm and the time. The errors
// are ErrClient and those of Client.
func (p *PAC) IsFor(name krbmsg.PrincipalName, authTime int64) error {
	info, err := p.Find(TypeClientInfo)
	if err != nil {
		return err
	}
	want, err := ClientInfo(name, authTime)
	if err != nil || bytes.Equal(info.Data, want) {
		return err
	}
	text, at, err := p.Client()
	// MIT krb5 escapes the name where it writes it, and not where it compares.
	if err == nil && (at != authTime || text != Plain(name) && text != escaped(name)) {
		err = ErrClient
	}
	return err
}

// escaped is a name with escapes, without realm.
func escaped(name krbmsg.PrincipalName) string {
	b := name.AppendUnparsed(nil, nil)
	return string(b[:len(b)-1]) // the @
}

// IsForRealm is IsFor for a name with its realm.
func (p *PAC) IsForRealm(name krbmsg.PrincipalName, realm []byte, authTime int64) error {
	text, at, err := p.Client()
	if err == nil && (at != authTime || text != string(plainWithRealm(name, realm)) && text != name.Unparse(realm)) {
		err = ErrClient
	}
	return err
}

// Principal returns the client of a PAC that names the realm too, and the time. As in MIT krb5
// a name with two @ is an enterprise name, and the type of all is NT-MS-PRINCIPAL. The errors
// are ErrMissing and ErrMalformed.
func (p *PAC) Principal() (name krbmsg.PrincipalName, realm []byte, authTime int64, err error) {
	text, authTime, err := p.Client()
	if err != nil {
		return name, nil, 0, err
	}
	realmless := fmt.Errorf("%w: client name without realm", ErrMalformed)
	switch strings.Count(text, "@") {
	case 1:
		n, err := dumpfmt.ParseName(text, "")
		if err != nil || n.Realm == "" {
			return name, nil, 0, realmless
		}
		return krbmsg.NewName(krbmsg.NTMSPrincipal, n.Components...), []byte(n.Realm), authTime, nil
	case 2:
		i := strings.LastIndexByte(text, '@')
		if i+1 == len(text) || strings.ContainsRune(text, '\\') {
			return name, nil, 0, realmless
		}
		return krbmsg.NewName(krbmsg.NTMSPrincipal, text[:i]), []byte(text[i+1:]), authTime, nil
	}
	return name, nil, 0, realmless
}
