package header

import "encoding/binary"

// TCP4Len is the length in bytes of the headers of a plain TCP segment: Ethernet
// without tag, IPv4 without options, TCP without options.
const TCP4Len = EthernetLen + IPv4Len + TCPLen

// TCP4 is a view of those headers as one, for the segments that nearly all
// traffic consists of:
//
//	0 Ethernet | 14 IPv4 | 34 TCP
//
// It is read and written a few wide words at a time, and summed in registers:
// what goes through it field by field costs several times as much.
type TCP4 [TCP4Len]byte

// ParseTCP4 is the gates of Ethernet, IPv4 and TCP in one, for frames that are
// plain: no tag, no IP options, no fragment, TCP, and all lengths right. total is
// the IPv4 total length, hdrLen that of the TCP header, both in bytes. ok is
// false for all others, good or bad: those go through the gates one by one.
// Checksums are left to Plain4's.
func ParseTCP4(b []byte) (h *TCP4, total, hdrLen int, ok bool) {
	if len(b) < TCP4Len {
		return nil, 0, 0, false
	}
	h = (*TCP4)(b)
	total, hdrLen = int(binary.BigEndian.Uint16(h[16:18])), int(h[46]>>4)<<2
	// The conditions together, so that there is one branch to predict.
	bad := binary.BigEndian.Uint32(h[12:16])&plainKindMask ^ plainKind
	bad |= binary.BigEndian.Uint32(h[20:24])&plainWholeMask ^ uint32(ProtoTCP)
	bad |= uint32((hdrLen-TCPLen)|(total-IPv4Len-hdrLen)|(len(b)-EthernetLen-total)) >> 31
	return h, total, hdrLen, bad == 0
}

// Plain returns the view of the Ethernet and the IPv4 header.
func (h *TCP4) Plain() *Plain4 { return (*Plain4)(h[:Plain4Len]) }

// TCP returns the view of the TCP header.
func (h *TCP4) TCP() *TCP { return (*TCP)(h[34:54]) }

// TCP4Fields is what varies in the headers of a plain segment.
type TCP4Fields struct {
	Link     *Link
	Src, Dst uint32 // addresses, as of Addr.Uint32
	Ports    uint32 // source port in the high half
	Seq, Ack Seq
	Len      uint32 // bytes of TCP header, options and data
	HdrLen   uint32 // bytes of TCP header and options
	Flags    TCPFlags
	TOS, TTL uint8
	Window   uint16 // as sent: already scaled
	// Sum is that of what follows these headers, options included, to make the
	// checksum final; it is ignored with Partial, which leaves the sum of the
	// pseudo-header for an offload to complete.
	Sum     uint64
	Partial bool
}

// Encode fills all 54 bytes, both checksums included. The packet may not be
// fragmented, so its ID is 0 (RFC 6864 4.1).
func (h *TCP4) Encode(f *TCP4Fields) {
	total := uint64(f.Len) + IPv4Len
	addrs := uint64(f.Src)<<32 | uint64(f.Dst)
	addrSum := uint64(f.Src) + uint64(f.Dst)
	ttl := uint64(f.TTL)<<8 | uint64(ProtoTCP)
	ipSum := ^fold(addrSum + ttl + (0x4500 + ipv4DF) + uint64(f.TOS) + total)

	// Data offset, flags, window.
	ctl := uint64(f.HdrLen)<<26 | uint64(f.Flags)<<16 | uint64(f.Window)
	sum := addrSum + uint64(ProtoTCP) + uint64(f.Len) // the pseudo-header's
	check := uint64(fold(sum))
	if !f.Partial {
		sum += uint64(f.Ports) + uint64(f.Seq) + uint64(f.Ack) + ctl + f.Sum
		check = uint64(^fold(sum))
	}
	be := binary.BigEndian
	be.PutUint64(h[0:8], f.Link.w0)
	be.PutUint64(h[8:16], f.Link.w1|0x4500|uint64(f.TOS))
	be.PutUint64(h[16:24], total<<48|ipv4DF<<16|ttl)
	be.PutUint64(h[24:32], uint64(ipSum)<<48|addrs>>16)
	be.PutUint64(h[32:40], addrs<<48|uint64(f.Ports)<<16|uint64(f.Seq>>16))
	be.PutUint64(h[40:48], uint64(f.Seq)<<48|uint64(f.Ack)<<16|ctl>>16)
	be.PutUint64(h[46:54], ctl<<32|check<<16)
}

// TimestampSum returns what the option that PutTimestamp writes adds to
// TCP4Fields.Sum.
func TimestampSum(tsval, tsecr uint32) uint64 {
	return timestampWord + uint64(tsval) + uint64(tsecr)
}
