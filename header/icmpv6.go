package header

import "encoding/binary"

// ICMPv6Len is the length of the part that all ICMPv6 messages share but
// router advertisements, which use its last 4 bytes their own way; in bytes.
const ICMPv6Len = 8

// ICMPv6 types (RFC 4443, RFC 4861; MLD by RFC 2710 and RFC 3810).
const (
	ICMPv6DstUnreachable uint8 = 1
	ICMPv6PacketTooBig   uint8 = 2
	ICMPv6TimeExceeded   uint8 = 3
	ICMPv6ParamProblem   uint8 = 4
	ICMPv6Echo           uint8 = 128
	ICMPv6EchoReply      uint8 = 129
	ICMPv6MLDQuery       uint8 = 130
	ICMPv6MLDReport      uint8 = 131
	ICMPv6MLDDone        uint8 = 132
	ICMPv6RouterSolicit  uint8 = 133
	ICMPv6RouterAdvert   uint8 = 134
	ICMPv6NeighborSol    uint8 = 135
	ICMPv6NeighborAdv    uint8 = 136
	ICMPv6Redirect       uint8 = 137
	ICMPv6MLDv2Report    uint8 = 143
)

// ICMPv6 codes (RFC 4443 3).
const (
	ICMPv6NoRoute           uint8 = 0
	ICMPv6AdminProhibited   uint8 = 1
	ICMPv6BeyondScope       uint8 = 2
	ICMPv6AddrUnreachable   uint8 = 3
	ICMPv6PortUnreachable   uint8 = 4
	ICMPv6HopLimitExceeded  uint8 = 0
	ICMPv6ReassemblyTimeout uint8 = 1
	ICMPv6BadField          uint8 = 0
	ICMPv6UnknownNextHeader uint8 = 1
	ICMPv6UnknownOption     uint8 = 2
	ICMPv6FirstFragment     uint8 = 3 // without all headers (RFC 7112 5)
)

// ICMPv6 is a view of the part that ICMPv6 messages share (RFC 4443 2.1):
//
//	0 type | 1 code | 2 checksum | 4 rest, by type: MTU, pointer, identifier and
//	sequence number
type ICMPv6 [ICMPv6Len]byte

// ParseICMPv6 is the gate of ICMPv6: b, the payload behind all extension
// headers, holds at least 8 bytes. The checksum covers the pseudo-header and
// all of b and is not looked at: Checksum(b, PseudoHeader6(src, dst,
// ProtoICMPv6, len(b))) == 0xffff if it is right.
func ParseICMPv6(b []byte) (*ICMPv6, Fault) {
	if len(b) < ICMPv6Len {
		return nil, FaultICMPv6Short
	}
	return (*ICMPv6)(b), OK
}

// Type returns the type.
func (h *ICMPv6) Type() uint8 { return h[0] }

// Code returns the code.
func (h *ICMPv6) Code() uint8 { return h[1] }

// Checksum returns the checksum field.
func (h *ICMPv6) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Rest returns the bytes 4 to 7 as a number.
func (h *ICMPv6) Rest() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// EchoID returns the identifier of an echo message.
func (h *ICMPv6) EchoID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// EchoSeq returns the sequence number of an echo message.
func (h *ICMPv6) EchoSeq() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// MTU returns the MTU of "packet too big" in bytes.
func (h *ICMPv6) MTU() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// Pointer returns the offset that a parameter problem complains about.
func (h *ICMPv6) Pointer() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// IsError tells whether the message is an error message: the high bit of the
// type is 0 (RFC 4443 2.1). Neither these nor redirects are answered with an
// error (RFC 4443 2.4 (e)).
func (h *ICMPv6) IsError() bool { return h[0] < 128 }

// SetType sets the type.
func (h *ICMPv6) SetType(t uint8) { h[0] = t }

// SetCode sets the code.
func (h *ICMPv6) SetCode(c uint8) { h[1] = c }

// SetChecksum sets the checksum field.
func (h *ICMPv6) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[2:4], c) }

// SetRest sets the bytes 4 to 7.
func (h *ICMPv6) SetRest(v uint32) { binary.BigEndian.PutUint32(h[4:8], v) }

// Encode fills the 8 bytes with a checksum of 0. Once the rest of the message
// is written, the checksum is the complement of its sum with the pseudo-header.
// For echo messages rest is identifier<<16 | sequence number.
func (h *ICMPv6) Encode(typ, code uint8, rest uint32) {
	binary.BigEndian.PutUint32(h[0:4], uint32(typ)<<24|uint32(code)<<16)
	binary.BigEndian.PutUint32(h[4:8], rest)
}
