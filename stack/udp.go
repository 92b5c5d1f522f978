package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// UDPRecvFunc is given each datagram (udp_recv_fn): p's payload is the data, and
// the function owns p. It runs on the stack's thread and may call any function
// of the stack but Input, Poll and Close, and may close u.
type UDPRecvFunc func(arg any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort)

// UDPErrFunc is told of an ICMP error about a datagram that was sent to to (RFC
// 1122 4.1.3.3): ErrRefused (no such port), ErrTooLong (too big for the path) or
// ErrUnreachable. The PCB stays as it is.
type UDPErrFunc func(arg any, u *UDP, to netip.AddrPort, err error)

// UDP is a UDP PCB (struct udp_pcb). It belongs to its stack's thread. After
// Close it must not be used again; the stack will.
type UDP struct {
	s             *Stack
	recv          UDPRecvFunc
	err           UDPErrFunc
	arg           any
	local, remote header.Addr // zero: any
	lport, rport  uint16      // 0: not bound, not connected
	ttl, tos      uint8
	bound         bool  // it is in the table of ports
	any           anyOf // bound to any address, of these families
	broadcast     bool
	joined        bool // it takes several datagrams in one packet
	id            uint32
	next          *UDP // free list

	// Where datagrams to lastDst go, as long as pathGen is the stack's.
	lastDst header.Addr
	lastSrc header.Addr // as asked for: zero for any
	src     header.Addr
	neigh   *neighbor
	pathGen uint32
}

// SetArg sets what the callbacks get as arg; Arg returns it.
func (u *UDP) SetArg(arg any) { u.arg = arg }
func (u *UDP) Arg() any       { return u.arg }

// SetRecv sets the function that takes datagrams (udp_recv). Without one they
// are dropped.
func (u *UDP) SetRecv(fn UDPRecvFunc) { u.recv = fn }

// SetErr sets the function that is told of ICMP errors.
func (u *UDP) SetErr(fn UDPErrFunc) { u.err = fn }

// SetTTL and SetTOS set those fields of outgoing packets; TTL 0 is the stack's
// default (RFC 1122 4.1.4).
func (u *UDP) SetTTL(ttl uint8) { u.ttl = ttl }
func (u *UDP) SetTOS(tos uint8) { u.tos = tos }

// SetBroadcast permits sending to broadcast addresses (SO_BROADCAST).
func (u *UDP) SetBroadcast(on bool) { u.broadcast = on }

// LocalAddr and RemoteAddr are the ends of the PCB. The unspecified address stands
// for "any", as of TCP's, port 0 for none yet.
func (u *UDP) LocalAddr() netip.AddrPort {
	if u.local.IsZero() && u.any == any6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), u.lport)
	}
	return u.s.addrPort(u.local, u.lport)
}

// RemoteAddr: see LocalAddr.
func (u *UDP) RemoteAddr() netip.AddrPort { return u.s.addrPort(u.remote, u.rport) }

// Stack is the stack that the PCB belongs to; nil after Close.
func (u *UDP) Stack() *Stack { return u.s }

// RecvDst is the address that the datagram in work was sent to, while UDPRecvFunc
// runs (RFC 1122 4.1.3.5). It may be a broadcast address.
func (s *Stack) RecvDst() netip.Addr { return s.netip(s.udp.dst) }

