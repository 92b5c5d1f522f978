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
func (t *TCP) Prefetch() { prefetchPCBs(t) }

// PrefetchArg: see Prefetch.
func (t *TCP) PrefetchArg() { prefetchArg(t.arg) }

// lookahead is what is known of a burst's packets before it is their turn. With very
// many connections nothing of theirs is in the caches. So a burst is walked through in
// windows, in steps each of which asks for what the next one needs, one to three
// windows ahead of the packets in work: the misses of a window overlap with each
// other, and with the work. It changes nothing but the hash that it may leave in a
// packet.
type lookahead struct {
	windows [4]aheadWindow
	id      uint32 // of the connection of the packet in work, as in aheadWindow
}

// aheadWindow is some packets of a burst, one after the other.
type aheadWindow struct {
	hash [aheadPackets]uint32
	// ids are the packets' connections, as in flowSlot. 0: not found, nothing to be
	// found by; tombstone: not looked for yet.
	ids [aheadPackets]uint32
}

const (
	aheadPackets = 8
	aheadProbes  = 8 // slots that are looked at for a connection
)

// inputAhead is Input where there are many connections.
func (s *Stack) inputAhead(nif *Netif, ps []*pbuf.Pbuf) {
	a := &s.tcp.ahead
	for i := -3; i*aheadPackets < len(ps); i++ {
		s.aheadSlots(a.window(i+3), nthWindow(ps, i+3))
		s.aheadPCBs(a.window(i+2), nthWindow(ps, i+2))
		s.aheadMore(a.window(i+1), nthWindow(ps, i+1))
		w := a.window(i)
		for k, p := range nthWindow(ps, i) {
			a.id = w.ids[k%aheadPackets]
			s.inputOne(nif, p)
		}
	}
	a.id = 0
}

func (a *lookahead) window(i int) *aheadWindow { return &a.windows[uint(i)%uint(len(a.windows))] }

// nthWindow is window i of a burst; none if it begins before the first packet, or
// after the last one.
func nthWindow(ps []*pbuf.Pbuf, i int) []*pbuf.Pbuf {
	from := min(max(i*aheadPackets, 0), len(ps))
	return ps[from:max(from, min((i+1)*aheadPackets, len(ps)))]
}

// aheadSlots has the packets' places in the flow table fetched.
func (s *Stack) aheadSlots(w *aheadWindow, ps []*pbuf.Pbuf) {
	f := &s.tcp.flows.cur
	var room [aheadPackets]*flowSlot
	list := room[:0]
	for k, p := range ps {
		hash, ok := s.flowHash(p)
		if !ok {
			w.ids[k%aheadPackets] = 0
			continue
		}
		w.hash[k%aheadPackets], w.ids[k%aheadPackets] = hash, tombstone
		list = append(list, &f.slots[f.home(hash)])
	}
	prefetchSlots(list)
}

// aheadPCBs finds the packets' connections and has them fetched.
func (s *Stack) aheadPCBs(w *aheadWindow, ps []*pbuf.Pbuf) {
	f := &s.tcp.flows.cur
	var room [aheadPackets]*TCP
	list := room[:0]
	for k := range ps {
		if w.ids[k%aheadPackets] == 0 {
			continue
		}
		hash, id := w.hash[k%aheadPackets], uint32(0)
		for i, n := f.home(hash), 0; n < aheadProbes; i, n = f.next(i), n+1 {
			slot := f.slots[i]
			if slot.hash == hash || slot.id == 0 {
				id = slot.id
				break
			}
		}
		if w.ids[k%aheadPackets] = id; id != 0 {
			list = append(list, s.pcb(id-1))
		}
	}
	prefetchPCBs(list...)
}

// aheadMore has fetched what the packets' connections point at: the segment that
// will be acknowledged, and the user's state.
func (s *Stack) aheadMore(w *aheadWindow, ps []*pbuf.Pbuf) {
	var room [aheadPackets]*pbuf.Pbuf
	list := room[:0]
	for k := range ps {
		if id := w.ids[k%aheadPackets]; id != 0 {
			t := s.pcb(id - 1)
			if p := t.sndq.Head(); p != nil {
				list = append(list, p)
			}
			if t.arg != nil {
				prefetchArg(t.arg)
			}
		}
	}
	prefetchSegments(list)
}

// foreseen is the connection of segment in, if the packet's was found ahead. Nil: it
// is to be looked up.
func (s *Stack) foreseen(in *inSegment) *TCP {
	id := s.tcp.ahead.id
	if id == 0 {
		return nil
	}
	t := s.pcb(id - 1)
	if t.remote != in.src || t.lport != in.dport || t.rport != in.sport || t.local != in.dst {
		return nil // another one with this hash; if it was closed meanwhile it has no ends
	}
	in.hash = t.hash
	return t
}

// flowHash is the hash of a packet's flow, left in the packet if that is what a NIC
// would; false if it is no plain segment.
func (s *Stack) flowHash(p *pbuf.Pbuf) (uint32, bool) {
	if s.knowsHash(p) {
		return p.Hash, true
	}
	h, _, _, ok := header.ParseTCP4(p.Payload())
	if !ok {
		return 0, false
	}
	hash := s.plainHash(p, h.Plain(), h.TCP().SrcPort(), h.TCP().DstPort())
	if s.hasher != nil {
		p.Hash = hash
		p.Flags |= pbuf.RxHash
	}
	return hash, true
}
