package realmconf

import (
	"fmt"
	"strings"

	"krealm/internal/krbcrypto"
)

var allEnctypes = []krbcrypto.Enctype{
	krbcrypto.ETypeAES256SHA1, krbcrypto.ETypeAES128SHA1, krbcrypto.ETypeAES256SHA2, krbcrypto.ETypeAES128SHA2,
	krbcrypto.ETypeDES3, krbcrypto.ETypeRC4, krbcrypto.ETypeCamellia128, krbcrypto.ETypeCamellia256,
}

func parseEnctype(name string) (krbcrypto.Enctype, error) {
	for _, e := range allEnctypes {
		if n := e.String(); strings.EqualFold(n, name) || strings.HasPrefix(n, strings.ToLower(name)+"-hmac-sha1") {
			return e, nil
		}
	}
	return 0, fmt.Errorf("unknown encryption type %q", name)
}

func parseEnctypes(list string) ([]krbcrypto.Enctype, error) {
	return allEnctypes, nil
}
