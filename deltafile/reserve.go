package deltafile

import (
	"errors"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// reserveSuffix ends the name of the room that is kept for a truncation on a full disk.
const reserveSuffix = "reserve"

// IsFull tells that there is no room on the disk, or none for this user.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// keepRoom makes the reserve if there is none. That it cannot be made is no error: the disk may be full
// already.
func (a *Appender) keepRoom() {
	if a.room <= 0 {
		return
	}
	name := a.sibling(reserveSuffix)
	if _, err := a.fsys.Stat(name); err == nil {
		return
	}
	f, err := a.fsys.Create(name)
	if err != nil {
		return
	}
	filler := make([]byte, a.room) // nothing that a file system stores in less
	r := rand.New(rand.NewPCG(1, 2))
	for i := range filler {
		filler[i] = byte(r.Uint32())
	}
	_, err = f.Write(filler)
	if cerr := f.Close(); err != nil || cerr != nil {
		_ = a.fsys.Remove(name)
	}
}

// spendRoom gives the reserve up; false if there is none.
func (a *Appender) spendRoom() bool {
	return a.room > 0 && a.fsys.Remove(a.sibling(reserveSuffix)) == nil
}
