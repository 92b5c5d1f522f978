package header

import "encoding/binary"

// ICMPv4Len is the length of the part that all ICMP messages share, in bytes.
const ICMPv4Len = 8

// ICMP types (RFC 792).
const (
	ICMPv4EchoReply        uint8 = 0
	ICMPv4DstUnreachable   uint8 = 3
	ICMPv4SourceQuench     uint8 = 4 // ignored (RFC 6633)
	ICMPv4Redirect         uint8 = 5
	ICMPv4Echo             uint8 = 8
	ICMPv4TimeExceeded     uint8 = 11
	ICMPv4ParamProblem     uint8 = 12
	ICMPv4Timestamp        uint8 = 13
	ICMPv4TimestampReply   uint8 = 14
	ICMPv4InfoRequest      uint8 = 15
	ICMPv4InfoReply        uint8 = 16
	ICMPv4AddressMask      uint8 = 17
	ICMPv4AddressMaskReply uint8 = 18
)

// ICMP codes (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1).
const (
	ICMPv4NetUnreachable   uint8 = 0
	ICMPv4HostUnreachable  uint8 = 1
	ICMPv4ProtoUnreachable uint8 = 2
	ICMPv4PortUnreachable  uint8 = 3
	ICMPv4FragNeeded       uint8 = 4 // and DF set; MTU says how much fits
	ICMPv4SourceRouteFail  uint8 = 5
	ICMPv4AdminProhibited  uint8 = 13

	ICMPv4TTLExceeded        uint8 = 0
	ICMPv4ReassemblyExceeded uint8 = 1
)

// ICMPv4 is a view of the part that all ICMP messages share (RFC 792):
//
//	0 type | 1 code | 2 checksum | 4 rest, by type: identifier and sequence number,
//	gateway, pointer, or next-hop MTU
type ICMPv4 [ICMPv4Len]byte

// ParseICMPv4 is the gate of ICMP: b, the payload of the IP packet, holds at
// least 8 bytes. The checksum covers all of b and is not looked at:
// Checksum(b, 0) == 0xffff if it is right.
func ParseICMPv4(b []byte) (*ICMPv4, Fault) {
	if len(b) < ICMPv4Len {
		return nil, FaultICMPv4Short
	}
	return (*ICMPv4)(b), OK
}

// Type returns the type.
func (h *ICMPv4) Type() uint8 { return h[0] }

// Code returns the code.
func (h *ICMPv4) Code() uint8 { return h[1] }

// Checksum returns the checksum field.
func (h *ICMPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Rest returns the bytes 4 to 7 as a number.
func (h *ICMPv4) Rest() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// EchoID returns the identifier of an echo message.
func (h *ICMPv4) EchoID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// EchoSeq returns the sequence number of an echo message.
func (h *ICMPv4) EchoSeq() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// MTU returns the next-hop MTU of "fragmentation needed" in bytes; 0 from
// routers older than RFC 1191.
func (h *ICMPv4) MTU() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// Pointer returns the offset that a parameter problem complains about.
func (h *ICMPv4) Pointer() uint8 { return h[4] }

// Gateway returns the router that a redirect names.
func (h *ICMPv4) Gateway() Addr { return AddrFrom4Uint(binary.BigEndian.Uint32(h[4:8])) }

// IsError tells whether the message is an error message or a redirect: it
// quotes a packet and must not be answered with an error (RFC 1122 3.2.2).
func (h *ICMPv4) IsError() bool {
	switch h[0] {
	case ICMPv4DstUnreachable, ICMPv4SourceQuench, ICMPv4Redirect, ICMPv4TimeExceeded, ICMPv4ParamProblem:
		return true
	}
	return false
}

// SetType sets the type.
func (h *ICMPv4) SetType(t uint8) { h[0] = t }

// SetCode sets the code.
func (h *ICMPv4) SetCode(c uint8) { h[1] = c }

// SetChecksum sets the checksum field.
func (h *ICMPv4) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[2:4], c) }

// SetRest sets the bytes 4 to 7.
func (h *ICMPv4) SetRest(v uint32) { binary.BigEndian.PutUint32(h[4:8], v) }

// Encode fills the 8 bytes with a checksum of 0. Once the rest of the message
// is written, the checksum is ^Checksum(message, 0). For echo messages rest is
// identifier<<16 | sequence number.
func (h *ICMPv4) Encode(typ, code uint8, rest uint32) {
	binary.BigEndian.PutUint32(h[0:4], uint32(typ)<<24|uint32(code)<<16)
	binary.BigEndian.PutUint32(h[4:8], rest)
}
