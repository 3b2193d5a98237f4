package krbcrypto

import (
	"bytes"
	"strings"
	"testing"
)

// Vectors of the documents that define the enctypes. Most use fewer iterations than
// StringToKey accepts, so these tests go below it.

// TestNfold: RFC 3961 appendix A.1.
func TestNfold(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"012345", "be072631276b1955"},
		{"password", "78a07b6caf85fa"},
		{"Rough Consensus, and Running Code", "bb6ed30870b7f0e0"},
		{"password", "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"},
		{"MASSACHVSETTS INSTITVTE OF TECHNOLOGY", "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b"},
		{"Q", "518a54a215a8452a518a54a215a8452a518a54a215"},
		{"ba", "fb25d531ae8974499f52fd92ea9857c4ba24cf297e"},
		{"kerberos", "6b65726265726f73"},
		{"kerberos", "6b65726265726f737b9b5b2b93132b93"},
		{"kerberos", "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4"},
		{"kerberos", "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4"},
	} {
		want := unhex(t, c.want)
		got := make([]byte, len(want))
		nfold(got, []byte(c.in))
		if !bytes.Equal(got, want) {
			t.Errorf("%d-fold(%q) = %x, want %x", 8*len(want), c.in, got, want)
		}
	}
}

// TestFoldTable: the table gives what folding on the spot gives, for all purposes.
func TestFoldTable(t *testing.T) {
	for usage := range uint32(foldedUsages + 3) {
		for _, purpose := range []byte{forChecksum, forEncrypt, forIntegrity} {
			var got, want [16]byte
			foldUsage(got[:], usage, purpose)
			c := usageConstant(usage, purpose)
			nfold(want[:], c[:])
			if got != want {
				t.Errorf("usage %d, %#x: %x, want %x", usage, purpose, got, want)
			}
		}
	}
}

// TestDeriveDES3: DK of RFC 3961 appendix A.3.
func TestDeriveDES3(t *testing.T) {
	for _, c := range []struct{ key, constant, want string }{
		{"dce06b1f64c857a11c3db57c51899b2cc1791008ce973b92", "0000000155", "925179d04591a79b5d3192c4a7e9c289b049c71f6ee604cd"},
		{"5e13d31c70ef765746578531cb51c15bf11ca82c97cee9f2", "00000001aa", "9e58e5a146d9942a101c469845d67a20e3c4259ed913f207"},
		{"98e6fd8a04a4b6859b75a176540b9752bad3ecd610a252bc", "0000000155", "13fef80d763e94ec6d13fd2ca1d085070249dad39808eabf"},
		{"622aec25a2fe2cad7094680b7c64940280084c1a7cec92b5", "00000001aa", "f8dfbf04b097e6d9dc0702686bcb3489d91fd9a4516b703e"},
		{"d3f8298ccb166438dcb9b93ee5a7629286a491f838f802fb", "6b65726265726f73", "2370da575d2a3da864cebfdc5204d56df779a7df43d9da43"},
	} {
		var fold [des3Block]byte
		nfold(fold[:], unhex(t, c.constant))
		checkBytes(t, des3SHA1{}.derive(unhex(t, c.key), &fold), unhex(t, c.want))
	}
}