// udpInput takes a datagram, payload at the UDP header, cut to the length that
// IP says. It owns p.
func (s *Stack) udpInput(nif *Netif, p *pbuf.Pbuf, src, dst header.Addr) {
	h, n := udpGate(p)
	if h == nil {
		s.udpBad(p, DropUDPMalformed)
		return
	}
	if p.TotLen() > n {
		p.Realloc(n)
	}
	// RFC 768: 0 means that the sender did not compute it (RFC 1122 4.1.3.4), which
	// it has to over IPv6 (RFC 8200 8.1).
	if p.Flags&pbuf.RxL4CsumGood == 0 && (h.Checksum() != 0 || !dst.Is4()) {
		sum := header.PseudoHeader(src, dst, header.ProtoUDP, uint32(n))
		if p.Flags&pbuf.RxL4CsumBad != 0 || offload.L4Sum(p, 0, sum) != 0xffff {
			s.udpBad(p, DropUDPChecksum)
			return
		}
	}
	group := p.Flags&(flagGroup|pbuf.LinkBroadcast|pbuf.LinkMulticast) != 0
	u := s.udpLookup(nif, src, dst, uint32(h.SrcPort())<<16|uint32(h.DstPort()), group)
	if u == nil {
		s.stats.UDP.NoPorts++
		// RFC 1122 4.1.3.1, RFC 4443 3.1; icmpError knows when not to.
		if p.AddHeaderForce(int(p.L3Len)) {
			if dst.Is4() {
				s.icmpError(nif, p, header.ICMPv4DstUnreachable, header.ICMPv4PortUnreachable, 0)
			} else {
				s.icmp6Error(nif, p, header.ICMPv6DstUnreachable, header.ICMPv6PortUnreachable, 0)
			}
		}
		s.drop(p, DropUDPNoPort)
		return
	}
	s.stats.UDP.InDatagrams++
	if u.recv == nil {
		s.drop(p, DropUDPNoPort)
		return
	}
	from := netip.AddrPortFrom(s.netip(src), h.SrcPort())
	p.RemoveHeader(header.UDPLen)
	s.udp.dst = dst
	if p.Flags&pbuf.RxLRO != 0 && !u.joined {
		s.deliverParts(u, p, from)
		return
	}
	u.recv(u.arg, u, p, from)
}

// udpGate checks the header of a datagram, which may be a chain: RFC 768 allows
// bytes of IP payload behind it. h is nil if it can't be one.
func udpGate(p *pbuf.Pbuf) (h *header.UDP, n int) {
	b := p.Payload()
	h, n, fault := header.ParseUDP(b)
	if fault == header.FaultUDPLength && p.TotLen() > len(b) {
		h = (*header.UDP)(b)
		n = int(h.Length())
		if n < header.UDPLen || n > p.TotLen() {
			return nil, 0
		}
	}
	return h, n
}

func (s *Stack) udpBad(p *pbuf.Pbuf, why DropReason) {
	s.stats.UDP.InErrors++
	s.drop(p, why)
}

// Send sends a datagram to the remote end of a connected PCB (udp_send). It
// owns p in any case. ErrConn: not connected; otherwise as SendTo.
func (u *UDP) Send(p *pbuf.Pbuf) error {
	if u.s == nil || u.rport == 0 {
		p.Free()
		return ErrConn
	}
	return u.send(p, udpSend{src: u.local, dst: u.remote, dport: u.rport})
}

// SendSum is Send for who knows the sum of p's bytes (header.Checksum), because
// it has summed them while it copied them or sends the same again
// (udp_send_chksum).
func (u *UDP) SendSum(p *pbuf.Pbuf, sum uint16) error {
	if u.s == nil || u.rport == 0 {
		p.Free()
		return ErrConn
	}
	return u.send(p, udpSend{src: u.local, dst: u.remote, dport: u.rport, sum: sum, haveSum: true})
}

// SendTo sends a datagram (udp_sendto); a PCB that is not bound gets a port. It
// owns p in any case. Errors: ErrVal (destination that can't be, or a broadcast
// without SetBroadcast), ErrRoute, ErrTooLong (over 65,507 bytes, 65,527 over
// IPv6), ErrMem, ErrNoPort, ErrClosed.
func (u *UDP) SendTo(p *pbuf.Pbuf, to netip.AddrPort) error {
	if u.s == nil {
		p.Free()
		return ErrClosed
	}
	return u.send(p, udpSend{src: u.local, dst: u.s.peerAddr(to.Addr()), dport: to.Port()})
}

// SendFrom is SendTo from one of our addresses, for answers of a PCB that is
// bound to any (udp_sendto_if_src, RFC 1122 4.1.3.5).
func (u *UDP) SendFrom(p *pbuf.Pbuf, from netip.Addr, to netip.AddrPort) error {
	if u.s == nil {
		p.Free()
		return ErrClosed
	}
	return u.send(p, udpSend{src: u.s.peerAddr(from), dst: u.s.peerAddr(to.Addr()), dport: to.Port()})
}

// udpSend says where a datagram goes.
type udpSend struct {
	src, dst header.Addr // src zero: any
	dport    uint16
	sum      uint16 // of the data, if haveSum
	haveSum  bool
}

