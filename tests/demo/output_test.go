package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTableNamesFailure(t *testing.T) {
	var b bytes.Buffer
	output{&b}.table([]result{{"loaded", "374 principals", true}, {"tickets", "see below", false}}, 3*time.Second)
	for _, want := range []string{"loaded   ok      374 principals", "tickets  FAILED  see below", "took 3.0 s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, b.String())
		}
	}
}

const (
	bob      = "princ\t38\t15\t0\t0\t0\tbob@EXAMPLE.ORG\t128\t0\t0\t0\t0\t0\t0\t0\t-1;\n"
	bobOther = "princ\t38\t15\t0\t0\t0\tbob@EXAMPLE.ORG\t0\t0\t0\t0\t0\t0\t0\t0\t-1;\n"
)

func TestFirstDifferenceNamesNoKeys(t *testing.T) {
	got := firstDifference([]byte(bob), []byte(bobOther))
	if !strings.Contains(got, "bob@EXAMPLE.ORG") || strings.Contains(got, "128") {
		t.Errorf("firstDifference: %q", got)
	}
}
