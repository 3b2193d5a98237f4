package dumpfmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write positions and messages of refusals into testdata/cases.jsonl")

// loaderCase is a row of testdata/cases.jsonl: an input, what three builds of MIT's loader
// did with it, and what this package does, with the reason for it.
type loaderCase struct {
	Group   string          `json:"group"`
	Title   string          `json:"title"`
	Header  string          `json:"header"` // one character a byte, as Body
	Body    string          `json:"body"`
	Results json.RawMessage `json:"results"`
	Ours    struct {
		Outcome string `json:"outcome"` // same, normalise or refuse
		Reason  string `json:"reason"`
		Print   string `json:"print,omitempty"` // what a normalised body prints as
		Line    int    `json:"line,omitempty"`  // where it is refused
		Field   int    `json:"field,omitempty"`
		Error   string `json:"error,omitempty"`
	} `json:"ours"`
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func readCases(t testing.TB) []*loaderCase {
	t.Helper()
	var cases []*loaderCase
	for line := range bytes.Lines(readFile(t, "testdata/cases.jsonl")) {
		c := new(loaderCase)
		if err := json.Unmarshal(line, c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestLoaderCases: every input of the table has the decided outcome.
func TestLoaderCases(t *testing.T) {
	cases := readCases(t)
	if len(cases) != 151 {
		t.Errorf("%d cases, want 151", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Group+"/"+c.Title, func(t *testing.T) {
			header, body := latin1(c.Header), latin1(c.Body)
			input := append(header, body...)
			var r *Reader
			r, err := NewReader(bytes.NewReader(input))
			var got []byte
			if err == nil {
				got, err = rewrite(input)
				got = bytes.TrimPrefix(got, header)
			}
			switch c.Ours.Outcome {
			case "same":
				checkPrinted(t, got, body, err)
			case "normalise":
				checkPrinted(t, got, latin1(c.Ours.Print), err)
				checkMITReads(t, r, c)
			case "refuse":
				checkRefused(t, c, err)
			default:
				t.Errorf("no decision: %q", c.Ours.Outcome)
			}
			if c.Ours.Reason == "" {
				t.Error("no reason")
			}
		})
	}
	if *update {
		writeCases(t, cases)
	}
}

func checkPrinted(t *testing.T, got, want []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// checkMITReads: what a record is normalised to prints back unchanged.
func checkMITReads(t *testing.T, r *Reader, c *loaderCase) {
	t.Helper()
	line := latin1(c.Ours.Print)
	rec, err := ParseDeltaLine(line)
	if err != nil {
		t.Fatal(err)
	}
	again, err := rec.AppendLine(nil, r.Version())
	checkPrinted(t, again, line, err)
}

func checkRefused(t *testing.T, c *loaderCase, err error) {
	t.Helper()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("got %v, want a syntax error (%s)", err, c.Ours.Reason)
	}
	if *update {
		c.Ours.Line, c.Ours.Field, c.Ours.Error = syntax.Line, syntax.Field, err.Error()
		return
	}
	if syntax.Line != c.Ours.Line || syntax.Field != c.Ours.Field || err.Error() != c.Ours.Error {
		t.Errorf("got %v, want line %d, field %d, %s", err, c.Ours.Line, c.Ours.Field, c.Ours.Error)
	}
}

func writeCases(t *testing.T, cases []*loaderCase) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, c := range cases {
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("testdata/cases.jsonl", out.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}
