package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// Bind sets the local end (udp_bind); the unspecified address is any of ours,
// port 0 a free one chosen at random (RFC 6056 3.3.1). A PCB that is bound
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
	local, port := bindAddr(ap.Addr()), ap.Port()
	if !local.IsZero() && !s.isLocal(local) {
		return ErrVal
	}
	wasAddr, wasPort, was := u.local, u.lport, u.bound
	u.unbind()
	if port == 0 {
		port = s.udpFreePort()
	}
	switch {
	case port == 0:
		u.rebind(wasAddr, wasPort, was)
		return ErrNoPort
	case s.udpTaken(local, port):
		u.rebind(wasAddr, wasPort, was)
		return ErrUse
	}
	u.rebind(local, port, true)
	return nil
}

// udpTaken reports whether a bound PCB has a local end that is the same or
// covers it.
func (s *Stack) udpTaken(local header.Addr, port uint16) bool {
	us := &s.udp
	if local.IsZero() {
		return us.count(port) != 0
	}
	return us.findPort(local, port) != nil || us.findPort(header.Addr{}, port) != nil
}

// rebind puts the PCB into the table of ports.
func (u *UDP) rebind(local header.Addr, port uint16, bound bool) {
	if !bound {
		return
	}
	u.local, u.lport, u.bound = local, port, true
	u.anyAddr = local.IsZero()
	u.pathGen = 0
	u.s.udp.addPort(u)
}

// unbind takes the PCB out of the table of ports; it has no local end then.
func (u *UDP) unbind() {
	if u.bound {
		u.s.udp.removePort(u)
	}
	u.local, u.lport, u.bound = header.Addr{}, 0, false
	u.pathGen = 0
}

// boundAddr is the address that the PCB was bound to, which Connect may have
// narrowed.
func (u *UDP) boundAddr() header.Addr {
	if u.anyAddr {
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
	remote := bindAddr(to.Addr())
	switch {
	case s == nil:
		return ErrClosed
	case u.rport != 0:
		return ErrIsConn
	case !remote.Is4() || to.Port() == 0:
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
	start := s.portOffset(header.AddrFrom4Uint(s.udp.nextPort), header.Addr{}, 0) % n
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
	start := s.portOffset(local, remote, rport) + us.nextPort
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
