package ticket

import "krealm/internal/krbmsg"

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
