package header

import "encoding/binary"

// UDP4Len is the length in bytes of the headers of a plain datagram: Ethernet
// without tag, IPv4 without options, UDP.
const UDP4Len = EthernetLen + IPv4Len + UDPLen

// UDP4 is a view of those headers as one, as TCP4 is for TCP:
//
//	0 Ethernet | 14 IPv4 | 34 UDP
type UDP4 [UDP4Len]byte

// ParseUDP4 is the gates of Ethernet, IPv4 and UDP in one, for frames that are
// plain: no tag, no IP options, no fragment, UDP, and all lengths right. total is
// the IPv4 total length, n the UDP length, both in bytes; n may be less than
// what IP carries (RFC 768). ok is false for all others, good or bad: those go
// through the gates one by one. Checksums are left to Plain4's.
func ParseUDP4(b []byte) (h *UDP4, total, n int, ok bool) {
	if len(b) < UDP4Len {
		return nil, 0, 0, false
	}
	h = (*UDP4)(b)
	total, n = int(binary.BigEndian.Uint16(h[16:18])), int(binary.BigEndian.Uint16(h[38:40]))
	bad := binary.BigEndian.Uint32(h[12:16])&plainKindMask ^ plainKind
	bad |= binary.BigEndian.Uint32(h[20:24])&plainWholeMask ^ uint32(ProtoUDP)
	bad |= uint32((n-UDPLen)|(total-IPv4Len-n)|(len(b)-EthernetLen-total)) >> 31
	return h, total, n, bad == 0
}

// Plain returns the view of the Ethernet and the IPv4 header.
func (h *UDP4) Plain() *Plain4 { return (*Plain4)(h[:Plain4Len]) }

// Ports returns both ports as one number, source in the high half.
func (h *UDP4) Ports() uint32 { return binary.BigEndian.Uint32(h[34:38]) }

// Checksum returns the UDP checksum field; 0 = the sender computed none.
func (h *UDP4) Checksum() uint16 { return binary.BigEndian.Uint16(h[40:42]) }

// UDP4Fields is what varies in the headers of a plain datagram.
type UDP4Fields struct {
	Link     *Link
	Src, Dst uint32 // addresses, as of Addr.Uint32
	Ports    uint32 // source port in the high half
	Len      uint32 // bytes of UDP header and data
	ID       uint16 // of the IPv4 packet
	TOS, TTL uint8
	// Sum is that of the data, to make the checksum final; it is ignored with
	// Partial, which leaves the sum of the pseudo-header for an offload to
	// complete.
	Sum     uint64
	Partial bool
}

// Encode fills all 42 bytes, both checksums included. The packet may be
// fragmented on its way.
func (h *UDP4) Encode(f *UDP4Fields) {
	total := uint64(f.Len) + IPv4Len
	addrs := uint64(f.Src)<<32 | uint64(f.Dst)
	addrSum := uint64(f.Src) + uint64(f.Dst)
	ttl := uint64(f.TTL)<<8 | uint64(ProtoUDP)
	ipSum := ^fold(addrSum + ttl + 0x4500 + uint64(f.TOS) + total + uint64(f.ID))

	sum := addrSum + uint64(ProtoUDP) + uint64(f.Len) // the pseudo-header's
	check := uint64(fold(sum))
	if !f.Partial {
		check = uint64(UDPChecksum(fold(sum + uint64(f.Ports) + uint64(f.Len) + f.Sum)))
	}
	be := binary.BigEndian
	be.PutUint64(h[0:8], f.Link.w0)
	be.PutUint64(h[8:16], f.Link.w1|0x4500|uint64(f.TOS))
	be.PutUint64(h[16:24], total<<48|uint64(f.ID)<<32|ttl)
	be.PutUint64(h[24:32], uint64(ipSum)<<48|addrs>>16)
	be.PutUint64(h[32:40], addrs<<48|uint64(f.Ports)<<16|uint64(f.Len))
	be.PutUint16(h[40:42], uint16(check))
}
