package tap

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// vnetLen is the length of a virtio_net_hdr without num_buffers, in bytes.
const vnetLen = 10

// vnetHdr is what stands in front of each frame of a device with IFF_VNET_HDR
// (virtio 1.2, 5.1.6, struct virtio_net_hdr), in the byte order of the host:
//
//	0 flags | 1 GSO type | 2 header length | 4 GSO size | 6 csum start | 8 csum offset
type vnetHdr [vnetLen]byte

// Flags and GSO types of vnetHdr (virtio 1.2, 5.1.6).
const (
	vnetNeedsCsum = 1 // sum from csum start on, put it at csum offset from there
	vnetDataValid = 2 // the checksum was verified

	vnetNone  = 0
	vnetTCPv4 = 1
	vnetTCPv6 = 4
	vnetUDP   = 5    // VIRTIO_NET_HDR_GSO_UDP_L4: USO
	vnetECN   = 0x80 // a bit: CWR is set
)

// Offsets of checksums in their headers, in bytes (RFC 9293 3.1, RFC 768).
const (
	tcpCsumOff = 16
	udpCsumOff = 6
)

func (h *vnetHdr) hdrLen() int  { return int(binary.NativeEndian.Uint16(h[2:])) }
func (h *vnetHdr) gsoSize() int { return int(binary.NativeEndian.Uint16(h[4:])) }
func (h *vnetHdr) start() int   { return int(binary.NativeEndian.Uint16(h[6:])) }
func (h *vnetHdr) offset() int  { return int(binary.NativeEndian.Uint16(h[8:])) }

func (h *vnetHdr) set(flags, gso byte, hdrLen, size, start, offset int) {
	h[0], h[1] = flags, gso
	binary.NativeEndian.PutUint16(h[2:], uint16(hdrLen))
	binary.NativeEndian.PutUint16(h[4:], uint16(size))
	binary.NativeEndian.PutUint16(h[6:], uint16(start))
	binary.NativeEndian.PutUint16(h[8:], uint16(offset))
}

// order writes the header of a frame that is sent: what its Flags ask for. It
// reports whether the kernel could do that.
func (h *vnetHdr) order(p *pbuf.Pbuf) bool {
	const csums, cuts = pbuf.TxTCPCsum | pbuf.TxUDPCsum, pbuf.TxTSO | pbuf.TxUSO
	if p.Flags&(csums|cuts) == 0 {
		*h = vnetHdr{}
		return true
	}
	l2, l4 := int(p.L2Len), int(p.L2Len)+int(p.L3Len)
	off := tcpCsumOff
	if p.Flags&(pbuf.TxUDPCsum|pbuf.TxUSO) != 0 {
		off = udpCsumOff
	}
	if p.Flags&cuts == 0 {
		h.set(vnetNeedsCsum, vnetNone, 0, 0, l4, off)
		return true
	}
	gso := byte(vnetUDP)
	if p.Flags&pbuf.TxTSO != 0 {
		gso = vnetTCPv4
		if p.GetAt(l2)>>4 == 6 {
			gso = vnetTCPv6
		}
		if header.TCPFlags(p.GetAt(l4+13))&header.TCPCwr != 0 {
			gso |= vnetECN
		}
	}
	h.set(vnetNeedsCsum, gso, l4+int(p.L4Len), int(p.SegSize), l4, off)
	return p.SegSize != 0 && p.Flags&cuts != cuts && p.Flags&csums != 0
}

// apply turns the header of a frame that was received into Meta. It reports
// whether the header makes sense for the frame; if not, p is to be dropped.
//
// A checksum that is still to be made (vnetNeedsCsum) vouches for the data, as
// the kernel of this machine is the sender, or has verified what it joined: the
// packet is good as it is, and is RxL4Partial for the case that it is sent on. If it is not TCP's or UDP's, or in
// a header that can't be found, it is computed here.
func (h *vnetHdr) apply(p *pbuf.Pbuf) bool {
	gso := h[1] &^ vnetECN
	if h[0]&vnetNeedsCsum == 0 {
		switch {
		case gso != vnetNone:
			return h[0]&vnetDataValid != 0 && h.applySum(p) && h.applyGSO(p, gso)
		case h[0]&vnetDataValid != 0:
			p.Flags |= pbuf.RxL4CsumGood
		}
		return true
	}
	start, field := h.start(), h.start()+h.offset()
	if start < header.EthernetLen || field+2 > p.TotLen() {
		return false
	}
	if findL4(p, start, h.offset()) {
		p.Flags |= pbuf.RxL4CsumGood | pbuf.RxL4Partial
		return gso == vnetNone || h.applyGSO(p, gso)
	}
	if gso != vnetNone {
		return false
	}
	sum := header.UDPChecksum(offload.L4Sum(p, start, 0))
	p.PutAt(field, byte(sum>>8))
	p.PutAt(field+1, byte(sum))
	return true
}

