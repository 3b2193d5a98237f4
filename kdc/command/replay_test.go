package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is one program run of a recorded session.
type step struct {
	Argv   []string
	Stdin  string
	Exit   int
	Stdout string
	Stderr string
}

// replayConf is the configuration that the sessions were recorded with.
const replayConf = `[libdefaults]
	default_realm = KDBU.TEST
[realms]
	KDBU.TEST = {
		database_name = ./principal
		key_stash_file = ./stash
		dict_file = ./words
	}
`

// enterReplay moves the test into an empty directory with that configuration.
func enterReplay(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, value := range map[string]string{
		"KRB5_CONFIG": filepath.Join(dir, "krb5.conf"), "KRB5_KDC_PROFILE": filepath.Join(dir, "none"),
		"KRB5CCNAME": filepath.Join(dir, "none"), "KRB5_KTNAME": filepath.Join(dir, "default.kt"), "USER": "tester",
	} {
		t.Setenv(name, value)
	}
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	for name, text := range map[string]string{"krb5.conf": replayConf, "words": "secret\nPassword\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func readSteps(t *testing.T, suite string) []step {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "mit", suite+"-1.20.1.json"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	if err := json.Unmarshal(data, &steps); err != nil {
		t.Fatal(err)
	}
	return steps
}

// run runs a program in this process.
func run(stdin string, argv ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Main(argv, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

var (
	dateRE   = regexp.MustCompile(`[A-Z][a-z]{2} ([A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d) UTC (\d{4})`)
	isoRE    = regexp.MustCompile(`(20\d\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	epochRE  = regexp.MustCompile(`\b1[789]\d{8}\b`)
	hexRE    = regexp.MustCompile(`\b[0-9a-f]{16,}\b`)
	promptRE = regexp.MustCompile(`(?m)^kadmin\.local:  .*\n?`)
)

// normal makes two outputs comparable: times relative to now, no key bytes, no prompt (which
// MIT's program prints although nobody is there to read it), no words of MIT's database modules.
func normal(s string, now time.Time) string {
	relative := func(t time.Time) string {
		d := t.Sub(now)
		if r := d.Round(24 * time.Hour); (d - r).Abs() < 10*time.Minute {
			return "NOW+" + strconv.Itoa(int(r.Hours()/24)) + "d"
		}
		return t.UTC().Format(time.RFC3339)
	}
	s = dateRE.ReplaceAllStringFunc(s, func(m string) string {
		t, err := time.Parse("Mon Jan 02 15:04:05 MST 2006", m)
		if err != nil {
			return m
		}
		return relative(t)
	})
	s = isoRE.ReplaceAllStringFunc(s, func(m string) string {
		t, err := time.Parse(time.RFC3339, m)
		if err != nil {
			return m
		}
		return relative(t)
	})
	s = epochRE.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseInt(m, 10, 64)
		if err != nil {
			return m
		}
		return relative(time.Unix(n, 0))
	})
	s = hexRE.ReplaceAllString(s, "HEX")
	s = promptRE.ReplaceAllString(s, "")
	return strings.NewReplacer("open DB2 database", "open database", " for db2 while", " while", "\n while", " while").Replace(s)
}

// recordedAt is when a suite was recorded.
var recordedAt = map[string]int64{"kadmin-local": 1795301541, "kdb5-util": 1795301544, "policy": 1795301547}

// other is an outcome that differs from MIT's on purpose.
type other struct {
	why    string
	status int
	has    string // in standard output or standard error
}

func replay(t *testing.T, suite string, differs map[int]other) {
	t.Helper()
	steps := readSteps(t, suite)
	enterReplay(t)
	then, now := time.Unix(recordedAt[suite], 0), time.Now()
	for i, s := range steps {
		if s.Exit < 0 {
			continue // MIT's program crashed
		}
		status, stdout, stderr := run(s.Stdin, s.Argv...)
		stdout, stderr = normal(stdout, now), normal(stderr, now)
		same := status == s.Exit && stdout == normal(s.Stdout, then) && stderr == normal(s.Stderr, then)
		o, known := differs[i]
		switch {
		case !known && !same:
			t.Errorf("step %d %q, input %q\n got  %d, %q, %q\n want %d, %q, %q", i, s.Argv, s.Stdin,
				status, stdout, stderr, s.Exit, normal(s.Stdout, then), normal(s.Stderr, then))
		case known && same:
			t.Errorf("step %d %q is the same, but should differ: %s", i, s.Argv, o.why)
		case known && (status != o.status || !strings.Contains(stdout+stderr, o.has)):
			t.Errorf("step %d %q (%s)\n got  %d, %q, %q\n want %d and %q", i, s.Argv, o.why, status, stdout, stderr, o.status, o.has)
		}
	}
}

func TestReplayKadminLocal(t *testing.T) {
	const (
		commas  = "blanks between key types make MIT's dumps unloadable"
		locks   = "no program keeps others out between commands"
		nothing = "a list of unknown key types is an error, not the default list"
		master  = "K/M gets no password, so the database is still there"
	)
	replay(t, "kadmin-local", map[int]other{
		53:  {commas, 0, "aes256-cts:normal,aes128-cts\n"},
		54:  {commas, 0, "aes256-cts:normal,aes128-cts\n"},
		75:  {locks, 1, "lock: not supported"},
		76:  {locks, 1, "unlock: not supported"},
		98:  {"a pattern is not a name too", 0, "Entry for principal u8@KDBU.TEST with kvno 2"},
		107: {nothing, 0, "Invalid key/salt tuples while parsing keysalts bogus"},
		116: {nothing, 0, "\t4\t1\t\"default\""},
		119: {locks, 0, "Not needed"},
		120: {locks, 0, "Not needed"},
		156: {nothing, 1, "Invalid key/salt tuples while parsing keysalts bogus:normal"},
		157: {nothing, 1, "Principal does not exist"},
		173: {nothing, 0, "Key: vno 4"},
		175: {nothing, 0, "Key: vno 4"},
		178: {master, 1, "Cannot change protected principal"},
		179: {master, 1, "Cannot change protected principal"},
		180: {master, 0, ""},
		181: {master, 0, ""},
		182: {master, 0, ""},
		183: {master, 0, "Number of keys: 4"},
	})
}

func TestReplayPolicy(t *testing.T) {
	replay(t, "policy", map[int]other{
		59: {"no tickets for kadmin/history", 0, "\t86400\t\"tester/admin@KDBU.TEST\"\tNOW+0d\t64\t2\t1"},
	})
}

func TestReplayKDBUtil(t *testing.T) {
	const (
		modifier = "ark records who changed the entry"
		future   = "a version that is to become active again is not purged"
		names    = "the file is named"
		aliases  = "aliases are known"
		refused  = "a dump of nothing does not replace a realm unasked"
	)
	replay(t, "kdb5-util", map[int]other{
		25: {modifier, 0, "\"kdb5_util@KDBU.TEST\""},
		46: {future, 0, "All keys in use, nothing purged.\n"},
		47: {future, 0, "All keys in use, nothing purged.\n"},
		50: {future, 0, "KVNO: 1,"},
		52: {future, 0, "K/M@KDBU.TEST\t8388672\t86400\t0\t0\t0\t0\t0\t0\t10\t110\tHEX\t8\t2\t0300\t9\t20\t"},
		65: {names, 1, "Can not fetch master key (error: stash file: open nosuch: no such file or directory). while reading new master key\n"},
		71: {refused, 1, "load refused: -force loads it all the same"},
		72: {refused, 0, "K/M@KDBU.TEST\n"},
		74: {future, 0, "K/M@KDBU.TEST\t2\t1\t"},
		75: {future, 0, "K/M@KDBU.TEST\t2\t1\t"},
		81: {aliases, 0, "aliasname\ttargetname\n"},
		82: {future, 0, "K/M@KDBU.TEST,2,1,"},
		83: {future, 0, "K/M@KDBU.TEST\t2\t1\t"},
	})
}
