package header

import "encoding/binary"

// UDPLen is the length of a UDP header in bytes.
const UDPLen = 8

// UDP is a view of a UDP header (RFC 768):
//
//	0 source port | 2 destination port | 4 length | 6 checksum
type UDP [UDPLen]byte

// ParseUDP is the gate of UDP: 8 <= length <= len(b), where b is the payload of
// the IP packet. length is that of header and data in bytes; what lies behind
// it in b is not part of the datagram. The checksum is not looked at.
func ParseUDP(b []byte) (h *UDP, length int, f Fault) {
	if len(b) < UDPLen {
		return nil, 0, FaultUDPShort
	}
	h = (*UDP)(b)
	length = int(h.Length())
	if length < UDPLen || length > len(b) {
		return nil, 0, FaultUDPLength
	}
	return h, length, OK
}

// SrcPort returns the source port; 0 = the sender wants no answer.
func (h *UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h *UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Length returns the length of header and data in bytes.
func (h *UDP) Length() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// Checksum returns the checksum field; 0 = the sender computed none, which
// IPv6 does not allow (RFC 8200 8.1).
func (h *UDP) Checksum() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// SetSrcPort sets the source port.
func (h *UDP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(h[0:2], p) }

// SetDstPort sets the destination port.
func (h *UDP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(h[2:4], p) }

// SetLength sets the length of header and data in bytes.
func (h *UDP) SetLength(n uint16) { binary.BigEndian.PutUint16(h[4:6], n) }

// SetChecksum sets the checksum field as it is; see UDPChecksum.
func (h *UDP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[6:8], c) }

// UDPChecksum turns the sum of a datagram into its checksum: the complement,
// with 0 sent as 0xffff because 0 means "none" (RFC 768).
func UDPChecksum(sum uint16) uint16 {
	if sum == 0xffff {
		return 0xffff
	}
	return ^sum
}

// UDPFields is what varies in a UDP header.
type UDPFields struct {
	SrcPort, DstPort uint16
	Length           uint16 // header and data in bytes
	Checksum         uint16 // the field, or the pseudo-header sum for an offload
}

// Encode fills the whole header.
func (h *UDP) Encode(f *UDPFields) {
	v := uint64(f.SrcPort)<<48 | uint64(f.DstPort)<<32 | uint64(f.Length)<<16 | uint64(f.Checksum)
	binary.BigEndian.PutUint64(h[0:8], v)
}
