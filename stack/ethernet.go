package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// ethernetInput takes a frame, checks that it is for us and passes it on by
// EtherType (IEEE 802.3, RFC 894). It owns p.
func (s *Stack) ethernetInput(nif *Netif, p *pbuf.Pbuf) {
	if !nif.up {
		s.drop(p, DropNetifDown)
		return
	}
	eth, fault := header.ParseEthernet(p.Payload())
	if fault != 0 {
		s.drop(p, DropEthShort)
		return
	}
	p.Netif = nif.index
	if dst := eth.Dst(); dst != nif.mac {
		switch {
		case dst.IsBroadcast():
			p.Flags |= pbuf.LinkBroadcast
		case dst.IsMulticast():
			p.Flags |= pbuf.LinkMulticast
		case !nif.promisc:
			s.drop(p, DropEthNotForUs)
			return
		}
	}
	typ, hdr := eth.Type(), header.EthernetLen
	if typ == header.EtherTypeVLAN || p.Flags&pbuf.RxVLAN != 0 || nif.vlan != 0 {
		var ok bool
		if typ, hdr, ok = s.vlanInput(nif, p, typ); !ok {
			s.drop(p, DropVLAN)
			return
		}
	}
	p.L2Len = uint8(hdr)
	switch typ {
	case header.EtherTypeIPv4:
		p.RemoveHeader(hdr)
		s.ip4Input(nif, p)
	case header.EtherTypeIPv6:
		p.RemoveHeader(hdr)
		s.ip6Input(nif, p)
	case header.EtherTypeARP:
		src := eth.Src()
		p.RemoveHeader(hdr)
		s.arpInput(nif, src, p)
	default:
		if h := s.hooks.UnknownEthProtocol; h != nil && h(nif, p) {
			s.stats.Drops[DropHook]++
			return
		}
		s.drop(p, DropEthUnknownProto)
	}
}

// vlanInput takes the 802.1Q tag, from the frame or from the port that
// stripped it, and checks that it names our VLAN. hdr is the length of all
// link headers.
func (s *Stack) vlanInput(nif *Netif, p *pbuf.Pbuf, typ header.EtherType) (inner header.EtherType, hdr int, ok bool) {
	hdr = header.EthernetLen
	tci := uint16(0)
	switch {
	case p.Flags&pbuf.RxVLAN != 0:
		tci = p.VLAN
	case typ == header.EtherTypeVLAN:
		v, fault := header.ParseVLAN(p.Payload()[header.EthernetLen:])
		if fault != 0 {
			return 0, 0, false
		}
		tci, typ = v.TCI(), v.Type()
		hdr += header.VLANLen
	}
	if h := s.hooks.VLANCheck; h != nil {
		return typ, hdr, h(nif, tci)
	}
	id := tci & 0xfff
	return typ, hdr, id == nif.vlan || id == 0 && nif.vlan == 0
}

// ethernetOutput puts the link header in front of an IP or ARP packet and
// queues the frame. It owns p.
func (s *Stack) ethernetOutput(nif *Netif, p *pbuf.Pbuf, dst header.MAC, typ header.EtherType) {
	tci := int32(-1)
	if nif.vlan != 0 {
		tci = int32(nif.vlan)
	}
	if h := s.hooks.VLANSet; h != nil {
		tci = h(nif, p, dst, typ)
	}
	n := header.EthernetLen
	if tci >= 0 {
		n += header.VLANLen
	}
	if !p.AddHeader(n) {
		s.drop(p, DropNoBuf)
		return
	}
	b := p.Payload()
	if tci >= 0 {
		(*header.VLAN)(b[header.EthernetLen:]).Encode(uint16(tci), typ)
		typ = header.EtherTypeVLAN
	}
	(*header.Ethernet)(b).Encode(dst, nif.mac, typ)
	p.L2Len = uint8(n)
	nif.enqueue(p)
}