func (u *UDP) send(p *pbuf.Pbuf, to udpSend) error {
	src, dst, dport := to.src, to.dst, to.dport
	s := u.s
	if s == nil {
		p.Free()
		return ErrClosed
	}
	if dport == 0 || dst.IsUnspecified() || u.any != 0 && !u.any.takes(dst) || !src.IsZero() && src.Is4() != dst.Is4() {
		s.drop(p, DropUDPBadDest)
		return ErrVal
	}
	if u.lport == 0 {
		if err := u.Bind(netip.AddrPortFrom(netip.Addr{}, 0)); err != nil {
			s.drop(p, DropUDPBadDest)
			return err
		}
	}
	if u.pathGen != s.pathGen || u.lastDst != dst || u.lastSrc != src || s.hooks.IP4Route != nil || s.hooks.IP6Route != nil {
		if why, err := u.findPath(src, dst); err != nil {
			s.drop(p, why)
			return err
		}
	}
	if u.neigh.state == neighGroup && !u.broadcast && !dst.IsMulticast() {
		s.drop(p, DropUDPBadDest)
		return ErrVal
	}
	if p = s.headerRoom(p); p == nil {
		return ErrMem
	}
	if dst.Is4() && u.sendPlain(p, dst, dport, to.sum, to.haveSum) {
		return nil
	}
	return u.transmit(p, dst, dport)
}

// findPath fills the PCB's cache.
func (u *UDP) findPath(src, dst header.Addr) (DropReason, error) {
	s := u.s
	u.pathGen = 0
	pt, err := s.findPath(src, dst)
	if err != nil {
		s.stats.IP.OutNoRoutes++
		return DropIPNoRoute, err
	}
	n := s.neighborFor(pt.nif, pt.nextHop)
	if n == nil {
		return DropNeighborTableFull, ErrRoute
	}
	u.lastDst, u.lastSrc, u.src, u.neigh, u.pathGen = dst, src, pt.src, n, s.pathGen
	return DropNone, nil
}

// transmit puts the UDP header in front of the data and sends it along the
// cached path. It owns p, which has room for headers.
func (u *UDP) transmit(p *pbuf.Pbuf, dst header.Addr, dport uint16) error {
	s := u.s
	n := p.TotLen() + header.UDPLen
	if n > maxUDP(dst) {
		s.drop(p, DropIPTooLong)
		return ErrTooLong
	}
	p.AddHeader(header.UDPLen)
	// RFC 1122 4.1.3.4: a checksum is always sent. Here goes the pseudo-header's
	// sum, the port or package offload completes it.
	(*header.UDP)(p.Payload()).Encode(&header.UDPFields{
		SrcPort: u.lport, DstPort: dport, Length: uint16(n),
		Checksum: header.PseudoHeader(u.src, dst, header.ProtoUDP, uint32(n)),
	})
	p.Flags |= pbuf.TxUDPCsum
	p.L4Len = header.UDPLen
	s.stats.UDP.OutDatagrams++
	return s.ipOutputVia(u.neigh, p, &ipFields{src: u.src, dst: dst, proto: header.ProtoUDP, ttl: u.ttl, tos: u.tos})
}

// maxUDP is the longest datagram, with its header, that IP carries to an address:
// the length of IPv6 does not count its header.
func maxUDP(dst header.Addr) int {
	if dst.Is4() {
		return header.IPv4MaxAll - header.IPv4Len
	}
	return 0xffff
}

// udpICMPError tells the PCB whose datagram an ICMP error quotes; false: there
// is none.
func (s *Stack) udpICMPError(q *icmpQuote) bool {
	u := s.udpLookup(nil, q.remote, q.local, uint32(q.rport)<<16|uint32(q.lport), false)
	if u == nil {
		return false
	}
	if u.err == nil {
		return true
	}
	err := ErrUnreachable
	if q.typ == header.ICMPv4DstUnreachable {
		switch q.code {
		case header.ICMPv4PortUnreachable, header.ICMPv4ProtoUnreachable:
			err = ErrRefused
		case header.ICMPv4FragNeeded:
			err = ErrTooLong
		}
	}
	u.err(u.arg, u, s.addrPort(q.remote, q.rport), err)
	return true
}
