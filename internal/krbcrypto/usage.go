package krbcrypto

// Key usage numbers: RFC 4120 section 7.5.1 and, where noted, its extensions.
const (
	// UsageDatabase seals principal keys under the master key (MIT krb5
	// src/lib/kdb/encrypt_key.c); RFC 3961 leaves 0 unassigned.
	UsageDatabase uint32 = 0

	UsagePAEncTS          uint32 = 1  // PA-ENC-TIMESTAMP, client key
	UsageTicket           uint32 = 2  // Ticket enc-part, service key
	UsageASRepEncPart     uint32 = 3  // AS-REP enc-part, client key
	UsageTGSReqADSession  uint32 = 4  // TGS-REQ authorization data, session key
	UsageTGSReqADSubkey   uint32 = 5  // TGS-REQ authorization data, subkey
	UsageTGSReqAuthCksum  uint32 = 6  // TGS-REQ authenticator checksum, session key
	UsageTGSReqAuth       uint32 = 7  // TGS-REQ authenticator, session key
	UsageTGSRepSession    uint32 = 8  // TGS-REP enc-part, session key
	UsageTGSRepSubkey     uint32 = 9  // TGS-REP enc-part, authenticator subkey
	UsageAPReqAuthCksum   uint32 = 10 // AP-REQ authenticator checksum, session key
	UsageAPReqAuth        uint32 = 11 // AP-REQ authenticator, session key
	UsageAPRepEncPart     uint32 = 12 // AP-REP enc-part, session key
	UsageKRBPriv          uint32 = 13 // KRB-PRIV enc-part
	UsageKRBCred          uint32 = 14 // KRB-CRED enc-part
	UsageKRBSafe          uint32 = 15 // KRB-SAFE checksum
	UsageAppData          uint32 = 16 // application data encryption; credentials in a PAC
	UsageAppChecksum      uint32 = 17 // application data checksum; PAC signatures, PA-FOR-USER
	UsageGSSAcceptorSeal  uint32 = 22 // RFC 4121 section 2
	UsageGSSAcceptorSign  uint32 = 23
	UsageGSSInitiatorSeal uint32 = 24
	UsageGSSInitiatorSign uint32 = 25
	UsageS4UX509Request   uint32 = 26 // PA-S4U-X509-USER in the request, [MS-SFU]
	UsageS4UX509Reply     uint32 = 27 // PA-S4U-X509-USER in the reply
	UsagePKINITKX         uint32 = 44 // anonymous PKINIT key exchange, RFC 8062
	UsageOTPRequest       uint32 = 45 // RFC 6560
	UsageFASTReqChecksum  uint32 = 50 // RFC 6113 section 5.4.2 and following
	UsageFASTEnc          uint32 = 51
	UsageFASTRep          uint32 = 52
	UsageFASTFinished     uint32 = 53
	UsageECClient         uint32 = 54 // encrypted challenge, client to KDC, RFC 6113
	UsageECKDC            uint32 = 55 // encrypted challenge, KDC to client
	UsageASReqChecksum    uint32 = 56 // PA-REQ-ENC-PA-REP, RFC 6806 section 11
	UsageCAMMAC           uint32 = 64 // RFC 7751
	UsageSPAKE            uint32 = 65 // RFC 9588
	UsageCookie           uint32 = 513
	UsageFreshness        uint32 = 514
)
