package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Prefetch has the processor fetch what Write and Output of a connection touch,
// so that it is there a little later, and PrefetchArg, when the PCB is there, the
// first line of what a pointer given to SetArg points at. They change nothing. An
// application that walks through very many connections calls them some
// connections ahead.
func (t *TCP) Prefetch() { prefetchPCB(t) }

// PrefetchArg: see Prefetch.
func (t *TCP) PrefetchArg() { prefetchArg(t.arg) }

// prefetchFlows runs ahead of a burst: it finds each TCP segment's connection
// and has the processor fetch it, so that the cache misses of a burst overlap
// instead of adding up. It changes nothing but the hash that it may leave in
// the packet.
func (s *Stack) prefetchFlows(ps []*pbuf.Pbuf) {
	f := &s.tcp.flows
	var hashed [inputBurst]uint32
	hashes := hashed[:0]
	for _, p := range ps {
		if hash, ok := s.flowHash(p); ok {
			prefetchSlot(&f.cur.slots[f.cur.home(hash)&uint32(len(f.cur.slots)-1)])
			hashes = append(hashes, hash)
		}
	}
	var hit [inputBurst]*TCP
	found := hit[:0]
	for _, hash := range hashes {
		mask := uint32(len(f.cur.slots) - 1)
		for i, k := f.cur.home(hash)&mask, 0; k < 8; i, k = (i+1)&mask, k+1 {
			slot := f.cur.slots[i]
			if slot.id == 0 {
				break
			}
			if slot.hash == hash {
				t := s.pcb(slot.id - 1)
				prefetchPCB(t)
				found = append(found, t)
				break
			}
		}
	}
	// What the connections point at: the segment that will be acknowledged and
	// the user's state.
	for _, t := range found {
		if g := t.sndq.Head(); g != nil {
			prefetchSegment(g)
		}
		prefetchArg(t.arg)
	}
}

// flowHash is the packet's flow hash, computed if the port gave none; false if
// the packet is no plain IPv4 TCP segment.
func (s *Stack) flowHash(p *pbuf.Pbuf) (uint32, bool) {
	if s.knowsHash(p) {
		return p.Hash, true
	}
	const need = header.EthernetLen + header.IPv4Len + header.TCPLen
	b := p.Payload()
	if len(b) < need || (*header.Ethernet)(b).Type() != header.EtherTypeIPv4 {
		return 0, false
	}
	ip := (*header.IPv4)(b[header.EthernetLen:])
	if ip[0] != 0x45 || ip.Protocol() != header.ProtoTCP || ip.FragOffset() != 0 || ip.MoreFragments() {
		return 0, false
	}
	h := (*header.TCP)(b[header.EthernetLen+header.IPv4Len:])
	hash := s.hashFlow(ip.Dst(), ip.Src(), h.DstPort(), h.SrcPort())
	if s.hasher != nil {
		p.Hash = hash
		p.Flags |= pbuf.RxHash
	}
	return hash, true
}
