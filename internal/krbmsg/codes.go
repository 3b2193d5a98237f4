package krbmsg

// Error codes (RFC 4120 section 7.5.9, RFC 4556, RFC 6113, RFC 6806).
const (
	ErrNameExp              = 1
	ErrServiceExp           = 2
	ErrCPrincipalUnknown    = 6
	ErrSPrincipalUnknown    = 7
	ErrCannotPostdate       = 10
	ErrNeverValid           = 11
	ErrPolicy               = 12
	ErrBadOption            = 13
	ErrEtypeNoSupp          = 14
	ErrSumtypeNoSupp        = 15
	ErrPADataTypeNoSupp     = 16
	ErrTrTypeNoSupp         = 17
	ErrClientRevoked        = 18
	ErrTGTRevoked           = 20
	ErrKeyExpired           = 23
	ErrPreauthFailed        = 24
	ErrPreauthRequired      = 25
	ErrServerNoMatch        = 26
	ErrMustUseUser2User     = 27
	ErrSvcUnavailable       = 29
	ErrBadIntegrity         = 31
	ErrTktExpired           = 32
	ErrTktNYV               = 33
	ErrNotUs                = 35
	ErrBadMatch             = 36
	ErrSkew                 = 37
	ErrBadAddr              = 38
	ErrMsgType              = 40
	ErrModified             = 41
	ErrBadKeyVer            = 44
	ErrIllCrTkt             = 43
	ErrInappCksum           = 50
	ErrResponseTooBig       = 52
	ErrGeneric              = 60
	ErrFieldTooLong         = 61
	ErrWrongRealm           = 68
	ErrPreauthExpired       = 90
	ErrMorePreauthData      = 91
	ErrUnknownCriticalFast  = 93
	ErrNoAcceptableKDF      = 100
	ErrClientNotTrusted     = 62
	ErrInvalidSig           = 64
	ErrDHParamsNotAccepted  = 65
	ErrCertificateMismatch  = 66
	ErrCantVerifyCert       = 70
	ErrPAChecksumMustBeIncl = 79
)

// errorText holds the texts that MIT krb5 puts into its logs for the codes.
var errorText = map[int32]string{
	ErrNameExp:             "Client's entry in database has expired",
	ErrServiceExp:          "Server's entry in database has expired",
	ErrCPrincipalUnknown:   "Client not found in Kerberos database",
	ErrSPrincipalUnknown:   "Server not found in Kerberos database",
	ErrCannotPostdate:      "Ticket is ineligible for postdating",
	ErrNeverValid:          "Requested effective lifetime is negative or too short",
	ErrPolicy:              "KDC policy rejects request",
	ErrBadOption:           "KDC can't fulfill requested option",
	ErrEtypeNoSupp:         "KDC has no support for encryption type",
	ErrSumtypeNoSupp:       "KDC has no support for checksum type",
	ErrPADataTypeNoSupp:    "KDC has no support for padata type",
	ErrTrTypeNoSupp:        "KDC has no support for transited type",
	ErrClientRevoked:       "Client's credentials have been revoked",
	ErrTGTRevoked:          "TGT has been revoked",
	ErrKeyExpired:          "Password has expired",
	ErrPreauthFailed:       "Preauthentication failed",
	ErrPreauthRequired:     "Additional pre-authentication required",
	ErrServerNoMatch:       "Requested server and ticket don't match",
	ErrMustUseUser2User:    "Server principal valid for user2user only",
	ErrSvcUnavailable:      "A service is not available that is required to process the request",
	ErrBadIntegrity:        "Decrypt integrity check failed",
	ErrTktExpired:          "Ticket expired",
	ErrTktNYV:              "Ticket not yet valid",
	ErrNotUs:               "The ticket isn't for us",
	ErrBadMatch:            "Ticket/authenticator don't match",
	ErrSkew:                "Clock skew too great",
	ErrBadAddr:             "Incorrect net address",
	ErrMsgType:             "Invalid message type",
	ErrModified:            "Message stream modified",
	ErrIllCrTkt:            "Illegal cross-realm ticket",
	ErrBadKeyVer:           "Key version is not available",
	ErrInappCksum:          "Inappropriate type of checksum in message",
	ErrResponseTooBig:      "Response too big for UDP, retry with TCP",
	ErrGeneric:             "Generic error (see e-text)",
	ErrFieldTooLong:        "Field is too long for this implementation",
	ErrWrongRealm:          "Realm not local to KDC",
	ErrPreauthExpired:      "Preauthentication expired",
	ErrMorePreauthData:     "More preauthentication data is required",
	ErrUnknownCriticalFast: "An unsupported critical FAST option was requested",
}

// ErrorText returns the text of an error code as MIT krb5's error tables have it.
func ErrorText(code int32) string {
	if s, ok := errorText[code]; ok {
		return s
	}
	return "Unknown error"
}
