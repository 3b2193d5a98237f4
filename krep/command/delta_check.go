package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"krealm/deltafile"
	"krealm/internal/daemon"
	"krealm/krep/delta"
)

// checked is what krep delta check -json prints. What is not known of a file is left out.
type checked struct {
	File     string `json:"file"`
	Verdict  string `json:"verdict"` // good, incomplete, damaged, unread
	Error    string `json:"error,omitempty"`
	Realm    string `json:"realm,omitempty"`
	Epoch    string `json:"epoch,omitempty"`
	From     uint64 `json:"from"` // serial before the first changeset
	To       uint64 `json:"to"`   // of the last good one
	Time     string `json:"time,omitempty"`
	Hash     string `json:"hash,omitempty"`
	Sets     int    `json:"changesets"`
	Put      int    `json:"principals_put"`
	Deleted  int    `json:"principals_deleted"`
	Policies int    `json:"policies_put"`
	Dropped  int    `json:"policies_deleted"`
	Size     int64  `json:"bytes"`
	Good     int64  `json:"good_bytes"` // up to the end of the last good changeset
	At       *int64 `json:"damaged_at,omitempty"`

	status int
}

func deltaCheck(f *deltaFlags, args []string) int {
	asJSON := f.Bool("json", false, "print JSON")
	if status, ok := f.parse(args); !ok {
		if status != daemon.ExitOK {
			status = exitUnread // 1 and 2 say something of a file
		}
		return status
	}
	s, err := delta.Check(f.path)
	c := judge(f.path, &s, err)
	if *asJSON {
		out := json.NewEncoder(f.stdout)
		out.SetIndent("", "  ")
		err = out.Encode(c)
	} else {
		err = c.print(f.stdout, f.stderr, err)
	}
	if err != nil {
		fail(f.stderr, err)
		return exitUnread
	}
	return c.status
}

// judge says what became of reading a file.
func judge(path string, s *delta.Summary, err error) checked {
	c := checked{File: path, Verdict: "good", Size: s.Size, Good: s.Good, Sets: s.Changesets, Put: s.Principals,
		Deleted: s.DeletedPrincipals, Policies: s.Policies, Dropped: s.DeletedPolicies}
	if !s.Base.IsZero() {
		c.Realm, c.Epoch, c.From, c.To = s.Base.Realm, s.Base.Epoch.String(), s.Base.Serial, s.Last.Serial
		c.Time, c.Hash = s.Last.Time().UTC().Format(time.RFC3339Nano), s.Last.Hash.String()
	}
	if err != nil {
		c.Error = err.Error()
	}
	var damage *deltafile.FormatError
	switch {
	case errors.As(err, &damage):
		c.Verdict, c.At, c.status = "damaged", &damage.Offset, exitDamaged
	case errors.Is(err, deltafile.ErrIncomplete), err == nil && s.Torn() > 0:
		c.Verdict, c.status = "incomplete", exitTorn
	case err != nil:
		c.Verdict, c.status = "unread", exitUnread
	}
	return c
}

// print prints it for people; err is the reason for a verdict that is not good.
func (c *checked) print(stdout, stderr io.Writer, err error) error {
	switch {
	case c.At != nil:
		fail(stderr, err)
		if c.Epoch == "" {
			return nil
		}
		_, err = fmt.Fprintf(stdout, "%s: damaged at offset %d of %d; good up to serial %d\n", c.File, *c.At, c.Size, c.To)
		return err
	case c.status == exitUnread:
		fail(stderr, err)
		return nil
	case err != nil:
		_, err = fmt.Fprintf(stdout, "%s: incomplete: it ends within its head\n", c.File)
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: realm %s, epoch %s, serial %d to %d: %s in %s\nprincipals: %d put, %d deleted; policies: %d put, %d deleted\n",
		c.File, c.Realm, c.Epoch, c.From, c.To, count(c.Sets, "changeset"), sizeText(c.Good), c.Put, c.Deleted, c.Policies, c.Dropped)
	if err == nil && c.status == exitTorn {
		_, err = fmt.Fprintf(stdout, "incomplete: %s behind offset %d are not a whole changeset yet\n", count(int(c.Size-c.Good), "byte"), c.Good)
	}
	return err
}
