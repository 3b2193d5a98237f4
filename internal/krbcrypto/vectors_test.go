package krbcrypto

import (
	"strings"
	"testing"
)

// More vectors of the documents, and those that MIT krb5 keeps in src/lib/crypto/crypto_tests: made
// by others, at other times, than the ones of TestMIT.

const thirty = "30 bytes bytes bytes bytes byt"

// TestKnownCiphertexts: RFC 6803 section 10 (Camellia), and for the other enctypes MIT's t_decrypt.c.
func TestKnownCiphertexts(t *testing.T) {
	for _, c := range []struct {
		etype       Enctype
		usage       uint32
		plain       string
		key, sealed string
	}{
		{ETypeCamellia128, 0, "", "1dc46a8d763f4f93742bcba3387576c3", "c466f1871069921edb7c6fde244a52db0ba10edc197bdb8006658ca3ccce6eb8"},
		{ETypeCamellia128, 1, "1", "5027bc231d0f3a9d23333f1ca6fdbe7c", "842d21fd950311c0dd464a3f4be8d6da88a56d559c9b47d3f9a85067af661559b8"},
		{ETypeCamellia128, 2, "9 bytesss", "a1bb61e805f9ba6dde8fdbddc05cdea0", "619ff072e36286ff0a28deb3a352ec0d0edf5c5160d663c901758ccf9d1ed33d71db8f23aabf8348a0"},
		{ETypeCamellia128, 3, "13 bytes byte", "2ca27a5faf5532244506434e1cef6676", "b8eca3167ae6315512e59f98a7c500205e5f63ff3bb389af1c41a21d640d8615c9ed3fbeb05ab6acb67689b5ea"},
		{ETypeCamellia128, 4, thirty, "7824f8c16f83ff354c6bf7515b973f43", "a26a3905a4ffd5816b7b1e27380d08090c8ec1f304496e1abdcd2bdcd1dffc660989e117a713ddbb57a4146c1587cba4356665591d2240282f5842b105a5"},
		{ETypeCamellia256, 0, "", "b61c86cc4e5d2757545ad423399fb7031ecab913cbb900bd7a3c6dd8bf92015b", "03886d03310b47a6d8f06d7b94d1dd837ecce315ef652aff620859d94a259266"},
		{ETypeCamellia256, 1, "1", "1b97fe0a190e2021eb30753e1b6e1e77b0754b1d684610355864104963463833", "2c9c1570133c99bf6a34bc1b0212002fd194338749db4135497a347cfcd9d18a12"},
		{ETypeCamellia256, 2, "9 bytesss", "32164c5b434d1d1538e4cfd9be8040fe8c4ac7acc4b93d3314d2133668147a05", "9c6de75f812de7ed0d28b2963557a115640998275b0af5152709913ff52a2a9c8e63b872f92e64c839"},
		{ETypeCamellia256, 3, "13 bytes byte", "b038b132cd8e06612267fab7170066d88aeccba0b744bfc60dc89bca182d0715", "eeec85a9813cdc536772ab9b42defc5706f726e975dde05a87eb5406ea324ca185c9986b42aabe794b84821bee"},
		{ETypeCamellia256, 4, thirty, "ccfcd349bf4c6677e86e4b02b8eab924a546ac731cf9bf6989b996e7d6bfbba7", "0e44680985855f2d1f1812529ca83bfd8e349de6fd9ada0baaa048d68e265febf34ad1255a344999ad37146887a6c6845731ac7f46376a0504cd06571474"},
		{ETypeDES3, 4, thirty, "f11686cbbc9e23ea54fecd2a3dcdfb20b6fe98bf2645c4c4", "89433e83fd0ea3666cffcd18d8deebc53b9a34edbeb159d9f667c6c2b9a964401d55e7e9c68d648d65c3aa84ffa3790c14a864da8073a9a95c4ba2bc"},
		{ETypeRC4, 3, "13 bytes byte", "4ba2fbf0379faed87a254d3b353d5a7e", "612c57568b17a70352bae8cf26fb9459a6f3353cd35fd439db3107cbec765d326dfc04c1dd"},
		{ETypeRC4, 4, thirty, "68f263db3fce15d031c9eab02d67107a", "95f9047c3ad75891c2e9b04b16566dc8b6eb9ce4231afb2542ef87a7b5a0f260a99f0460508de0cecc632d07c354124e46c5d2234eb8"},
		{ETypeRC4Exp, 4, thirty, "9f725542d9f72aa1f386cbe7896984fc", "78b35a08b08be265aeb4145f076513b6b56efed3f7526574af74f7d2f9bae96eabb76f2d87386d2e93e3a77b99919f1d976490e2bd45"},
		{ETypeAES128SHA1, 4, thirty, "dceeb70b3de76562e689226c76429148", "c96081032d5d8eeb7e32b4089f789d0faa481dea74c0f97cbf3146ddfcf8e800156ecb532fc203e30ff600b63b350939fece510f02d7ff1e7bac"},
		{ETypeAES256SHA1, 4, thirty, "f1c795e9248a09338d82c3f8d5b567040b0110736845041347235b1404231398", "d1137a4d634cfece924dbc3bf6790648bd5cff7de0e7b99460211d0daef3d79a295c688858f3b34b9cbd6eebae81daf6b734d4d498b6714f1c1d"},
	} {
		k := mustKey(t, c.etype, unhex(t, c.key))
		got, err := k.Decrypt(nil, c.usage, unhex(t, c.sealed))
		if err != nil || c.etype != ETypeDES3 && string(got) != c.plain || !strings.HasPrefix(string(got), c.plain) {
			t.Errorf("%v, usage %d: %q, %v, want %q", c.etype, c.usage, got, err, c.plain)
		}
	}
}

