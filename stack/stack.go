package stack

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// Forever is what NextTimeout returns when nothing is due.
const Forever = math.MaxInt64

// Stack is one shard's TCP/IP stack. Only its thread may use it.
type Stack struct {
	now     int64
	tsNow   uint32 // RFC 7323 timestamp clock: now in units of 2^20 ns
	pool    *pbuf.Pool
	hasher  *rss.Hasher // nil: flowKey
	flowKey flowKey
	hooks   Hooks
	cfg     Config
	stats   Stats
	depth   int // nesting of Input and Poll; PCBs are recycled at 0

	netifs []*Netif
	routes []Route
	locals localTable
	// pathGen changes whenever a route, an address or a neighbour goes; cached
	// paths of another generation are looked up anew.
	pathGen uint32
	paths   [pathSlots]pathEntry

	arp   arpTable
	nd6   nd6State
	reass reassembly
	icmp  icmpState
	udp   udpState
	raw   []*Raw
	tcp   tcpState

	loop   pbuf.Queue // packets to ourselves (netif_loop_output)
	ipID   uint32
	ip6ID  uint32
	pmtu   *[pmtuSlots]pmtuEntry // nil: no path is known to be narrow
	rng    rng
	cyclic []cyclicTimer
	closed bool
}

// New makes a stack. It allocates what it needs up front where it can.
func New(cfg Config) (*Stack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if cfg.Hasher == nil && cfg.Hooks.Steer != nil {
		cfg.Hasher = rss.NewHasher(rss.DefaultKey)
	}
	s := &Stack{pool: cfg.Pool, hasher: cfg.Hasher, hooks: cfg.Hooks, cfg: cfg, pathGen: 1}
	s.rng.seed(binary.LittleEndian.Uint64(cfg.Seed[0:]), binary.LittleEndian.Uint64(cfg.Seed[8:]))
	s.ipID, s.ip6ID = s.rng.uint32(), s.rng.uint32()
	s.localInit()
	s.arpInit()
	s.nd6Init()
	s.reassInit()
	s.icmpInit()
	s.udpInit()
	s.tcpInit()
	return s, nil
}

// SetNow moves the clock without doing anything else, for callers that use
// the API between polls. Time never goes back: an older now is ignored.
func (s *Stack) SetNow(now int64) {
	if now > s.now {
		s.now = now
		s.tsNow = uint32(now >> 20)
	}
}

// Now is the time of the call in progress.
func (s *Stack) Now() int64 { return s.now }

// Stats are the live counters, for the stack's thread.
func (s *Stack) Stats() *Stats { return &s.stats }

// Pool is the pool that the stack takes its buffers from.
func (s *Stack) Pool() *pbuf.Pool { return s.pool }

// Input takes a burst of frames received on nif. It owns them from here on.
func (s *Stack) Input(nif *Netif, now int64, ps []*pbuf.Pbuf) {
	s.SetNow(now)
	s.depth++
	nif.countIn(ps)
	if s.tcp.flows.worthPrefetch() {
		s.inputAhead(nif, ps)
	} else {
		for _, p := range ps {
			s.inputOne(nif, p, nil)
		}
	}
	s.leave()
}

// inputOne takes one frame. t is the connection that it seems to be for, or nil.
func (s *Stack) inputOne(nif *Netif, p *pbuf.Pbuf, t *TCP) {
	if !s.plainIn(nif) || !s.plainInput(nif, p, t) {
		s.ethernetInput(nif, p)
	}
}

// timersEach is how many timers of connections one Poll lets fire. With very many
// connections thousands can be due at once: what they send has to leave, and what
// has arrived to be taken, before the queues to and from the port are full.
const timersEach = 64

// Poll runs the timers that are due and delivers packets to ourselves. Of many that
// are due at once it runs some; NextTimeout is not in the future, then.
func (s *Stack) Poll(now int64) {
	s.SetNow(now)
	s.depth++
	if s.loop.Len() != 0 {
		s.loopInput()
	}
	s.tcp.wheel.advance(now, timersEach, s)
	for i := range s.cyclic {
		s.cyclic[i].run(s, now)
	}
	s.leave()
}

