package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The neighbour table: next hop → MAC. It is a hash table of entries that are
// allocated once and reused. What fills it is in etharp.go and nd6_neighbor.go.

// neighborState says what is known of a neighbour (etharp_state).
type neighborState uint8

const (
	neighFree    neighborState = iota
	neighLocal                 // our own address: packets go to the loop, never out
	neighPending               // asked for, not answered; packets wait
	neighStable                // learnt; from here on, mac may be used
	neighGroup                 // broadcast or multicast: mac is computed
	neighStatic                // set by AddNeighbor
)

// neighbor is an entry of the table. A pointer to one is good as long as
// Stack.pathGen is what it was when neighborFor returned it.
type neighbor struct {
	addr      header.Addr
	nif       *Netif
	used      int64 // when a packet was last sent to it; 0: never
	mac       header.MAC
	link      header.Link // the Ethernet header of IP packets to mac
	state     neighborState
	nud       nudState   // of IPv6, once mac is known
	router    bool       // IPv6: it routes
	tries     uint8      // requests sent since it was last confirmed
	next      *neighbor  // in its bucket, or free list
	queue     pbuf.Queue // IP packets that wait, payload at the IP header
	confirmed int64      // when the neighbour was last heard of
	asked     int64      // when the last request was sent
}

// usable reports whether packets may be sent to mac now.
func (n *neighbor) usable() bool { return n.state >= neighStable }

// setMAC notes where frames to the neighbour go.
func (n *neighbor) setMAC(mac header.MAC) {
	n.mac, n.link = mac, header.MakeLink(mac, n.nif.mac)
	if !n.addr.Is4() {
		n.link = header.MakeLink6(mac, n.nif.mac)
	}
}

// etherType is that of packets to the neighbour.
func (n *neighbor) etherType() header.EtherType {
	if n.addr.Is4() {
		return header.EtherTypeIPv4
	}
	return header.EtherTypeIPv6
}

// touch notes that a packet is sent to the neighbour, which keeps it fresh.
func (n *neighbor) touch(now int64) { n.used = now }

// dynamic reports whether the entry comes and goes by ARP or neighbour discovery.
func (n *neighbor) dynamic() bool { return n.state == neighStable || n.state == neighPending }

// arpTable is ARP's part of a Stack.
type arpTable struct {
	buckets []*neighbor // a power of two
	free    *neighbor
	n       int  // entries in the table
	starved bool // a request for an entry failed since the last was freed
	walking bool // eachNeighbor runs: nothing may be evicted
	timer   int  // index of the cyclic timer
}

func (t *arpTable) init(size int) {
	n := 16
	for n < size {
		n *= 2
	}
	t.buckets = make([]*neighbor, n)
}

// bucket is where entries for addr hang.
func (t *arpTable) bucket(nif *Netif, addr header.Addr) **neighbor {
	h := (addr.Hi() ^ addr.Lo() ^ uint64(nif.index)<<56) * 0x9e3779b97f4a7c15
	return &t.buckets[h>>32&uint64(len(t.buckets)-1)]
}

// find is the entry for addr on nif, or nil.
func (t *arpTable) find(nif *Netif, addr header.Addr) *neighbor {
	for n := *t.bucket(nif, addr); n != nil; n = n.next {
		if n.addr == addr && n.nif == nif {
			return n
		}
	}
	return nil
}

// neighborFor is the entry for a next hop on nif, made if there is none, or nil
// if the table is full and nothing in it can go. Looking sends nothing.
func (s *Stack) neighborFor(nif *Netif, nextHop header.Addr) *neighbor {
	if n := s.arp.find(nif, nextHop); n != nil {
		return n
	}
	n := s.newNeighbor(nif, nextHop)
	if n == nil {
		return nil
	}
	switch {
	case s.isLocal(nextHop):
		n.state = neighLocal
	case nif.isBroadcast(nextHop): // RFC 1122 3.3.6
		n.state = neighGroup
		n.setMAC(header.Broadcast)
	case nextHop.IsMulticast(): // RFC 1112 6.4
		n.state = neighGroup
		n.setMAC(nextHop.MulticastMAC())
	}
	return n
}

