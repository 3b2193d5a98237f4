package fast

import (
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

// Strengthen makes a strengthen key and the reply key that follows from it: even a client key
// that leaks does not open the reply without the armor. Errors come from keys whose types
// cannot be combined, which the realm's settings exclude.
func Strengthen(reply *krbcrypto.Key) (strengthen, strengthened *krbcrypto.Key, err error) {
	strengthen, err = krbcrypto.RandomKey(reply.Enctype())
	if err != nil {
		return nil, nil, err
	}
	strengthened, err = krbcrypto.CF2(strengthen, reply, "strengthenkey", "replykey")
	return strengthen, strengthened, err
}

// Reply is the padata of an armored reply: everything the reply says besides the ticket,
// and a checksum that binds the ticket to it. encodedTicket are the ticket's octets.
func (a *Armor) Reply(padata []krbmsg.PAData, strengthen *krbcrypto.Key, encodedTicket []byte,
	client exchange.Principal, nonce int64, now time.Time) krbmsg.PAData {
	resp := krbmsg.FastResponse{
		PAData:     padata,
		Strengthen: krbmsg.Some(krbmsg.EncryptionKey{Etype: int32(strengthen.Enctype()), Value: strengthen.Bytes()}),
		Finished: krbmsg.Some(krbmsg.FastFinished{
			Time:   now.Unix(),
			Usec:   int32(now.Nanosecond() / 1000),
			CRealm: client.Realm,
			CName:  client.Name,
			Checksum: krbmsg.Checksum{
				Type: a.Key.ChecksumType(),
				Sum:  a.Key.Checksum(nil, krbcrypto.UsageFASTFinished, encodedTicket),
			},
		}),
		Nonce: nonce,
	}
	return a.seal(&resp)
}

// ErrorData is the e-data of an error inside FAST: METHOD-DATA whose only element holds the
// hints and the error itself, with the client's true name and without e-data.
func (a *Armor) ErrorData(hints krbmsg.MethodData, inner *krbmsg.KRBError, nonce int64) []byte {
	bare := *inner
	bare.EData = nil
	resp := krbmsg.FastResponse{
		PAData: append(hints[:len(hints):len(hints)], krbmsg.PAData{Type: krbmsg.PAFXError, Value: krbmsg.Marshal(&bare)}),
		Nonce:  nonce,
	}
	return krbmsg.Marshal(krbmsg.MethodData{a.seal(&resp)})
}

func (a *Armor) seal(resp *krbmsg.FastResponse) krbmsg.PAData {
	arep := krbmsg.FastArmoredRep{EncFastRep: krbmsg.EncryptedData{
		Etype:  int32(a.Key.Enctype()),
		Cipher: a.Key.Encrypt(nil, krbcrypto.UsageFASTRep, krbmsg.Marshal(resp)),
	}}
	return krbmsg.PAData{Type: krbmsg.PAFXFast, Value: krbmsg.Marshal(&arep)}
}

// RequestChecksum is the encrypted padata of a reply to a client that sent PA-REQ-ENC-PA-REP
// (RFC 6806 section 11): a checksum over its whole request with the key of the reply, and the
// sign that this KDC knows FAST.
func RequestChecksum(reply *krbcrypto.Key, request []byte) []krbmsg.PAData {
	sum := krbmsg.Checksum{
		Type: reply.ChecksumType(),
		Sum:  reply.Checksum(nil, krbcrypto.UsageASReqChecksum, request),
	}
	return []krbmsg.PAData{
		{Type: krbmsg.PAReqEncPARep, Value: krbmsg.Marshal(sum)},
		{Type: krbmsg.PAFXFast, Value: []byte{}},
	}
}