// TestKnownChecksums: RFC 6803 section 10 (Camellia), and for the others MIT's t_cksums.c.
func TestKnownChecksums(t *testing.T) {
	const exp = "f7d3a155af5e238a0b7a871a96ba2ab2"
	for _, c := range []struct {
		etype     Enctype
		sumType   int32
		usage     uint32
		text      string
		key, want string
	}{
		{0, SumMD5, 0, "two three four five", "", "bab5321551e1084490869635b3c26815"},
		{0, SumSHA1NIST, 0, "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{ETypeDES3, SumHMACSHA1DES3, 2, "six seven", "7a25df8992296dceda0e135bc4046e2375b3c14c98fbc162", "0eefc9c3e049aabc1ba5c401677d9ab699082bb4"},
		{ETypeAES128SHA1, SumAES128SHA1, 3, "eight nine ten eleven twelve thirteen", "9062430c8cda3388922e6d6a509f5b7a", "01a4b088d45628f6946614e3"},
		{ETypeAES256SHA1, SumAES256SHA1, 4, "fourteen", "b1ae4cd8462aff1677053cc9279aac30b796fb81ce21474dd3ddbcfea4ec76d7", "e08739e3279e2903ec8e3836"},
		{ETypeRC4, SumMD5HMACRC4, 5, "fifteen sixteen", exp, "9f41df304907de735447001fd2a197b9"},
		{ETypeRC4, SumHMACMD5, 6, "seventeen eighteen nineteen twenty", exp, "eb38cc97e2230f59da4117dc5859d7ec"},
		{ETypeCamellia128, SumCamellia128, 7, "abcdefghijk", "1dc46a8d763f4f93742bcba3387576c3", "1178e6c5c47a8c1ae0c4b9c7d4eb7b6b"},
		{ETypeCamellia128, SumCamellia128, 8, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "5027bc231d0f3a9d23333f1ca6fdbe7c", "d1b34f7004a731f23a0c00bf6c3f753a"},
		{ETypeCamellia256, SumCamellia256, 9, "123456789", "b61c86cc4e5d2757545ad423399fb7031ecab913cbb900bd7a3c6dd8bf92015b", "87a12cfd2b96214810f01c826e7744b1"},
		{ETypeCamellia256, SumCamellia256, 10, "!@#$%^&*()!@#$%^&*()!@#$%^&*()", "32164c5b434d1d1538e4cfd9be8040fe8c4ac7acc4b93d3314d2133668147a05", "3fa0b42355e52b189187294aa252ab64"},
	} {
		var k *Key
		if c.etype != 0 {
			k = mustKey(t, c.etype, unhex(t, c.key))
		}
		if err := VerifyAny(k, c.sumType, c.usage, []byte(c.text), unhex(t, c.want)); err != nil {
			t.Errorf("type %d: %v", c.sumType, err)
		}
	}
}

// TestKnownPRF: MIT's t_prf.c.
func TestKnownPRF(t *testing.T) {
	const one, two = "c01f157211f7b77eaaf457c3e156690127ee127d810ba6392e97baa243eb0616", "9d520d2d980aa7cb6b693682b62da258b333867951642ce647ae62b1e5e0b5e9"
	for _, c := range []struct {
		etype         Enctype
		key, in, want string
	}{
		{ETypeAES128SHA1, "ae272e7cdec86ac5138cdb196d8e297d", "\x01a", "77b39a37a868920f2a51f9dd150c5717"},
		{ETypeAES128SHA1, "67ab1cfef35e4c27ffdeac60385a3e9c", "\x01b", "e06c0dd31ff02091994f2ef5178bfe3d"},
		{ETypeAES256SHA1, one, "\x01a", "b2628c788e2e9c4a9bb4644678c29f2f"},
		{ETypeAES256SHA1, one, "\x02a", "b406373350cee8a6126f4a9b65a0cd21"},
		{ETypeAES256SHA1, two, "\x01b", "ff0e289ea756c0559a0e911856961a49"},
		{ETypeAES256SHA1, two, "\x02b", "0d674dd0f9a6806525a4d92e828bd15a"},
	} {
		checkBytes(t, mustKey(t, c.etype, unhex(t, c.key)).PRF([]byte(c.in)), unhex(t, c.want))
	}
}

// TestStringToKeyMore: the rest of RFC 3962 appendix B, and of the same inputs with Camellia (RFC
// 6803 section 10).
func TestStringToKeyMore(t *testing.T) {
	const salt = "ATHENA.MIT.EDUraeburn"
	x64 := strings.Repeat("X", 64)
	for _, c := range []struct {
		etype          Enctype
		iterations     int
		password, salt string
		want           string
	}{
		{ETypeAES256SHA1, 2, "password", salt, "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff"},
		{ETypeAES256SHA1, 1200, "password", salt, "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a"},
		{ETypeAES256SHA1, 5, "password", string(unhex(t, "1234567878563412")), "97a4e786be20d81a382d5ebc96d5909cabcdadc87ca48f574504159f16c36e31"},
		{ETypeAES256SHA1, 1200, x64, "pass phrase equals block size", "89adee3608db8bc71f1bfbfe459486b05618b70cbae22092534e56c553ba4b34"},
		{ETypeAES256SHA1, 1200, x64 + "X", "pass phrase exceeds block size", "d78c5c9cb872a8c9dad4697f0bb5b2d21496c82beb2caeda2112fceea057401b"},
		{ETypeAES256SHA1, 50, "\U0001d11e", "EXAMPLE.COMpianist", "4b6d9839f84406df1f09cc166db4b83c571848b784a3d6bdc346589a3e393f9e"},
		{ETypeCamellia128, 1, "password", salt, "57d0297298ffd9d35de5a47fb4bde24b"},
		{ETypeCamellia256, 1, "password", salt, "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c"},
		{ETypeCamellia128, 2, "password", salt, "73f1b53aa0f310f93b1de8ccaa0cb152"},
		{ETypeCamellia256, 2, "password", salt, "83fc5866e5f8f4c6f38663c65c87549f342bc47ed394dc9d3cd4d163ade375e3"},
		{ETypeCamellia256, 1200, x64, "pass phrase equals block size", "119fe2a1cb0b1be010b9067a73db63ed4665b4e53a98d178035dcfe843a6b9b0"},
	} {
		s := suiteOf(c.etype)
		got, err := s.profile.stringToKey(s, []byte(c.password), []byte(c.salt), c.iterations)
		if err != nil {
			t.Fatal(err)
		}
		checkBytes(t, got, unhex(t, c.want))
	}
}