// newNeighbor adds a pending entry, in place of another if the table is full.
func (s *Stack) newNeighbor(nif *Netif, addr header.Addr) *neighbor {
	t := &s.arp
	if t.n >= s.cfg.ARP.Size && !s.evictNeighbor() {
		t.starved = true
		return nil
	}
	n := t.free
	if n != nil {
		t.free = n.next
	} else {
		n = new(neighbor)
	}
	b := t.bucket(nif, addr)
	*n = neighbor{addr: addr, nif: nif, state: neighPending, next: *b}
	*b = n
	t.n++
	return n
}

// evictNeighbor makes room by the order of etharp_find_entry: the usable entry
// that was not used for the longest time, else a pending one, rather without
// packets, that was asked for first. False: all are static.
func (s *Stack) evictNeighbor() bool {
	if s.arp.walking {
		return false
	}
	var victim *neighbor
	rank := func(n *neighbor) (class int, age int64) {
		switch {
		case n.state == neighPending && n.queue.Len() != 0:
			return 2, n.asked
		case n.state == neighPending:
			return 1, n.asked
		}
		return 0, n.used
	}
	for _, n := range s.arp.buckets {
		for ; n != nil; n = n.next {
			if n.state == neighStatic {
				continue
			}
			if victim != nil {
				c, age := rank(n)
				vc, vage := rank(victim)
				if c > vc || c == vc && age >= vage {
					continue
				}
			}
			victim = n
		}
	}
	if victim == nil {
		return false
	}
	s.removeNeighbor(victim, DropNeighborTableFull)
	return true
}

// removeNeighbor takes an entry out of the table; packets that wait for it are
// dropped. Pointers to it become invalid.
func (s *Stack) removeNeighbor(n *neighbor, why DropReason) {
	t := &s.arp
	for p := n.queue.Pop(); p != nil; p = n.queue.Pop() {
		s.drop(p, why)
	}
	for b := t.bucket(n.nif, n.addr); *b != nil; b = &(*b).next {
		if *b == n {
			*b = n.next
			break
		}
	}
	*n = neighbor{next: t.free}
	t.free = n
	t.n--
	s.pathGen++
	if h := s.hooks.MemAvailable; h != nil && t.starved {
		t.starved = false
		h("neighbor")
	}
}

// eachNeighbor calls fn for every entry; fn may remove the one it is given.
func (s *Stack) eachNeighbor(fn func(n *neighbor)) {
	s.arp.walking = true
	for _, n := range s.arp.buckets {
		for n != nil {
			next := n.next
			fn(n)
			n = next
		}
	}
	s.arp.walking = false
}

// neighborOutput sends a packet to a neighbour, or keeps it and asks for the
// neighbour's MAC. It owns p, whose payload is at the network header.
func (s *Stack) neighborOutput(nif *Netif, n *neighbor, p *pbuf.Pbuf, typ header.EtherType) {
	if n.usable() {
		n.touch(s.now)
		s.nd6Sent(n)
		s.ethernetOutput(nif, p, n.mac, typ)
		return
	}
	if n.state == neighLocal {
		s.loopOutput(p)
		return
	}
	s.neighborWait(n, p)
}

// neighborWait queues a packet for an address that is not resolved. When too
// many wait, the oldest goes: RFC 1122 2.3.2.2 wants the latest kept.
func (s *Stack) neighborWait(n *neighbor, p *pbuf.Pbuf) {
	if p = s.unshare(p); p == nil {
		return
	}
	if n.queue.Len() >= s.cfg.ARP.QueueLen {
		s.drop(n.queue.Pop(), DropARPQueueFull)
	}
	n.queue.Push(p)
	if n.tries == 0 {
		s.arpQuery(n)
	}
}

// unshare returns p if nobody else holds it, else a copy in its place: a packet
// that is kept is linked through its first buffer, and whoever else holds it
// may write headers there. Nil: no buffer, and p is dropped.
func (s *Stack) unshare(p *pbuf.Pbuf) *pbuf.Pbuf {
	if p.RefCount() <= 1 && !p.Alias() {
		return p
	}
	kind := pbuf.KindRAM
	if p.TotLen() > s.pool.DataRoom(pbuf.ClassStandard) {
		kind = pbuf.KindPool
	}
	q := p.Clone(pbuf.LayerLink, kind)
	if q == nil {
		s.drop(p, DropNoBuf)
		return nil
	}
	p.Free()
	return q
}