// applyGSO takes over that the frame is several segments.
func (h *vnetHdr) applyGSO(p *pbuf.Pbuf, gso byte) bool {
	b := p.Payload()
	want := byte(vnetUDP)
	if p.L4Len != header.UDPLen {
		want = vnetTCPv4
		if b[p.L2Len]>>4 == 6 {
			want = vnetTCPv6
		}
	}
	size := h.gsoSize()
	if gso != want || size == 0 {
		return false
	}
	if p.TotLen() > int(p.L2Len)+int(p.L3Len)+int(p.L4Len)+size { // else it is one
		p.Flags |= pbuf.RxLRO
		p.SegSize = uint16(size)
	}
	return true
}

// applySum makes a frame with checksums that were verified one without: of
// several segments the field can only be that of the first.
func (h *vnetHdr) applySum(p *pbuf.Pbuf) bool {
	b := p.Payload()
	l2, typ, ok := findIP(b)
	if !ok {
		return false
	}
	l4, proto := l2+header.IPv6Len, header.Protocol(0)
	if typ == header.EtherTypeIPv4 {
		ip := (*header.IPv4)(b[l2:])
		l4, proto = l2+ip.HdrLen(), ip.Protocol()
	} else {
		proto = (*header.IPv6)(b[l2:]).NextHeader()
	}
	off := tcpCsumOff
	if proto == header.ProtoUDP {
		off = udpCsumOff
	}
	if !findL4(p, l4, off) {
		return false
	}
	n := uint32(p.TotLen() - l4)
	var sum uint16
	if typ == header.EtherTypeIPv4 {
		ip := (*header.IPv4)(b[l2:])
		sum = header.PseudoHeader(ip.Src(), ip.Dst(), proto, n)
	} else {
		ip := (*header.IPv6)(b[l2:])
		sum = header.PseudoHeader6(ip.Src(), ip.Dst(), proto, n)
	}
	binary.BigEndian.PutUint16(b[l4+off:], sum)
	p.Flags |= pbuf.RxL4CsumGood | pbuf.RxL4Partial
	return true
}

// findIP finds the IP header of a frame behind up to two VLAN tags; b holds it
// without options.
func findIP(b []byte) (l2 int, typ header.EtherType, ok bool) {
	l2 = header.EthernetLen
	for range 3 {
		if len(b) < l2 {
			return 0, 0, false
		}
		typ = header.EtherType(binary.BigEndian.Uint16(b[l2-2:]))
		switch typ {
		case header.EtherTypeVLAN, header.EtherTypeQinQ:
			l2 += header.VLANLen
		case header.EtherTypeIPv4:
			return l2, typ, len(b) >= l2+header.IPv4Len && b[l2]>>4 == 4
		case header.EtherTypeIPv6:
			return l2, typ, len(b) >= l2+header.IPv6Len && b[l2]>>4 == 6
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// findL4 reports whether a TCP or UDP header with its checksum at off starts at
// l4, in the first buffer, and sets L2Len, L3Len and L4Len. IPv6 may have
// extension headers in front of it, which are not walked: the kernel says that
// this is where they end.
func findL4(p *pbuf.Pbuf, l4, off int) bool {
	b := p.Payload()
	l2, typ, ok := findIP(b)
	if !ok || l4-l2 > 0xff || l4 > len(b) {
		return false
	}
	proto, ext := header.Protocol(0), false
	if typ == header.EtherTypeIPv4 {
		ip := (*header.IPv4)(b[l2:])
		if ip.HdrLen() != l4-l2 || ip.HdrLen() < header.IPv4Len || ip.IsFragment() {
			return false
		}
		proto = ip.Protocol()
	} else {
		if l4-l2 < header.IPv6Len {
			return false
		}
		proto, ext = (*header.IPv6)(b[l2:]).NextHeader(), l4-l2 > header.IPv6Len
	}
	n := 0
	switch {
	case off == tcpCsumOff && (proto == header.ProtoTCP || ext):
		if _, hdr, fault := header.ParseTCP(b[l4:]); fault == header.OK {
			n = hdr
		}
	case off == udpCsumOff && (proto == header.ProtoUDP || ext):
		if len(b) >= l4+header.UDPLen {
			n = header.UDPLen
		}
	}
	if n == 0 {
		return false
	}
	p.L2Len, p.L3Len, p.L4Len = uint8(l2), uint8(l4-l2), uint8(n)
	return true
}
