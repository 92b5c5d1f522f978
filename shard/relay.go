package shard

import "github.com/shardstack/shardstack/pbuf"

// relayLimit is how many frames of other shards may wait for a full port.
const relayLimit = 2048

// output is the Netif.Output of the shard's interface on sp: it takes the
// first n frames.
func (s *Shard) output(sp *shardPort, ps []*pbuf.Pbuf) (n int) {
	if sp.txq < 0 {
		return s.outputVia(sp, ps)
	}
	s.yield(sp, s.now)
	n = sp.port.TxBurst(sp.txq, s.now, ps)
	s.n.TxPackets += uint64(n)
	if n > 0 {
		s.n.TxBursts++
		sp.yields = true
	}
	if n < len(ps) {
		sp.refused = true
		s.n.TxRefused += uint64(len(ps) - n)
	}
	return n
}

// yield sends frames of other shards if it is their turn. Whoever comes first has
// the room of a full port: they and our own take turns.
func (s *Shard) yield(sp *shardPort, now int64) {
	if sp.yields && sp.relay.Len() != 0 {
		before := s.n.RelayedIn
		s.sendRelay(sp, now)
		sp.yields = s.n.RelayedIn == before
	}
}

// outputVia gives frames to the shard that has a queue. What its ring has no
// room for is refused and stays with the interface. A frame that the stack
// keeps for retransmission is copied, as it can't be in two threads' hands.
func (s *Shard) outputVia(sp *shardPort, ps []*pbuf.Pbuf) int {
	l := &s.lanes[s.laneTo(sp.via)]
	room := l.out.packets.Free() - len(l.stage)
	for i, p := range ps {
		if i >= room {
			sp.refused = true
			s.n.TxRefused += uint64(len(ps) - i)
			return i
		}
		p.Netif = sp.nif.Index()
		if s.hand(l, p, meshSend, CauseRelay) {
			s.n.RelayedOut++
			s.n.TxPackets++
		}
	}
	return len(ps)
}

// sendRelay sends frames that other shards gave us. What the port does not take
// waits, up to a limit.
func (s *Shard) sendRelay(sp *shardPort, now int64) {
	ps := s.meshPs[:]
	for sp.relay.Len() != 0 {
		n := 0
		for p := sp.relay.Head(); p != nil && n < len(ps); p = p.QNext() {
			ps[n] = p
			n++
		}
		for range n {
			sp.relay.Pop()
		}
		sent := sp.port.TxBurst(sp.txq, now, ps[:n])
		s.n.RelayedIn += uint64(sent)
		s.n.TxPackets += uint64(sent)
		if sent > 0 {
			s.n.TxBursts++
		}
		for i := n - 1; i >= sent; i-- {
			sp.relay.PushFront(ps[i])
		}
		if sent < n {
			sp.refused = true
			break
		}
	}
	for sp.relay.Len() > relayLimit {
		sp.relay.Pop().Free()
		s.n.RelayFull++
	}
}
