package shard

import (
	"fmt"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Cause says why a packet left the shard that it arrived at.
type Cause uint8

// The causes.
const (
	// CauseNoRSS: the port has no RSS, or none that can be computed.
	CauseNoRSS Cause = iota
	// CauseFewQueues: the port has RSS, but fewer queues than there are shards.
	CauseFewQueues
	// CauseWrongHash: the port put it into another queue than its reported key
	// and table lead to.
	CauseWrongHash
	// CauseTunnel: the port does not look past VLAN tags.
	CauseTunnel
	// CauseFragment: a fragment, on its way to where the packet is put together;
	// or the packet, on its way from there to its flow's shard.
	CauseFragment
	// CauseICMP: an error about a flow of another shard, or an echo reply.
	CauseICMP
	// CauseProtocol: a protocol without ports.
	CauseProtocol
	// CauseGroup: a copy of a broadcast or multicast.
	CauseGroup
	// CauseResteer: the table has changed, and the flow lives where the old one
	// led to, or the port still follows that.
	CauseResteer
	// CauseRelay: a frame to be sent, of a shard without a queue.
	CauseRelay
	// CauseND: neighbour or multicast listener discovery of IPv6, which the first
	// shard does for all.
	CauseND
	numCauses
)

// NumCauses is how many causes there are: 0 … NumCauses-1.
const NumCauses = int(numCauses)

var causeNames = [numCauses]string{"no RSS", "few queues", "wrong hash", "tunnel", "fragment",
	"ICMP", "protocol", "group", "re-steered", "relay", "ND"}

// String is a short name.
func (c Cause) String() string {
	if c < numCauses {
		return causeNames[c]
	}
	return "invalid"
}

// Handover counts the packets that one shard gave another.
type Handover struct {
	From, To int
	Packets  [NumCauses]uint64 // by cause, those lost included
	Lost     uint64            // of them: To's ring was full
}

// Total adds up the causes.
func (h *Handover) Total() (n uint64) {
	for _, v := range h.Packets {
		n += v
	}
	return n
}

// String names the shards and the causes that occurred.
func (h *Handover) String() string {
	s := fmt.Sprintf("%d → %d:", h.From, h.To)
	for c, n := range h.Packets {
		if n != 0 {
			s += fmt.Sprintf(" %s %d,", Cause(c), n)
		}
	}
	return s + fmt.Sprintf(" lost %d", h.Lost)
}

// Handovers are the packets that shards have given each other, for each pair
// with any, by From and To. It asks the shards, and works after Stop, too. Any
// thread but the shards'.
func (g *Group) Handovers() []Handover {
	list := make([][]Handover, len(g.shards))
	take := func(s *Shard) error {
		for i := range s.lanes {
			l := &s.lanes[i]
			h := Handover{From: s.id, To: l.peer.id, Packets: l.handed, Lost: l.lost}
			if h.Total() != 0 {
				list[s.id] = append(list[s.id], h)
			}
		}
		return nil
	}
	if err := g.Do(take); err != nil { // stopping: then the shards are ours soon
		<-g.closed
		for _, s := range g.shards {
			list[s.id] = nil
			_ = take(s)
		}
	}
	var all []Handover
	for _, l := range list {
		all = append(all, l...)
	}
	return all
}

// steer hands packets of other shards over and returns the others, in order.
func (s *Shard) steer(sp *shardPort, ps []*pbuf.Pbuf) []*pbuf.Pbuf {
	own := ps[:0]
	for _, p := range ps {
		home, why := sp.steer.home(p, s.id)
		if sp.steer.moved != nil || why == CauseGroup {
			if s.steerSlow(sp, p, home, why) {
				continue
			}
			home = s.id
		}
		if home == s.id {
			own = append(own, p)
			continue
		}
		p.Netif = sp.nif.Index()
		s.hand(&s.lanes[s.laneTo(home)], p, meshInput, why)
	}
	return own
}

// steerSlow takes what needs more than a table: groups, and everything while
// flows live where an old table led to. False: p is for this shard.
func (s *Shard) steerSlow(sp *shardPort, p *pbuf.Pbuf, home int, why Cause) (handed bool) {
	p.Netif = sp.nif.Index()
	if why == CauseGroup {
		if home == s.id {
			s.spread(sp, p)
			return false
		}
		s.hand(&s.lanes[s.laneTo(home)], p, meshSpread, sp.steer.away)
		return true
	}
	if sp.steer.moved != nil && s.follow(sp, p, home == s.id) {
		return true
	}
	if home == s.id || sp.steer.moved != nil && s.owns(sp.steer, p) {
		return false
	}
	s.hand(&s.lanes[s.laneTo(home)], p, meshInput, why)
	return true
}

// onSteer is the stack's Steer hook. It sees what could not be told from the
// frame alone: packets that the stack has put together from fragments, payload
// at the Ethernet header. True: it was handed over.
func (s *Shard) onSteer(nif *stack.Netif, p *pbuf.Pbuf, _ uint32) bool {
	i := int(nif.Index()) - 1
	if i >= len(s.ports) {
		return false // an interface that is none of the group's
	}
	sp := &s.ports[i]
	home, why := sp.steer.home(p, s.id)
	if why != CauseICMP {
		why = CauseFragment
	}
	if sp.steer.moved != nil {
		return s.steerSlow(sp, p, home, why)
	}
	if home == s.id {
		return false
	}
	p.Netif = nif.Index()
	s.hand(&s.lanes[s.laneTo(home)], p, meshInput, why)
	return true
}

// spread gives copies of a group's datagram to the other shards, if this one,
// whose flow it is, has nobody who takes it: a socket that all shards have, as
// netconn's, gets it once, and one that a single shard has gets it wherever it
// is. p stays the caller's.
func (s *Shard) spread(sp *shardPort, p *pbuf.Pbuf) {
	if s.takesGroup(sp, p) {
		return
	}
	for i := range s.lanes {
		c := p.Clone(pbuf.LayerRaw, pbuf.KindPool)
		if c == nil {
			s.n.MeshNoBuf++
			return
		}
		c.Netif = sp.nif.Index()
		s.hand(&s.lanes[i], c, meshGroup, CauseGroup)
	}
}

// takesGroup reports whether a PCB of this shard takes the datagram in frame p.
func (s *Shard) takesGroup(sp *shardPort, p *pbuf.Pbuf) bool {
	f, ok := flowOf(p.Payload(), sp.nif.Index())
	return ok && f.proto == header.ProtoUDP && s.stack.TakesUDP(sp.nif, f.remote, f.local, f.rport, f.lport)
}
