package der

// Tag is an identifier octet: class, the constructed bit and a number below 31. Multi-octet
// tags do not occur in Kerberos and are refused.
type Tag uint8

// The universal tags of Kerberos messages (RFC 4120 section 5.1).
const (
	TagBoolean         Tag = 0x01
	TagInteger         Tag = 0x02
	TagBitString       Tag = 0x03
	TagOctetString     Tag = 0x04
	TagNull            Tag = 0x05
	TagOID             Tag = 0x06
	TagUTF8String      Tag = 0x0c
	TagGeneralizedTime Tag = 0x18
	TagGeneralString   Tag = 0x1b
	TagSequence        Tag = 0x30
)

// Context returns the tag of an explicitly tagged field [n].
func Context(n uint8) Tag { return Tag(0xa0 | n&0x1f) }

// ContextPrimitive returns the tag of an implicitly tagged primitive field [n].
func ContextPrimitive(n uint8) Tag { return Tag(0x80 | n&0x1f) }

// Application returns the tag of a message [APPLICATION n].
func Application(n uint8) Tag { return Tag(0x60 | n&0x1f) }
