package stack

import "github.com/shardstack/shardstack/header"

// What a group of shards asks about flows: whose a packet is, when the table
// that says so changes. The plain path of a packet does not come by here.

// HasFlow reports whether the stack has the TCP connection from remote:rport to
// local:lport, TIME-WAIT included, or a UDP PCB connected that way.
func (s *Stack) HasFlow(proto header.Protocol, local, remote header.Addr, lport, rport uint16) bool {
	switch proto {
	case header.ProtoTCP:
		return s.lookup(local, remote, lport, rport, s.hashFlow(local, remote, lport, rport)) != nil
	case header.ProtoUDP:
		return s.udp.findFlow(local, remote, uint32(rport)<<16|uint32(lport)) != nil
	}
	return false
}

// EachFlow calls fn for every flow that HasFlow finds. It walks all PCBs.
func (s *Stack) EachFlow(fn func(proto header.Protocol, local, remote header.Addr, lport, rport uint16)) {
	for id := range s.tcp.used {
		t := s.pcb(id)
		if t.s != nil && t.state != StateClosed && t.state != StateListen {
			fn(header.ProtoTCP, t.local, t.remote, t.lport, t.rport)
		}
	}
	for id := range s.udp.used {
		if u := s.udp.pcb(id); u.s != nil && u.rport != 0 {
			fn(header.ProtoUDP, u.local, u.remote, u.lport, u.rport)
		}
	}
}

// TakesUDP reports whether a PCB would be given a datagram from src to dst that
// came by nif as a broadcast or multicast.
func (s *Stack) TakesUDP(nif *Netif, src, dst header.Addr, sport, dport uint16) bool {
	return s.udpLookup(nif, src, dst, uint32(sport)<<16|uint32(dport), true) != nil
}

// PortsChanged tells that Hooks.TCPPort has other ports to choose from now, or
// that Hooks.PortTaken frees some.
func (s *Stack) PortsChanged() { s.tcp.full = fullPorts{} }
