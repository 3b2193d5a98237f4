package ticket

import (
	"fmt"

	"krealm/internal/krbmsg"
	"krealm/kdc/transit"
)

// Validity returns the error code for a ticket that is shown at a time outside its life, give
// or take the clock skew, or 0. Whether an INVALID ticket may be used is the exchange's
// question.
func Validity(part *krbmsg.EncTicketPart, now, skew int64) int32 {
	switch {
	case part.Start() > now+skew:
		return krbmsg.ErrTktNYV
	case part.EndTime < now-skew:
		return krbmsg.ErrTktExpired
	}
	return 0
}

// Transited checks the list of realms that a ticket came through, unless a KDC says in it that it
// has. server is the realm of the ticket's server, path is realm.Settings.TransitPath. With the
// error comes the code for the client: 43, but 60 where there is no way for realms to lie on, since
// client and server are of the same one.
func Transited(part *krbmsg.EncTicketPart, server string, path func(client, server string) ([]string, bool)) (int32, error) {
	list, client := part.Transited.Contents, string(part.CRealm)
	switch {
	case part.Flags&krbmsg.FlagTransitChecked != 0, len(list) == 0, list[0] == 0:
		return 0, nil
	case client == server:
		return krbmsg.ErrGeneric, fmt.Errorf("ticket inside realm %q came through %q", client, list)
	}
	if err := transit.Check(list, client, server, path); err != nil {
		return krbmsg.ErrIllCrTkt, err
	}
	return 0, nil
}
