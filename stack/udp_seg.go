package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// Datagrams of one flow may travel in packets of several: a sender hands them
// over at once and the port, or package offload, cuts them (USO; UDP_SEGMENT of
// Linux); a port or GRO joins those that arrive (UDP_GRO). On the wire they are
// datagrams like any others.

// SendSegments is Send for several datagrams at once: p is cut into datagrams of
// size bytes each, the last one being what is left, by the port or before it gets
// there. It owns p in any case. Errors as SendTo, and ErrVal: size is not in
// 1 … the path's MTU less headers, or there would be more than offload.MaxUSO
// datagrams.
func (u *UDP) SendSegments(p *pbuf.Pbuf, size int) error {
	if u.s == nil || u.rport == 0 {
		p.Free()
		return ErrConn
	}
	return u.sendSegments(p, size, udpSend{src: u.local, dst: u.remote, dport: u.rport})
}

// SendSegmentsTo is SendSegments to anywhere.
func (u *UDP) SendSegmentsTo(p *pbuf.Pbuf, size int, to netip.AddrPort) error {
	if u.s == nil {
		p.Free()
		return ErrClosed
	}
	return u.sendSegments(p, size, udpSend{dst: u.s.peerAddr(to.Addr()), dport: to.Port()})
}

func (u *UDP) sendSegments(p *pbuf.Pbuf, size int, to udpSend) error {
	s := u.s
	if s == nil {
		p.Free()
		return ErrClosed
	}
	if size <= 0 || size > 0xffff || (p.TotLen()+size-1)/size > offload.MaxUSO {
		s.drop(p, DropIPTooLong)
		return ErrVal
	}
	if p.TotLen() <= size {
		return u.send(p, to)
	}
	pt, err := s.findPath(to.src, to.dst)
	if err != nil {
		s.stats.IP.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return err
	}
	// A datagram that needs fragments can't be one of several.
	if size+header.UDPLen+ipLen(to.dst) > s.pathMTU(pt.nif, to.dst) {
		s.drop(p, DropIPTooLong)
		return ErrVal
	}
	if p = s.headerRoom(p); p == nil {
		return ErrMem
	}
	n := uint64((p.TotLen() + size - 1) / size)
	p.Flags |= pbuf.TxUSO
	p.SegSize = uint16(size)
	err = u.send(p, to)
	if err == nil {
		s.stats.UDP.OutDatagrams += n - 1
	}
	return err
}

// SetJoined says whether UDPRecvFunc takes packets of several datagrams
// (UDP_GRO): one with pbuf.RxLRO has datagrams of SegSize bytes each, the last
// one may be shorter. Default no: each datagram comes alone.
func (u *UDP) SetJoined(on bool) { u.joined = on }

// deliverParts gives u the datagrams of a joined packet one by one. It owns p,
// payload at the data of the first. What can't be cut off for want of a buffer is
// dropped; u may be closed on the way.
func (s *Stack) deliverParts(u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
	size := int(p.SegSize)
	p.Flags &^= pbuf.RxLRO | pbuf.RxL4Partial
	s.stats.UDP.InDatagrams-- // the packet was counted as one
	for p != nil {
		var rest *pbuf.Pbuf
		if size > 0 && p.TotLen() > size {
			if rest = p.Split(size); rest == nil {
				s.drop(p, DropNoBuf)
				return
			}
			rest.Meta = p.Meta
		}
		if u.s != s || u.recv == nil {
			s.drop(p, DropUDPNoPort)
		} else {
			s.stats.UDP.InDatagrams++
			u.recv(u.arg, u, p, from)
		}
		p = rest
	}
}
