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

// aheadWindow is what is known of some packets of a burst, one after the other, before
// it is their turn.
type aheadWindow struct {
	hash [aheadPackets]uint32
	slot [aheadPackets]uint32 // where the flow table has that hash; noSlot: there is none
	pcb  [aheadPackets]*TCP   // nil: not found
}

const (
	aheadPackets = 8
	aheadProbes  = 8 // slots that are looked at for a connection
	noSlot       = ^uint32(0)
)

// inputAhead is Input where there are so many connections that nothing of theirs is in
// the caches. It walks through the burst in windows, in steps each of which asks for
// what the next one needs, one to three windows ahead of the packets in work: the
// misses of a window overlap with each other, and with the work. Looking ahead changes
// nothing but the hash that it may leave in a packet.
func (s *Stack) inputAhead(nif *Netif, ps []*pbuf.Pbuf) {
	var windows [4]aheadWindow
	at := func(i int) *aheadWindow { return &windows[uint(i)%uint(len(windows))] }
	for i := -3; i*aheadPackets < len(ps); i++ {
		s.aheadSlots(at(i+3), nthWindow(ps, i+3))
		s.aheadPCBs(at(i+2), nthWindow(ps, i+2))
		s.aheadMore(at(i+1), nthWindow(ps, i+1))
		w := at(i)
		for k, p := range nthWindow(ps, i) {
			s.inputOne(nif, p, w.pcb[k%aheadPackets])
		}
	}
}

// nthWindow is window i of a burst; none if it begins before the first packet, or
// after the last one.
func nthWindow(ps []*pbuf.Pbuf, i int) []*pbuf.Pbuf {
	from := min(max(i*aheadPackets, 0), len(ps))
	return ps[from:max(from, min((i+1)*aheadPackets, len(ps)))]
}

// aheadSlots has the packets' places in the flow table fetched.
func (s *Stack) aheadSlots(w *aheadWindow, ps []*pbuf.Pbuf) {
	f := &s.tcp.flows.cur
	var list [aheadPackets]*flowSlot
	n := 0
	for k, p := range ps {
		k %= aheadPackets
		hash, ok := s.flowHash(p)
		if !ok {
			w.slot[k] = noSlot
			continue
		}
		w.hash[k], w.slot[k] = hash, f.home(hash)
		list[n%aheadPackets] = &f.slots[w.slot[k]]
		n++
	}
	prefetchSlots(list[:n])
}

// aheadPCBs finds the packets' connections and has them fetched. In a table that has
// grown meanwhile they are not found.
func (s *Stack) aheadPCBs(w *aheadWindow, ps []*pbuf.Pbuf) {
	f := &s.tcp.flows.cur
	var list [aheadPackets]*TCP
	n := 0
	for k := range ps {
		k %= aheadPackets
		w.pcb[k] = nil
		i := w.slot[k]
		if i == noSlot {
			continue
		}
		for range aheadProbes {
			slot := f.slots[i]
			if slot.id == 0 {
				break
			}
			if slot.hash == w.hash[k] {
				t := s.pcb(slot.id - 1)
				w.pcb[k], list[n%aheadPackets] = t, t
				n++
				break
			}
			i = f.next(i)
		}
	}
	prefetchPCBs(list[:n])
}

// aheadMore has fetched what the packets' connections point at: the segment that
// will be acknowledged, and the user's state.
func (s *Stack) aheadMore(w *aheadWindow, ps []*pbuf.Pbuf) {
	var list [aheadPackets]*pbuf.Pbuf
	n := 0
	for k := range ps {
		if t := w.pcb[k%aheadPackets]; t != nil {
			if p := t.sndq.Head(); p != nil {
				list[n%aheadPackets] = p
				n++
			}
			if t.arg != nil {
				prefetchArg(t.arg)
			}
		}
	}
	prefetchSegments(list[:n])
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