// TestDerive: usage 2 for checksum, encryption and integrity; RFC 8009 appendix A, RFC 6803
// section 10, and the values MIT's tests hold for the others.
func TestDerive(t *testing.T) {
	for _, c := range []struct {
		etype      Enctype
		key        string
		kc, ke, ki string
	}{
		{ETypeDES3, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e", "f78c496d16e6c2dae0e0b6c24057a84c0426aeef26fd6dce", "5b5723d0b634cb684c3eba5264e9a70d52e683231ad3c4ce", "a77c94980e9b7345a81525c423a737ce67f4cd91b6b3da45"},
		{ETypeAES128SHA1, "42263c6e89f4fc28b8df68ee09799f15", "34280a382bc92769b2da2f9ef066854b", "5b14fc4e250e14ddf9dccf1af6674f53", "4ed31063621684f09ae8d89991af3e8f"},
		{ETypeAES256SHA1, "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161", "bfab388bdcb238e9f9c98d6a878304f04d30c82556375ac507a7a852790f4674", "c7cfd9cd75fe793a586a542d87e0d1396f1134a104bb1a9190b8c90ada3ddf37", "97151b4c76945063e2eb0529dc067d97d7bba90776d8126d91f34f3101aea8ba"},
		{ETypeAES128SHA2, "3705d96080c17728a0e800eab6e0d23c", "b31a018a48f54776f403e9a396325dc3", "9b197dd1e8c5609d6e67c3e37c62c72e", "9fda0e56ab2d85e1569a688696c26a6c"},
		{ETypeAES256SHA2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52", "ef5718be86cc84963d8bbb5031e9f5c4ba41f28faf69e73d", "56ab22bee63d82d7bc5227f6773f8ea7a5eb1c825160c38312980c442e5c7e49", "69b16514e3cd8e56b82010d5c73012b622c4d00ffc23ed1f"},
		{ETypeCamellia128, "57d0297298ffd9d35de5a47fb4bde24b", "d155775a209d05f02b38d42a389e5a56", "64df83f85a532f17577d8c37035796ab", "3e4fbdf30fb8259c425cb6c96f1f4635"},
		{ETypeCamellia256, "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c", "e467f9a9552bc7d3155a6220af9c19220eeed4ff78b0d1e6a1544991461a9e50", "412aefc362a7285fc3966c6a5181e7605ae675235b6d549fbfc9ab6630a4c604", "fa624fa0e523993fa388aefdc67e67ebcd8c08e8a0246b1d73b0d1dd9fc582b0"},
	} {
		k := mustKey(t, c.etype, unhex(t, c.key))
		for purpose, want := range map[byte]string{forChecksum: c.kc, forEncrypt: c.ke, forIntegrity: c.ki} {
			var got []byte
			switch p := k.s.profile.(type) {
			case des3SHA1:
				got = p.usageKey(k, 2, purpose)
			case aesSHA1:
				got = p.usageKey(k, 2, purpose)
			case *aesSHA2:
				got = p.usageKey(k, 2, purpose, len(want)/2)
			case camelliaCMAC:
				got = p.usageKey(k, 2, purpose)
			}
			if !bytes.Equal(got, unhex(t, want)) {
				t.Errorf("%v %#x: %x, want %s", c.etype, purpose, got, want)
			}
		}
	}
}

// TestStringToKeyRFC: RFC 3961 appendix A.4, RFC 3962 appendix B, RFC 8009 appendix A,
// RFC 6803 section 10.
func TestStringToKeyRFC(t *testing.T) {
	x64, clef := strings.Repeat("X", 64), "\U0001d11e"
	sha2Salt := string(unhex(t, "10DF9DD783E5BC8ACEA1730E74355F61")) + "ATHENA.MIT.EDUraeburn"
	odd := string(unhex(t, "1234567878563412"))
	for _, c := range []struct {
		etype          Enctype
		iterations     int
		password, salt string
		want           string
	}{
		{ETypeDES3, 0, "password", "ATHENA.MIT.EDUraeburn", "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e"},
		{ETypeDES3, 0, "potatoe", "WHITEHOUSE.GOVdanny", "dfcd233dd0a43204ea6dc437fb15e061b02979c1f74f377a"},
		{ETypeDES3, 0, "penny", "EXAMPLE.COMbuckaroo", "6d2fcdf2d6fbbc3ddcadb5da5710a23489b0d3b69d5d9d4a"},
		{ETypeDES3, 0, "\u00df", "ATHENA.MIT.EDUJuri\u0161i\u0107", "16d5a40e1ce3bacb61b9dce00470324c831973a7b952feb0"},
		{ETypeDES3, 0, clef, "EXAMPLE.COMpianist", "85763726585dbc1cce6ec43e1f751f07f1c4cbb098f40b19"},
		{ETypeAES128SHA1, 1, "password", "ATHENA.MIT.EDUraeburn", "42263c6e89f4fc28b8df68ee09799f15"},
		{ETypeAES128SHA1, 2, "password", "ATHENA.MIT.EDUraeburn", "c651bf29e2300ac27fa469d693bdda13"},
		{ETypeAES128SHA1, 1200, "password", "ATHENA.MIT.EDUraeburn", "4c01cd46d632d01e6dbe230a01ed642a"},
		{ETypeAES128SHA1, 5, "password", odd, "e9b23d52273747dd5c35cb55be619d8e"},
		{ETypeAES128SHA1, 1200, x64, "pass phrase equals block size", "59d1bb789a828b1aa54ef9c2883f69ed"},
		{ETypeAES128SHA1, 1200, x64 + "X", "pass phrase exceeds block size", "cb8005dc5f90179a7f02104c0018751d"},
		{ETypeAES128SHA1, 50, clef, "EXAMPLE.COMpianist", "f149c1f2e154a73452d43e7fe62a56e5"},
		{ETypeAES256SHA1, 1, "password", "ATHENA.MIT.EDUraeburn", "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161"},
		{ETypeAES128SHA2, 32768, "password", sha2Salt, "089bca48b105ea6ea77ca5d2f39dc5e7"},
		{ETypeAES256SHA2, 32768, "password", sha2Salt, "45bd806dbf6a833a9cffc1c94589a222367a79bc21c413718906e9f578a78467"},
		{ETypeCamellia128, 1200, "password", "ATHENA.MIT.EDUraeburn", "8e571145452855575fd916e7b04487aa"},
		{ETypeCamellia256, 1200, "password", "ATHENA.MIT.EDUraeburn", "77f421a6f25e138395e837e5d85d385b4c1bfd772e112cd9208ce72a530b15e6"},
		{ETypeCamellia128, 5, "password", odd, "00498fd916bfc1c2b1031c170801b381"},
		{ETypeCamellia256, 5, "password", odd, "11083a00bdfe6a41b2f19716d6202f0afa94289afe8b27a049bd28b1d76c389a"},
		{ETypeCamellia128, 1200, x64, "pass phrase equals block size", "8bf6c3ef709b981dbb585d086843be05"},
		{ETypeCamellia128, 1200, x64 + "X", "pass phrase exceeds block size", "5752ac8d6ad1ccfe8430b312871c2f74"},
		{ETypeCamellia256, 50, clef, "EXAMPLE.COMpianist", "163b768c6db148b4eec7163df5aed70e206b68cec078bc069ed68a7ed36b1ecc"},
	} {
		s := suiteOf(c.etype)
		got, err := s.profile.stringToKey(s, []byte(c.password), []byte(c.salt), c.iterations)
		if err != nil {
			t.Fatal(err)
		}
		checkBytes(t, got, unhex(t, c.want))
	}
}

// TestCTS: RFC 3962 appendix B.
func TestCTS(t *testing.T) {
	const text = "I would like the General Gau's Chicken, please, and wonton soup."
	for n, want := range map[int]string{
		17: "c6353568f2bf8cb4d8a580362da7ff7f97",
		31: "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
		32: "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
		47: "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
		48: "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8",
		64: "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a84807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
	} {
		c := cts{block: newAES([]byte("chicken teriyaki"))}
		b := []byte(text[:n])
		c.encrypt(b)
		checkBytes(t, b, unhex(t, want))
		c.decrypt(b)
		if string(b) != text[:n] {
			t.Errorf("%d bytes: decrypted to %q", n, b)
		}
	}
}

// TestMessagesRFC8009: ciphertexts, checksums and PRF of RFC 8009 appendix A.
func TestMessagesRFC8009(t *testing.T) {
	text := unhex(t, "000102030405060708090a0b0c0d0e0f1011121314")
	for e, c := range map[Enctype]struct {
		key string
		cts map[int]string
		sum string
		prf string // of "test"
	}{
		ETypeAES128SHA2: {
			key: "3705d96080c17728a0e800eab6e0d23c",
			cts: map[int]string{
				0:  "ef85fb890bb8472f4dab20394dca781dad877eda39d50c870c0d5a0a8e48c718",
				6:  "84d7f30754ed987bab0bf3506beb09cfb55402cef7e6877ce99e247e52d16ed4421dfdf8976c",
				16: "3517d640f50ddc8ad3628722b3569d2ae07493fa8263254080ea65c1008e8fc295fb4852e7d83e1e7c48c37eebe6b0d3",
				21: "720f73b18d9859cd6ccb4346115cd336c70f58edc0c4437c5573544c31c813bce1e6d072c186b39a413c2f92ca9b8334a287ffcbfc",
			},
			sum: "d78367186643d67b411cba9139fc1dee",
			prf: "9d188616f63852fe86915bb840b4a886ff3e6bb0f819b49b893393d393854295",
		},
		ETypeAES256SHA2: {
			key: "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
			cts: map[int]string{
				0:  "41f53fa5bfe7026d91faf9be959195a058707273a96a40f0a01960621ac612748b9bbfbe7eb4ce3c",
				6:  "4ed7b37c2bcac8f74f23c1cf07e62bc7b75fb3f637b9f559c7f664f69eab7b6092237526ea0d1f61cb20d69d10f2",
				16: "bc47ffec7998eb91e8115cf8d19dac4bbbe2e163e87dd37f49beca92027764f68cf51f14d798c2273f35df574d1f932e40c4ff255b36a266",
				21: "40013e2df58e8751957d2878bcd2d6fe101ccfd556cb1eae79db3c3ee86429f2b2a602ac86fef6ecb647d6295fae077a1feb517508d2c16b4192e01f62",
			},
			sum: "45ee791567eefca37f4ac1e0222de80d43c3bfa06699672a",
			prf: "9801f69a368c2bf675e59521e177d9a07f67efe1cfde8d3c8d6f6a0256e3b17db3c1b62ad1b8553360d17367eb1514d2",
		},
	} {
		k := mustKey(t, e, unhex(t, c.key))
		for n, ct := range c.cts {
			got, err := k.Decrypt(nil, 2, unhex(t, ct))
			if err != nil || !bytes.Equal(got, text[:n]) {
				t.Errorf("%v, %d bytes: %x, %v", e, n, got, err)
			}
		}
		checkBytes(t, k.Checksum(nil, 2, text), unhex(t, c.sum))
		checkBytes(t, k.PRF([]byte("test")), unhex(t, c.prf))
	}
}

// TestCF2RFC: RFC 6113 appendix A.
func TestCF2RFC(t *testing.T) {
	for e, want := range map[Enctype]string{
		ETypeAES128SHA1: "97df97e4b798b29eb31ed7280287a92a",
		ETypeAES256SHA1: "4d6ca4e629785c1f01baf55e2e548566b9617ae3a96868c337cb93b5e72b1c7b",
		ETypeDES3:       "e58f9eb643862c13ad38e529313462a7f73e62834fe54a01",
		ETypeRC4:        "24d7f6b6bae4e5c00d2082c5ebab3672",
	} {
		k1, err := StringToKey(e, []byte("key1"), []byte("key1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		k2, err := StringToKey(e, []byte("key2"), []byte("key2"), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := CF2(k1, k2, "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		checkBytes(t, got.Bytes(), unhex(t, want))
	}
}

// TestCamelliaBlock: RFC 3713 appendix A.
func TestCamelliaBlock(t *testing.T) {
	const text = "0123456789abcdeffedcba9876543210"
	for key, want := range map[string]string{
		text: "67673138549669730857065648eabe43",
		text + "00112233445566778899aabbccddeeff": "9acc237dff16d76c20ef7c919e3a7509",
	} {
		c := newCamellia(unhex(t, key))
		b := unhex(t, text)
		c.Encrypt(b, b)
		checkBytes(t, b, unhex(t, want))
		c.Decrypt(b, b)
		checkBytes(t, b, unhex(t, text))
	}
	seen := make(map[byte]bool)
	for _, s := range camelliaSBox {
		seen[s] = true
	}
	if len(seen) != 256 {
		t.Errorf("the S-box has %d values", len(seen))
	}
}

// TestCMAC: the inputs of RFC 4493 section 4 with Camellia in place of AES, as MIT tests it,
// in pieces of all sizes.
func TestCMAC(t *testing.T) {
	k := newCMAC(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	text := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0:  "ba925782aaa1f5d9a00f89648094fc71",
		16: "6d962854a3b9fda56d7d45a95ee17993",
		40: "5c18d119ccd6766144ac1866131d9f22",
		64: "c2699a6eba55ce9d939a8a4e19466ee9",
	} {
		for cut := range n + 1 {
			var got [16]byte
			k.sum(got[:], text[:cut], text[cut:n])
			if !bytes.Equal(got[:], unhex(t, want)) {
				t.Errorf("%d bytes cut at %d: %x, want %s", n, cut, got, want)
			}
		}
	}
}
