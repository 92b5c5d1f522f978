package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// RawRecvFunc is shown each packet of the PCB's protocol that is for us
// (raw_recv_fn), payload at the IP header. True: it has eaten the packet, owns it
// and must free it; false: it was only looking, and others get it.
type RawRecvFunc func(arg any, r *Raw, p *pbuf.Pbuf, from netip.Addr) (eaten bool)

// Raw is a raw PCB: it sends and receives IP packets of one protocol (struct
// raw_pcb). It belongs to its stack's thread.
type Raw struct {
	s             *Stack
	recv          RawRecvFunc
	arg           any
	local, remote header.Addr // zero: any
	proto         header.Protocol
	ttl, tos      uint8
}

// NewRaw makes a raw PCB for a protocol (raw_new). Nil: the stack is closed.
func (s *Stack) NewRaw(proto header.Protocol) *Raw {
	if s.closed {
		return nil
	}
	r := &Raw{s: s, proto: proto}
	s.raw = append(s.raw, r)
	return r
}

// Close ends the PCB (raw_remove). No callback comes any more.
func (r *Raw) Close() {
	s := r.s
	if s == nil {
		return
	}
	r.s, r.recv = nil, nil
	for i, x := range s.raw {
		if x == r {
			// A new list, because rawInput may be walking the old one.
			s.raw = append(append(make([]*Raw, 0, len(s.raw)-1), s.raw[:i]...), s.raw[i+1:]...)
			return
		}
	}
}

// rawClose ends every PCB.
func (s *Stack) rawClose() {
	for _, r := range s.raw {
		r.s, r.recv = nil, nil
	}
	s.raw = nil
}

// SetArg sets what RawRecvFunc gets as arg; Arg returns it.
func (r *Raw) SetArg(arg any) { r.arg = arg }
func (r *Raw) Arg() any       { return r.arg }

// SetRecv sets the function that is shown packets (raw_recv).
func (r *Raw) SetRecv(fn RawRecvFunc) { r.recv = fn }

// SetTTL and SetTOS set those fields of outgoing packets; TTL 0 is the stack's
// default.
func (r *Raw) SetTTL(ttl uint8) { r.ttl = ttl }
func (r *Raw) SetTOS(tos uint8) { r.tos = tos }

// Bind sets the source of packets sent, and receives only what is sent to it
// (raw_bind); the unspecified address undoes that. ErrVal: not ours.
func (r *Raw) Bind(a netip.Addr) error {
	if r.s == nil {
		return ErrClosed
	}
	local, _ := r.s.bindAddr(a)
	if !local.IsZero() && !r.s.isLocal(local) {
		return ErrVal
	}
	r.local = local
	return nil
}

// Connect sets where Send goes, and receives only from there (raw_connect).
func (r *Raw) Connect(a netip.Addr) error {
	if r.s == nil {
		return ErrClosed
	}
	remote := r.s.peerAddr(a)
	if remote.IsZero() {
		return ErrVal
	}
	r.remote = remote
	return nil
}

// Disconnect undoes Connect (raw_disconnect).
func (r *Raw) Disconnect() { r.remote = header.Addr{} }

// Send sends a packet, payload behind the IP header, to the remote address
// (raw_send). It owns p in any case. ErrConn: not connected; otherwise as SendTo.
func (r *Raw) Send(p *pbuf.Pbuf) error {
	if r.remote.IsZero() {
		p.Free()
		return ErrConn
	}
	return r.sendTo(p, r.remote)
}

// SendTo sends a packet, payload behind the IP header (raw_sendto). It owns p in
// any case. Errors: ErrVal, ErrRoute, ErrTooLong, ErrMem, ErrClosed.
func (r *Raw) SendTo(p *pbuf.Pbuf, to netip.Addr) error {
	if r.s == nil {
		p.Free()
		return ErrClosed
	}
	return r.sendTo(p, r.s.peerAddr(to))
}

func (r *Raw) sendTo(p *pbuf.Pbuf, dst header.Addr) error {
	if r.s == nil {
		p.Free()
		return ErrClosed
	}
	if dst.IsZero() || !r.local.IsZero() && r.local.Is4() != dst.Is4() {
		p.Free()
		return ErrVal
	}
	if p = r.s.headerRoom(p); p == nil {
		return ErrMem
	}
	f := ipFields{src: r.local, dst: dst, proto: r.proto, ttl: r.ttl, tos: r.tos}
	if r.proto == header.ProtoICMPv6 && !dst.Is4() {
		return r.sendICMP6(p, &f)
	}
	return r.s.ipOutput(p, &f)
}

// sendICMP6 sends an ICMPv6 message; its checksum, which covers the source address,
// is filled in (RFC 3542 3.1).
func (r *Raw) sendICMP6(p *pbuf.Pbuf, f *ipFields) error {
	s := r.s
	if p = s.pullUp(p, header.ICMPv6Len); p == nil {
		return ErrMem
	}
	if p.Len() < header.ICMPv6Len {
		p.Free()
		return ErrVal
	}
	pt, err := s.findPath(f.src, f.dst)
	if err != nil {
		s.stats.IP6.OutNoRoutes++
		s.drop(p, DropIPNoRoute)
		return err
	}
	(*header.ICMPv6)(p.Payload()).SetChecksum(0)
	s.icmp6Sum(p, pt.src, f.dst)
	return s.ip6OutputPath(pt, p, &header.IPv6Fields{
		TrafficClass: f.tos, HopLimit: f.ttl, NextHeader: f.proto, Src: pt.src, Dst: f.dst,
	})
}

// rawInput shows a packet, payload at the IP header, to the raw PCBs it matches
// (raw_input). seen: there is one; eaten: one has taken it.
func (s *Stack) rawInput(p *pbuf.Pbuf, proto header.Protocol, src, dst header.Addr) (seen, eaten bool) {
	for _, r := range s.raw {
		if r.proto != proto || r.recv == nil || !r.local.IsZero() && r.local != dst ||
			!r.remote.IsZero() && r.remote != src {
			continue
		}
		seen = true
		if r.recv(r.arg, r, p, s.netip(src)) {
			return true, true
		}
	}
	return seen, false
}
