package admin

import "errors"

// Code is an error number as the kadm5 protocol carries it (MIT krb5
// src/lib/kadm5/kadm_err.et; ErrNoEntry is of the kdb table).
type Code uint32

const codeBase Code = 43787520

// Error is a refusal that MIT has a number and a text for. errors.Is finds it by number: two
// Errors with the same Code are the same to it.
type Error struct {
	Code Code
	Text string // as MIT's programs print it
}

func (e *Error) Error() string { return e.Text }

// Is compares codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// The refusals. Their texts are what users of MIT's programs know.
var (
	ErrAuthDelete   = &Error{codeBase + 4, "Operation requires ``delete'' privilege"}
	ErrBadDB        = &Error{codeBase + 6, "Database inconsistency detected"}
	ErrDup          = &Error{codeBase + 7, "Principal or policy already exists"}
	ErrBadHistKey   = &Error{codeBase + 10, "Password history principal key version mismatch"}
	ErrUnkPrinc     = &Error{codeBase + 12, "Principal does not exist"}
	ErrUnkPolicy    = &Error{codeBase + 13, "Policy does not exist"}
	ErrBadMask      = &Error{codeBase + 14, "Invalid field mask for operation"}
	ErrBadClass     = &Error{codeBase + 15, "Invalid number of character classes"}
	ErrBadLength    = &Error{codeBase + 16, "Invalid password length"}
	ErrBadPolicy    = &Error{codeBase + 17, "Illegal policy name"}
	ErrBadPrincipal = &Error{codeBase + 18, "Illegal principal name"}
	ErrBadHistory   = &Error{codeBase + 20, "Invalid password history count"}
	ErrBadMinLife   = &Error{codeBase + 21, "Password minimum life is greater than password maximum life"}
	ErrTooShort     = &Error{codeBase + 22, "Password is too short"}
	ErrClasses      = &Error{codeBase + 23, "Password does not contain enough character classes"}
	ErrDictionary   = &Error{codeBase + 24, "Password is in the password dictionary"}
	ErrReuse        = &Error{codeBase + 25, "Cannot reuse password"}
	ErrTooSoon      = &Error{codeBase + 26, "Current password's minimum life has not expired"}
	ErrProtected    = &Error{codeBase + 30, "Cannot change protected principal"}
	ErrBadParams    = &Error{codeBase + 43, "Illegal configuration parameter for local KADM5 client"}
	ErrBadTL        = &Error{codeBase + 47, "Programmer error! Illegal tagged data list type"}
	ErrBadKeySalts  = &Error{codeBase + 58, "Invalid key/salt tuples"}

	// ErrNoEntry is what renaming a principal that does not exist says, and ErrPattern
	// a name pattern that cannot be understood.
	ErrNoEntry = &Error{2514958853, "No such entry in the database"}
	ErrPattern = &Error{22, "Invalid argument"}

	// ErrNoMasterKey means a database without a K/M entry.
	ErrNoMasterKey = &Error{2514958864, "Cannot find master key record in database"}

	errEmptyPassword = &Error{ErrTooShort.Code, "Empty passwords are not allowed"}
	errNamePassword  = &Error{ErrDictionary.Code, "Password may not match principal name"}
	errZeroPassword  = &Error{codeBase + 57, "Passwords may not contain a zero byte"}
)

// CodeOf returns the number to send for an error: the one it carries, else that of MIT's
// "unspecified reason".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return codeBase
}
