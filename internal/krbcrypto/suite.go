package krbcrypto

import (
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
)

// suite is what is fixed for an enctype: its sizes and its algorithms. The table of suites
// is built once and never changes.
type suite struct {
	etype      Enctype
	name       string
	keyBytes   int    // protocol key
	seedBytes  int    // input of random-to-key
	confounder int    // random bytes in front of the plaintext
	block      int    // confounder and plaintext are padded to a multiple of this; 1 = no padding
	tag        int    // integrity tag in bytes
	front      int    // how much of the tag stands in front of the message: tag or 0
	sumType    int32  // mandatory checksum type
	sumBytes   int    // and its length
	iterations uint32 // default, and least, string-to-key iterations; 0 = takes none
	profile    profile
}

// profile is the algorithm half of a suite (RFC 3961 section 3). Its methods may assume a
// key of the right length; what they derive is kept by the caller.
type profile interface {
	// sealer returns the message encryption for one usage.
	sealer(k *Key, usage uint32) sealer
	// summer returns the mandatory checksum for one usage.
	summer(k *Key, usage uint32) *summer
	// prf is the enctype's pseudo-random function.
	prf(k *Key, in []byte) []byte
	// randomToKey turns seedBytes random bytes into a key. It may keep the seed.
	randomToKey(seed []byte) []byte
	// stringToKey computes a key from a password; iterations is 0 where none apply.
	stringToKey(s *suite, password, salt []byte, iterations int) ([]byte, error)
}

// sealer encrypts whole messages under keys derived for one usage. It is safe for
// concurrent use.
type sealer interface {
	// seal encrypts in place. msg has the length of the whole ciphertext; its body (what
	// lies between front and the rest of the tag) holds confounder, plaintext and padding.
	seal(msg []byte)
	// open checks and decrypts in place, and returns the part of msg that is plaintext.
	// len(msg) is at least confounder + tag and fits the padding.
	open(msg []byte) (plain []byte, ok bool)
}

// base is what derivation needs of the protocol key itself, computed at the first use:
// many keys, session keys made for somebody else among them, never derive anything.
type base struct {
	block cipher.Block
	mac   mac
}

// suites lists what is implemented, strongest families first.
var suites = []*suite{
	{
		etype: ETypeAES256SHA1, name: "aes256-cts-hmac-sha1-96",
		keyBytes: 32, seedBytes: 32, confounder: blockSize, block: 1, tag: sha1Tag,
		sumType: SumAES256SHA1, sumBytes: sha1Tag, iterations: 4096, profile: aesSHA1{},
	}, {
		etype: ETypeAES128SHA1, name: "aes128-cts-hmac-sha1-96",
		keyBytes: 16, seedBytes: 16, confounder: blockSize, block: 1, tag: sha1Tag,
		sumType: SumAES128SHA1, sumBytes: sha1Tag, iterations: 4096, profile: aesSHA1{},
	}, {
		etype: ETypeAES256SHA2, name: "aes256-cts-hmac-sha384-192",
		keyBytes: 32, seedBytes: 32, confounder: blockSize, block: 1, tag: 24,
		sumType: SumAES256SHA2, sumBytes: 24, iterations: 32768,
		profile: &aesSHA2{kind: hashSHA384, newHash: sha512.New384, tag: 24, prfLen: 48},
	}, {
		etype: ETypeAES128SHA2, name: "aes128-cts-hmac-sha256-128",
		keyBytes: 16, seedBytes: 16, confounder: blockSize, block: 1, tag: 16,
		sumType: SumAES128SHA2, sumBytes: 16, iterations: 32768,
		profile: &aesSHA2{kind: hashSHA256, newHash: sha256.New, tag: 16, prfLen: 32},
	}, {
		etype: ETypeDES3, name: "des3-cbc-sha1",
		keyBytes: des3Key, seedBytes: des3Seed, confounder: des3Block, block: des3Block, tag: sha1.Size,
		sumType: SumHMACSHA1DES3, sumBytes: sha1.Size, profile: des3SHA1{},
	}, {
		etype: ETypeRC4, name: "arcfour-hmac",
		keyBytes: rc4Key, seedBytes: rc4Key, confounder: rc4Confounder, block: 1, tag: rc4Tag, front: rc4Tag,
		sumType: SumHMACMD5, sumBytes: md5.Size, profile: rc4HMAC{},
	}, {
		etype: ETypeRC4Exp, name: "arcfour-hmac-exp",
		keyBytes: rc4Key, seedBytes: rc4Key, confounder: rc4Confounder, block: 1, tag: rc4Tag, front: rc4Tag,
		sumType: SumHMACMD5, sumBytes: md5.Size, profile: rc4HMAC{export: true},
	}, {
		etype: ETypeCamellia128, name: "camellia128-cts-cmac",
		keyBytes: 16, seedBytes: 16, confounder: blockSize, block: 1, tag: blockSize,
		sumType: SumCamellia128, sumBytes: blockSize, iterations: 32768, profile: camelliaCMAC{},
	}, {
		etype: ETypeCamellia256, name: "camellia256-cts-cmac",
		keyBytes: 32, seedBytes: 32, confounder: blockSize, block: 1, tag: blockSize,
		sumType: SumCamellia256, sumBytes: blockSize, iterations: 32768, profile: camelliaCMAC{},
	},
}

// suiteOf returns the suite of an enctype, or nil.
func suiteOf(e Enctype) *suite {
	for _, s := range suites {
		if s.etype == e {
			return s
		}
	}
	return nil
}
