package header

import "encoding/binary"

// TCP lengths in bytes.
const (
	TCPLen        = 20 // header without options
	TCPMaxLen     = 60 // header with the most options
	TCPMaxOptions = 40
)

// TCPFlags are the control bits of a TCP header (RFC 9293 3.1).
type TCPFlags uint8

// The control bits.
const (
	TCPFin TCPFlags = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce // RFC 3168 6.1
	TCPCwr // RFC 3168 6.1
)

// String lists the bits that are set: "SA" is SYN and ACK, "." is none.
func (f TCPFlags) String() string {
	if f == 0 {
		return "."
	}
	var b [8]byte
	s := b[:0]
	for i := range 8 {
		if f&(1<<i) != 0 {
			s = append(s, "FSRPAUEC"[i])
		}
	}
	return string(s)
}

// TCP is a view of a TCP header without options (RFC 9293 3.1):
//
//	0 source port | 2 destination port | 4 sequence number | 8 acknowledgment number
//	12 data offset, reserved | 13 flags | 14 window | 16 checksum | 18 urgent pointer
type TCP [TCPLen]byte

// ParseTCP is the gate of TCP: 20 <= data offset <= len(b), where b is the
// payload of the IP packet. hdrLen is in bytes; the options are at
// b[20:hdrLen] and have a gate of their own, ParseTCPOptions. The reserved bits
// and the checksum are not looked at.
func ParseTCP(b []byte) (h *TCP, hdrLen int, f Fault) {
	if len(b) < TCPLen {
		return nil, 0, FaultTCPShort
	}
	h = (*TCP)(b)
	hdrLen = h.HdrLen()
	if hdrLen < TCPLen || hdrLen > len(b) {
		return nil, 0, FaultTCPOffset
	}
	return h, hdrLen, OK
}

// SrcPort returns the source port.
func (h *TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h *TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Ports returns both ports as one number, source in the high half: a key for
// look-ups.
func (h *TCP) Ports() uint32 { return binary.BigEndian.Uint32(h[0:4]) }

// Seq returns the sequence number.
func (h *TCP) Seq() Seq { return Seq(binary.BigEndian.Uint32(h[4:8])) }

// Ack returns the acknowledgment number, which counts if TCPAck is set.
func (h *TCP) Ack() Seq { return Seq(binary.BigEndian.Uint32(h[8:12])) }

// DataOffset returns the header length in units of 4 bytes, 5 to 15.
func (h *TCP) DataOffset() int { return int(h[12] >> 4) }

// HdrLen returns the header length with options in bytes, 20 to 60.
func (h *TCP) HdrLen() int { return int(h[12]>>4) << 2 }

// Flags returns the control bits.
func (h *TCP) Flags() TCPFlags { return TCPFlags(h[13]) }

// Window returns the window field, not yet scaled (RFC 7323 2.2).
func (h *TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:16]) }

// Checksum returns the checksum field.
func (h *TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:18]) }

// Urgent returns the urgent pointer, which counts if TCPUrg is set.
func (h *TCP) Urgent() uint16 { return binary.BigEndian.Uint16(h[18:20]) }

// SetSrcPort sets the source port.
func (h *TCP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(h[0:2], p) }

// SetDstPort sets the destination port.
func (h *TCP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(h[2:4], p) }

// SetSeq sets the sequence number.
func (h *TCP) SetSeq(s Seq) { binary.BigEndian.PutUint32(h[4:8], uint32(s)) }

// SetAck sets the acknowledgment number.
func (h *TCP) SetAck(s Seq) { binary.BigEndian.PutUint32(h[8:12], uint32(s)) }

// SetHdrLen sets the header length to n bytes, a multiple of 4 from 20 to 60,
// and clears the reserved bits.
func (h *TCP) SetHdrLen(n int) { h[12] = uint8(n) >> 2 << 4 }

// SetFlags sets the control bits.
func (h *TCP) SetFlags(f TCPFlags) { h[13] = uint8(f) }

// SetWindow sets the window field, already scaled.
func (h *TCP) SetWindow(w uint16) { binary.BigEndian.PutUint16(h[14:16], w) }

// SetChecksum sets the checksum field.
func (h *TCP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[16:18], c) }

// SetUrgent sets the urgent pointer.
func (h *TCP) SetUrgent(u uint16) { binary.BigEndian.PutUint16(h[18:20], u) }

// TCPFields is what varies in a TCP header without its options.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         Seq
	HdrLen           uint8 // with options, in bytes, a multiple of 4; 0 = 20
	Flags            TCPFlags
	Window           uint16 // as sent: already scaled
	Checksum         uint16 // the field, or the pseudo-header sum for an offload
	Urgent           uint16
}

// Encode fills the 20 bytes; the options behind them are the caller's.
func (h *TCP) Encode(f *TCPFields) {
	n := f.HdrLen
	if n == 0 {
		n = TCPLen
	}
	a := uint64(f.SrcPort)<<48 | uint64(f.DstPort)<<32 | uint64(f.Seq)
	b := uint64(f.Ack)<<32 | uint64(n>>2)<<28 | uint64(f.Flags)<<16 | uint64(f.Window)
	binary.BigEndian.PutUint64(h[0:8], a)
	binary.BigEndian.PutUint64(h[8:16], b)
	binary.BigEndian.PutUint32(h[16:20], uint32(f.Checksum)<<16|uint32(f.Urgent))
}
