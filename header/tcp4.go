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
	sum := f.Sum
	if f.Partial {
		sum = TCP4Partial
	}
	h.Put(f.Link, uint64(f.Src)<<32|uint64(f.Dst), uint64(f.Ports)<<32|uint64(f.Seq),
		uint64(f.Ack)<<32|TCP4Control(f.HdrLen, f.Flags, f.Window), uint64(f.Len)<<16|uint64(f.TTL)<<8|uint64(f.TOS), sum)
}

// TCP4Partial in the place of Put's sum leaves the checksum to an offload.
const TCP4Partial = 1 << 63

// TCP4Control is the low half of Put's ackCtl: data offset, flags, window.
func TCP4Control(hdrLen uint32, flags TCPFlags, window uint16) uint64 {
	return uint64(hdrLen)<<26 | uint64(flags)<<16 | uint64(window)
}

// Put is Encode for who has the fields in registers, where they stay: addrs has the
// source address in the high half, portsSeq the ports, ackCtl the acknowledgement
// number, ip is Len<<16 | TTL<<8 | TOS, sum TCP4Fields.Sum or TCP4Partial.
func (h *TCP4) Put(l *Link, addrs, portsSeq, ackCtl, ip, sum uint64) {
	l4, ttlTOS := ip>>16, ip&0xffff
	total := l4 + IPv4Len
	addrSum := addrs>>32 + addrs&0xffffffff
	ipSum := ^fold(addrSum + ttlTOS + (0x4500 + ipv4DF + uint64(ProtoTCP)) + total)
	pseudo := addrSum + uint64(ProtoTCP) + l4
	var check uint16
	if sum == TCP4Partial {
		check = fold(pseudo)
	} else {
		check = ^fold(pseudo + portsSeq>>32 + portsSeq&0xffffffff + ackCtl>>32 + ackCtl&0xffffffff + sum)
	}
	be := binary.BigEndian
	be.PutUint64(h[0:8], l.w0)
	be.PutUint64(h[8:16], l.w1|0x4500|ttlTOS&0xff)
	be.PutUint64(h[16:24], total<<48|ipv4DF<<16|ttlTOS&0xff00|uint64(ProtoTCP))
	be.PutUint64(h[24:32], uint64(ipSum)<<48|addrs>>16)
	be.PutUint64(h[32:40], addrs<<48|portsSeq>>16)
	be.PutUint64(h[40:48], portsSeq<<48|ackCtl>>16)
	be.PutUint64(h[46:54], ackCtl<<32|uint64(check)<<16)
}

// TimestampSum returns what the option that PutTimestamp writes adds to
// TCP4Fields.Sum.
func TimestampSum(tsval, tsecr uint32) uint64 {
	return timestampWord + uint64(tsval) + uint64(tsecr)
}
