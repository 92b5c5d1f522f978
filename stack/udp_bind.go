package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// Bind sets the local end (udp_bind); the zero netip.Addr is any of ours, 0.0.0.0
// any of IPv4, :: any of IPv6, and port 0 a free one chosen at random (RFC 6056 3.3.1). A PCB that is bound
// already moves. ErrVal: the address is not ours; ErrUse: another PCB has that
// local end, or one that covers it; ErrNoPort; ErrIsConn; ErrClosed.
func (u *UDP) Bind(ap netip.AddrPort) error {
	s := u.s
	switch {
	case s == nil:
		return ErrClosed
	case u.rport != 0:
		return ErrIsConn
	}
	local, f := s.bindAddr(ap.Addr())
	if !local.IsZero() && !s.isLocal(local) && (local.Is4() || !local.IsMulticast()) {
		return ErrVal
	}
	to := udpBinding{local: local, port: ap.Port(), bound: true}
	if local.IsZero() {
		to.any = anyOfFamily(f)
	}
	was := udpBinding{local: u.local, port: u.lport, any: u.any, bound: u.bound}
	u.unbind()
	if to.port == 0 {
		to.port = s.udpFreePort()
	}
	switch {
	case to.port == 0:
		u.rebind(was)
		return ErrNoPort
	case s.udpTaken(&to):
		u.rebind(was)
		return ErrUse
	}
	u.rebind(to)
	return nil
}

// udpBinding is the local end of a PCB.
type udpBinding struct {
	local header.Addr
	port  uint16
	any   anyOf // with no address: of these families
	bound bool
}

// udpTaken reports whether a bound PCB has a local end that is the same or
// covers it.
func (s *Stack) udpTaken(b *udpBinding) bool {
	us := &s.udp
	use := us.user(b.port)
	if b.any != 0 {
		return b.any&use.any() != 0 || use.n[0] != 0 && b.any&any4 != 0 || use.n[1] != 0 && b.any&any6 != 0
	}
	return use.any().takes(b.local) || us.findPort(b.local, b.port) != nil
}

// rebind puts the PCB into the table of ports.
func (u *UDP) rebind(b udpBinding) {
	if !b.bound {
		return
	}
	u.local, u.lport, u.any, u.bound = b.local, b.port, b.any, true
	u.pathGen = 0
	u.s.udp.addPort(u)
}

// unbind takes the PCB out of the table of ports; it has no local end then.
func (u *UDP) unbind() {
	if u.bound {
		u.s.udp.removePort(u)
	}
	u.local, u.lport, u.any, u.bound = header.Addr{}, 0, 0, false
	u.pathGen = 0
}

// boundAddr is the address that the PCB was bound to, which Connect may have
// narrowed.
func (u *UDP) boundAddr() header.Addr {
	if u.any != 0 {
		return header.Addr{}
	}
	return u.local
}

// Connect sets the remote end (udp_connect): Send goes there, and only datagrams
// from there are received. A PCB that is not bound gets a port for this remote
// end alone, so there can be more connected PCBs than ports. ErrVal, ErrRoute,
// ErrNoPort, ErrUse (this flow exists), ErrIsConn, ErrClosed.
func (u *UDP) Connect(to netip.AddrPort) error {
	s := u.s
	if s == nil {
		return ErrClosed
	}
	remote := s.peerAddr(to.Addr())
	switch {
	case u.rport != 0:
		return ErrIsConn
	case remote.IsZero() || to.Port() == 0 || u.any != 0 && !u.any.takes(remote):
		return ErrVal
	}
	pt, err := s.findPath(u.local, remote)
	if err != nil {
		return err
	}
	us := &s.udp
	lport := u.lport
	if lport == 0 {
		if lport = s.udpChoosePort(pt.src, remote, to.Port()); lport == 0 {
			return ErrNoPort
		}
	}
	ports := uint32(to.Port())<<16 | uint32(lport)
	if us.findFlow(pt.src, remote, ports) != nil {
		return ErrUse
	}
	u.local, u.lport, u.remote, u.rport = pt.src, lport, remote, to.Port()
	u.pathGen = 0
	us.flows.insert(us.hash(u.local, remote, ports), u.id)
	return nil
}

// Disconnect forgets the remote end (udp_disconnect). The local end is what it
// was before Connect.
func (u *UDP) Disconnect() {
	if u.s == nil || u.rport == 0 {
		return
	}
	us := &u.s.udp
	us.flows.remove(us.hash(u.local, u.remote, uint32(u.rport)<<16|uint32(u.lport)), u.id)
	u.remote, u.rport = header.Addr{}, 0
	u.local = u.boundAddr()
	if !u.bound {
		u.local, u.lport = header.Addr{}, 0
	}
	u.pathGen = 0
}

// udpFreePort picks a port that nobody is bound to, at random (RFC 6056 3.3.1)
// for whoever does not know the stack's secret; 0: all are taken.
func (s *Stack) udpFreePort() uint16 {
	lo, n := s.udpPorts()
	s.udp.nextPort++
	start, _ := s.portOffset(header.AddrFrom4Uint(s.udp.nextPort), header.Addr{}, 0)
	start %= n
	for i := range n {
		if port := lo + uint16((start+i)%n); s.udp.count(port) == 0 {
			return port
		}
	}
	return 0
}

// udpChoosePort picks the local port of a connected PCB: RFC 6056 algorithm 3,
// a keyed hash of the other three parts of the tuple plus a counter, or the
// hook's choice. 0: none is left.
func (s *Stack) udpChoosePort(local, remote header.Addr, rport uint16) uint16 {
	us := &s.udp
	lo, n := s.udpPorts()
	start, _ := s.portOffset(local, remote, rport)
	start += us.nextPort
	for i := range n {
		port := lo + uint16((start+i)%n)
		if h := s.hooks.UDPPort; h != nil {
			if port = h(local, remote, rport, start, i); port == 0 {
				return 0
			}
		}
		if us.count(port) == 0 && us.findFlow(local, remote, uint32(rport)<<16|uint32(port)) == nil &&
			!s.takenElsewhere(header.ProtoUDP, flowEnds{local, remote, port, rport}) {
			us.nextPort += i + 1
			return port
		}
	}
	return 0
}

// udpPorts is the ephemeral range: its first port and how many there are.
func (s *Stack) udpPorts() (lo uint16, n uint32) {
	c := &s.cfg.TCP
	return c.PortMin, uint32(c.PortMax-c.PortMin) + 1
}
