package kdcfixture

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata
var files embed.FS

// Hex is octets that stand as hexadecimal digits in JSON.
type Hex []byte

// UnmarshalText decodes the digits.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Key is a key named in a step.
type Key struct {
	Etype int32 `json:"etype"`
	Bytes Hex   `json:"hex"`
}

// Step is one request and its answer; Response is nil where the KDC was silent.
type Step struct {
	KDC             string         `json:"kdc"`
	Realm           string         `json:"realm"`
	Transport       string         `json:"transport"`
	Time            int64          `json:"time"` // seconds since 1970 at the capture
	Request         Hex            `json:"request"`
	Response        Hex            `json:"response"`
	RequestSummary  string         `json:"request_summary"`
	ResponseSummary string         `json:"response_summary"`
	Keys            map[string]Key `json:"keys"`
	Decrypted       map[string]Hex `json:"decrypted"`
}

// Scenario is a conversation.
type Scenario struct {
	File        string
	Name        string `json:"name"`
	Description string `json:"description"`
	Client      string `json:"client"`
	Steps       []Step `json:"steps"`
}

// Case is a hostile request with what MIT krb5kdc answered.
type Case struct {
	Name      string `json:"name"`
	CVE       string `json:"cve"`
	Note      string `json:"note"`
	Request   Hex    `json:"request"`
	Gzip      string `json:"request_gzip_base64"`
	Answer120 string `json:"mit_1.20.1"`
	Answer123 string `json:"mit_1.23"`
}

// LongTermKey is one key of one principal.
type LongTermKey struct {
	Principal string `json:"principal"`
	Kvno      uint32 `json:"kvno"`
	Etype     int32  `json:"etype"`
	Bytes     Hex    `json:"key"`
	Password  string `json:"password"`
}

// File returns a file of the testdata folder.
func File(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func decode(tb testing.TB, name string, into any) {
	tb.Helper()
	if err := json.Unmarshal(File(tb, name), into); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
}

// Load returns the scenario in a file, named without ".json".
func Load(tb testing.TB, name string) Scenario {
	tb.Helper()
	s := Scenario{File: name}
	decode(tb, name+".json", &s)
	return s
}

// Scenarios returns all scenarios in the order of their file names.
func Scenarios(tb testing.TB) []Scenario {
	tb.Helper()
	entries, err := files.ReadDir("testdata")
	if err != nil {
		tb.Fatal(err)
	}
	var all []Scenario
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || slices.Contains([]string{"keys", "negative", "kkdcp"}, path.Base(name)) {
			continue
		}
		all = append(all, Load(tb, name))
	}
	return all
}

// Negative returns the hostile requests, decompressed.
func Negative(tb testing.TB) []Case {
	tb.Helper()
	var f struct{ Cases []Case }
	decode(tb, "negative.json", &f)
	for i := range f.Cases {
		if f.Cases[i].Gzip != "" {
			f.Cases[i].Request = gunzip(tb, f.Cases[i].Gzip)
		}
	}
	return f.Cases
}

func gunzip(tb testing.TB, s string) []byte {
	tb.Helper()
	packed, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(zr)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// LongTermKeys returns the keys of all principals of the recorded realms.
func LongTermKeys(tb testing.TB) []LongTermKey {
	tb.Helper()
	var keys []LongTermKey
	decode(tb, "keys.json", &keys)
	return keys
}