func (s *Stack) leave() {
	s.depth--
	if s.depth == 0 && s.tcp.grave != nil {
		s.tcpRecycle()
	}
}

// Flush hands the queued frames of every interface to its port.
func (s *Stack) Flush(now int64) {
	s.SetNow(now)
	for _, nif := range s.netifs {
		if len(nif.txq) != 0 {
			nif.flush()
		}
		if len(nif.waiting) != 0 && !nif.busy() {
			nif.resume()
			nif.flush()
		}
	}
}

// NextTimeout is when Poll and Flush want to be called next, or Forever. It
// may be early, never late by more than a tick of the wheel.
func (s *Stack) NextTimeout() int64 {
	if s.loop.Len() != 0 {
		return s.now
	}
	for _, nif := range s.netifs {
		if len(nif.txq) != 0 || len(nif.waiting) != 0 {
			return s.now
		}
	}
	next := s.tcp.wheel.next()
	for i := range s.cyclic {
		if c := &s.cyclic[i]; c.active && c.at < next {
			next = c.at
		}
	}
	return next
}

// Close aborts every connection without a word to the peers, closes every
// PCB and frees every packet. The stack is of no use afterwards.
func (s *Stack) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.tcpClose()
	s.udpClose()
	s.rawClose()
	s.reassClose()
	s.arpClose()
	for p := s.loop.Pop(); p != nil; p = s.loop.Pop() {
		p.Free()
	}
	for _, nif := range s.netifs {
		nif.discard()
		nif.up = false
	}
}

// AddNetif adds an interface, up and without addresses.
func (s *Stack) AddNetif(cfg NetifConfig) (*Netif, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	index := s.freeIndex()
	if index == 0 {
		return nil, ErrMem
	}
	nif := newNetif(s, index, cfg)
	s.netifs = append(s.netifs, nif)
	return nif, nil
}

// Netifs are the interfaces in the order they were added.
func (s *Stack) Netifs() []*Netif { return s.netifs }

// drop frees a packet and counts why.
func (s *Stack) drop(p *pbuf.Pbuf, why DropReason) {
	s.stats.Drops[why]++
	p.Free()
}

// alloc makes a packet for output, or nil.
func (s *Stack) alloc(l pbuf.Layer, n int, k pbuf.Kind) *pbuf.Pbuf {
	if h := s.hooks.AllocPbuf; h != nil {
		return h(l, n, k)
	}
	return s.pool.Alloc(l, n, k)
}

// reserveShare of the standard buffers is kept from data to send: when
// unacknowledged data has taken every buffer, nothing is left to receive the
// acknowledgements with.
const (
	reserveShare = 8
	starveShare  = 32
	crowdShare   = 4
)

// scarce reports whether n bytes of data to send would take a buffer from the
// reserve. Replies and control segments may use it.
func (s *Stack) scarce(n int) bool {
	if n <= pbuf.SmallRoom && s.pool.Avail(pbuf.ClassSmall) > 0 {
		return false
	}
	return s.pool.Avail(pbuf.ClassStandard) <= s.pool.Cap(pbuf.ClassStandard)/reserveShare
}

// starved reports whether so few standard buffers are left that data received
// must not take more: the acknowledgements that would free some could not be
// received any more.
func (s *Stack) starved() bool {
	return s.pool.Avail(pbuf.ClassStandard) < s.pool.Cap(pbuf.ClassStandard)/starveShare
}

// short reports whether few standard buffers are left.
func (s *Stack) short() bool {
	return s.pool.Avail(pbuf.ClassStandard) <= s.pool.Cap(pbuf.ClassStandard)/crowdShare
}

// crowded reports whether small data had better not keep the standard buffer that it
// came in: such buffers are short, or are kept for so long, by so many connections,
// that the next packet would be received into one that is in no cache any more.
func (s *Stack) crowded() bool { return s.tcp.flows.worthPrefetch() || s.short() }

func validPrefix(p netip.Prefix) bool {
	return p.IsValid() && p.Bits() >= 0
}

// removeAt deletes element i of list, keeping the order.
func removeAt[T any](list []T, i int) []T { return slices.Delete(list, i, i+1) }
