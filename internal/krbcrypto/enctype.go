package krbcrypto

// Enctype is a Kerberos encryption type number (IANA registry "Kerberos Encryption Type
// Numbers"). Any int32 may arrive from the wire; Supported says which are implemented.
type Enctype int32

// Encryption types with a name of their own in MIT's configuration.
const (
	ETypeDES3        Enctype = 16 // des3-cbc-sha1, RFC 3961
	ETypeAES128SHA1  Enctype = 17 // aes128-cts-hmac-sha1-96, RFC 3962
	ETypeAES256SHA1  Enctype = 18 // aes256-cts-hmac-sha1-96, RFC 3962
	ETypeAES128SHA2  Enctype = 19 // aes128-cts-hmac-sha256-128, RFC 8009
	ETypeAES256SHA2  Enctype = 20 // aes256-cts-hmac-sha384-192, RFC 8009
	ETypeRC4         Enctype = 23 // arcfour-hmac, RFC 4757
	ETypeRC4Exp      Enctype = 24 // arcfour-hmac-exp: 40-bit keys
	ETypeCamellia128 Enctype = 25 // camellia128-cts-cmac, RFC 6803
	ETypeCamellia256 Enctype = 26 // camellia256-cts-cmac, RFC 6803
)

// Supported reports whether keys of type e can be used.
func Supported(e Enctype) bool { return suiteOf(e) != nil }

// KeyBytes returns the length of a key of type e in bytes, 0 if e is not supported.
func KeyBytes(e Enctype) int {
	if s := suiteOf(e); s != nil {
		return s.keyBytes
	}
	return 0
}

// SeedBytes returns the length of the seed that KeyFromSeed takes for type e, 0 if e is not
// supported.
func SeedBytes(e Enctype) int {
	if s := suiteOf(e); s != nil {
		return s.seedBytes
	}
	return 0
}
