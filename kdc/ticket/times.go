package ticket

import (
	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
)

// Infinite is the last second of the 32 bits that Kerberos implementations count in, in 2106.
const Infinite = 1<<32 - 1

// Clamp moves a time into the 32 bits.
func Clamp(t int64) int64 { return min(max(t, 0), Infinite) }

// Ask is what the times of a ticket follow from (section 3.3).
type Ask struct {
	Start    int64
	Till     int64             // 0: as long as possible
	RTime    krbmsg.Opt[int64] // as asked
	Options  uint32
	Client   *realm.Entry // nil in the TGS: its entry is not looked at
	Server   *realm.Entry
	Settings *realm.Settings
	Header   *krbmsg.EncTicketPart // nil in AS
}

// End returns the end of a ticket's life. It may lie before the start: the request's till is over,
// or the database holds a negative life, which MIT krb5 takes for what it says.
func (a *Ask) End() int64 {
	until := Clamp(a.Till)
	if until == 0 {
		until = Infinite
	}
	if a.Header != nil {
		until = min(until, Clamp(a.Header.EndTime))
	}
	life := until - a.Start
	life = shorter(life, a.Settings.MaxLife)
	life = shorter(life, int64(a.Server.MaxLife))
	if a.Client != nil {
		life = shorter(life, int64(a.Client.MaxLife))
	}
	return Clamp(a.Start + life)
}

// shorter applies a limit of which 0 means none.
func shorter(life, limit int64) int64 {
	if limit != 0 {
		return min(life, limit)
	}
	return life
}

// RenewTill returns until when a ticket ending at end is renewable; absent if it is not.
func (a *Ask) RenewTill(end int64) (none krbmsg.Opt[int64]) {
	if a.forbidsRenewal() {
		return none
	}
	var want int64
	switch {
	case a.Options&krbmsg.OptRenewable != 0:
		if want = Clamp(a.RTime.V); want == 0 {
			want = Infinite
		}
	case a.Options&krbmsg.OptRenewableOK != 0:
		// Who asks for as long as possible, till 1970, has that already.
		if want = Clamp(a.Till); want <= end {
			return none
		}
	default:
		return none
	}
	if a.Header != nil {
		want = min(want, Clamp(a.Header.RenewTill.V))
	}
	// Here a limit of 0 means no time at all.
	life := min(int64(a.Server.MaxRenewLife), a.Settings.MaxRenewLife)
	if a.Client != nil {
		life = min(life, int64(a.Client.MaxRenewLife))
	}
	want = min(want, Clamp(a.Start+life))
	if a.Options&krbmsg.OptRenewable == 0 && want <= end {
		return none
	}
	return krbmsg.Some(want)
}

func (a *Ask) forbidsRenewal() bool {
	const attr = attrDisallowRenewable
	switch {
	case a.Server.Has(attr):
		return true
	case a.Client != nil && a.Client.Has(attr):
		return true
	case a.Header != nil:
		return a.Header.Flags&krbmsg.FlagRenewable == 0
	}
	return false
}

// StartField returns the starttime field of a ticket: absent when it says what authtime does.
func StartField(start, authTime int64) (none krbmsg.Opt[int64]) {
	if start == authTime {
		return none
	}
	return krbmsg.Some(start)
}
