package krbcrypto

import (
	"errors"
	"fmt"
)

var (
	// ErrIntegrity means that a ciphertext or checksum was not made with this key and
	// usage, or was changed since, or is too short to have been made by anyone.
	ErrIntegrity = errors.New("krbcrypto: integrity check failed")

	// ErrLength means a ciphertext or checksum of a length that its type never has. It is an
	// ErrIntegrity, for callers that do not care; MIT's library tells the two apart.
	ErrLength = fmt.Errorf("%w: impossible length", ErrIntegrity)

	// ErrUnsupported means an encryption or checksum type that this package does not
	// implement, or a checksum type that does not fit the key's enctype.
	ErrUnsupported = errors.New("krbcrypto: type not supported")

	// ErrKeySize means key or seed bytes of the wrong length for the enctype.
	ErrKeySize = errors.New("krbcrypto: wrong key length")

	// ErrParams means string-to-key parameters that are malformed, too weak to accept or
	// too costly to compute, or a password that the enctype cannot express.
	ErrParams = errors.New("krbcrypto: string-to-key input refused")
)
