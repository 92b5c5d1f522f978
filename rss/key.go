package rss

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// MinKeyLen is the shortest key in bytes: the longest hashed input, the
	// IPv6 4-tuple of 36 bytes, reaches 4 bytes past its own length.
	MinKeyLen = 40
	// MaxKeyLen is the longest key in bytes that cards take.
	MaxKeyLen = 52
)

// ErrKey is returned for a key that is not MinKeyLen to MaxKeyLen bytes long or
// is not written in hexadecimal.
var ErrKey = errors.New("rss: bad key")

// Key is the secret of the Toeplitz function, 40 to 52 bytes. Only the first
// 40 take part in the hashes of this package; the rest is kept because a card
// wants its key back at the length that it gave. The zero Key means that there
// is none: a port without RSS reports it, and a Hasher takes it as DefaultKey.
// Keys are comparable.
type Key struct {
	b [MaxKeyLen]byte
	n uint8
}

// DefaultKey is the key of Microsoft's verification vectors, the default of
// most cards and drivers.
var DefaultKey = mustKey([]byte{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2,
	0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
	0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
	0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
})

// SymmetricKey repeats 0x6d5a, so that a hash does not change when source and
// destination are swapped: both directions of a forwarded flow meet on one
// queue (Woo and Park, "Scalable TCP Session Monitoring with Symmetric RSS").
// The price is 16 bits of key entropy.
var SymmetricKey = mustKey([]byte(strings.Repeat("\x6d\x5a", MinKeyLen/2)))

// NewKey copies b, 40 to 52 bytes, into a Key; ErrKey for another length.
func NewKey(b []byte) (Key, error) {
	if len(b) < MinKeyLen || len(b) > MaxKeyLen {
		return Key{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrKey, len(b), MinKeyLen, MaxKeyLen)
	}
	k := Key{n: uint8(len(b))}
	copy(k.b[:], b)
	return k, nil
}

// ParseKey reads a key in hexadecimal, with or without colons between the
// bytes, as `ethtool -x` prints it.
func ParseKey(s string) (Key, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return NewKey(b)
}

// RandomKey draws a 40-byte key from the system's random source. Keys under
// which a destination port could not reach every entry of a 512-entry table
// with its low 12 bits, about one in four, are drawn again: under the key
// returned every queue has source ports for every flow, and Solver runs at its
// full speed.
func RandomKey() Key {
	k := Key{n: MinKeyLen}
	for {
		rand.Read(k.b[:k.n]) // never fails, it ends the program instead
		h := NewHasher(k)
		if portsReachAll(&h.tab[offPort4], &h.tab[offPort4+1]) &&
			portsReachAll(&h.tab[offPort6], &h.tab[offPort6+1]) {
			return k
		}
	}
}

// IsZero reports whether k is the zero Key: no key, no RSS.
func (k Key) IsZero() bool { return k.n == 0 }

// Len is the key's length in bytes: 0, or 40 to 52.
func (k Key) Len() int { return int(k.n) }

// Bytes returns a copy of the key; it is the caller's.
func (k Key) Bytes() []byte { return append([]byte(nil), k.b[:k.n]...) }

// String prints the key as ethtool does: bytes in hexadecimal with colons.
func (k Key) String() string {
	var s strings.Builder
	for i, b := range k.b[:k.n] {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02x", b)
	}
	return s.String()
}

// orDefault is k, or DefaultKey for the zero Key.
func (k Key) orDefault() Key {
	if k.IsZero() {
		return DefaultKey
	}
	return k
}

// mustKey makes the package's own keys, whose length is known.
func mustKey(b []byte) Key {
	k, err := NewKey(b)
	if err != nil {
		panic(err)
	}
	return k
}
