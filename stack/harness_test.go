package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// host is a stack with one interface whose other end is the test: frames are
// put in with in, and what the stack sends is kept, checked, until it is taken.
// At the end of the test the stack is closed, every buffer must be back in the
// pool, and no drop may have been counted that the test did not ask for.
type host struct {
	*Stack
	t      testing.TB
	nif    *Netif
	prefix netip.Prefix
	sent   []frame
	stall  bool                 // the port takes nothing
	wire   func(b []byte)       // where frames go instead of sent
	asked  [NumDropReasons]bool // drops that the test has looked at
}

// hostConfig says how to make a host; the zero value is a good one.
type hostConfig struct {
	Config
	Netif  NetifConfig
	Bufs   pbuf.Config
	Prefix netip.Prefix // of the interface; default 198.18.0.1/24
	ARP    bool         // the peer 198.18.0.2 must be resolved
}

// hostStart is when a host's clock starts: not 0, which means "off" in places.
const hostStart = int64(time.Hour)

// newHost makes a host; what its interface announces has left already.
func newHost(t testing.TB, cfg hostConfig) *host {
	t.Helper()
	def(&cfg.Prefix, netip.PrefixFrom(userIP, 24))
	def(&cfg.Netif.MAC, scriptMAC)
	def(&cfg.Seed, [32]byte{1})
	cfg.Pool = pbuftest.NewPool(t, cfg.Bufs)
	s, err := New(cfg.Config)
	require.NoError(t, err)
	h := &host{Stack: s, t: t, prefix: cfg.Prefix}
	t.Cleanup(h.finish)
	s.SetNow(hostStart)
	if cfg.Netif.Output == nil {
		cfg.Netif.Output = h.output
	}
	h.nif, err = s.AddNetif(cfg.Netif)
	require.NoError(t, err)
	require.NoError(t, h.nif.AddAddr(cfg.Prefix))
	if !cfg.ARP {
		require.NoError(t, s.AddNeighbor(h.nif, peerIP, scriptPeer))
	}
	s.Flush(s.now)
	h.sent = nil
	s.stats = Stats{}
	return h
}

// finish closes the stack and asserts that nothing was dropped in silence.
func (h *host) finish() {
	if !h.t.Failed() {
		for r, n := range h.stats.Drops {
			if n != 0 && !h.asked[r] {
				h.t.Errorf("%v: %d packets dropped that the test does not speak of", DropReason(r), n)
			}
		}
	}
	h.Close()
}

// dropped asserts how many packets were dropped for a reason so far.
func (h *host) dropped(r DropReason, n int) {
	h.t.Helper()
	h.asked[r] = true
	require.Equal(h.t, n, int(h.stats.Drops[r]), "dropped as %v", r)
}

// mayDrop lets packets be dropped for these reasons; without any, for all.
func (h *host) mayDrop(rs ...DropReason) {
	for _, r := range rs {
		h.asked[r] = true
	}
	for r := range h.asked {
		h.asked[r] = h.asked[r] || len(rs) == 0
	}
}

// rxFlags have no business in a packet that is sent.
const rxFlags = pbuf.RxHash | pbuf.RxTime | pbuf.RxVLAN | pbuf.RxIPCsumGood | pbuf.RxIPCsumBad | pbuf.RxL4CsumGood |
	pbuf.RxL4CsumBad | pbuf.RxLRO | pbuf.LinkBroadcast | pbuf.LinkMulticast

// output is the port: it copies the frames and frees them, as DMA would.
func (h *host) output(ps []*pbuf.Pbuf) int {
	if h.stall {
		return 0
	}
	for _, p := range ps {
		require.Zero(h.t, p.Flags&rxFlags, "flags of its reception: %v", p.Flags)
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		if h.wire != nil {
			h.wire(b)
			continue
		}
		h.sent = append(h.sent, parseFrame(h.t, b))
	}
	return len(ps)
}

// packet copies bytes to a packet of the host's pool, a chain if they are many,
// with headroom in front, as receive buffers have it.
func (h *host) packet(b []byte) *pbuf.Pbuf {
	h.t.Helper()
	p := h.pool.Alloc(pbuf.LayerLink, len(b), pbuf.KindPool)
	require.NotNil(h.t, p)
	require.NoError(h.t, p.Take(b))
	return p
}

// chain copies bytes to a packet of buffers of n bytes each.
func (h *host) chain(b []byte, n int) *pbuf.Pbuf {
	h.t.Helper()
	var p *pbuf.Pbuf
	for first := true; first || len(b) > 0; first = false {
		k := min(n, len(b))
		q := h.packet(b[:k])
		if b = b[k:]; p == nil {
			p = q
		} else {
			p.Cat(q)
		}
	}
	return p
}

// in has the interface receive frames, in one burst, and sends the answers.
func (h *host) in(frames ...[]byte) {
	h.t.Helper()
	ps := make([]*pbuf.Pbuf, len(frames))
	for i, b := range frames {
		ps[i] = h.packet(b)
	}
	h.inPackets(ps...)
}

func (h *host) inPackets(ps ...*pbuf.Pbuf) {
	h.Input(h.nif, h.now, ps)
	h.settle()
}

// settle delivers what the stack sent to itself and sends the rest.
func (h *host) settle() {
	for h.loop.Len() != 0 {
		h.Poll(h.now)
	}
	h.Flush(h.now)
}

// advance lets time pass, stopping wherever the stack wants to run.
func (h *host) advance(d time.Duration) {
	for end := h.now + int64(d); ; {
		next := h.NextTimeout()
		if next > end {
			h.Poll(end)
			h.Flush(end)
			return
		}
		next = max(next, h.now+1)
		h.Poll(next)
		h.Flush(next)
	}
}

// take returns what was sent since the last take.
func (h *host) take() []frame {
	h.Flush(h.now)
	fs := h.sent
	h.sent = nil
	return fs
}

// one is the only frame sent since the last take.
func (h *host) one() frame {
	h.t.Helper()
	fs := h.take()
	require.Len(h.t, fs, 1, "frames sent")
	return fs[0]
}

// none asserts that nothing was sent since the last take.
func (h *host) none() {
	h.t.Helper()
	for _, f := range h.take() {
		require.Fail(h.t, "unexpected frame", "%s", f)
	}
}

// addr is the address of the host's interface.
func (h *host) addr() netip.Addr { return h.prefix.Addr() }

// pair is two hosts with a link between them, in simulated time.
type pair struct {
	t    testing.TB
	a, b *host
	ab   link // from a to b
	ba   link
	now  int64
}

// pairConfig says how to make a pair; the zero value is two hosts, 50 µs apart,
// that find each other by ARP.
type pairConfig struct {
	A, B   hostConfig
	AB, BA linkConfig
}

// newPair makes hosts 198.18.0.1 and 198.18.0.2 with a link between them.
func newPair(t testing.TB, cfg pairConfig) *pair {
	t.Helper()
	cfg.A.ARP, cfg.B.ARP = true, true
	def(&cfg.A.Prefix, netip.PrefixFrom(userIP, 24))
	def(&cfg.B.Prefix, netip.PrefixFrom(peerIP, 24))
	def(&cfg.A.Netif.MAC, scriptMAC)
	def(&cfg.B.Netif.MAC, scriptPeer)
	def(&cfg.B.Seed, [32]byte{2})
	w := &pair{t: t, now: hostStart, a: newHost(t, cfg.A), b: newHost(t, cfg.B)}
	w.ab.init(cfg.AB, 1)
	w.ba.init(cfg.BA, 2)
	w.a.wire = func(b []byte) { w.ab.send(w.now, b) }
	w.b.wire = func(b []byte) { w.ba.send(w.now, b) }
	return w
}

// flush sends what both hosts have queued.
func (w *pair) flush() {
	w.a.settle()
	w.b.settle()
}

// step jumps to the next event, if it is not after end, and deals with it.
func (w *pair) step(end int64) bool {
	w.flush()
	next := min(w.ab.next(), w.ba.next(), w.a.NextTimeout(), w.b.NextTimeout())
	if next > end {
		return false
	}
	w.now = max(next, w.now)
	w.a.SetNow(w.now)
	w.b.SetNow(w.now)
	w.ab.deliver(w.now, w.b)
	w.ba.deliver(w.now, w.a)
	w.a.Poll(w.now)
	w.b.Poll(w.now)
	w.flush()
	if min(w.a.NextTimeout(), w.b.NextTimeout()) <= w.now {
		w.now++ // a stalled port wants to be asked again: never stand still
	}
	return true
}

// run lets time pass.
func (w *pair) run(d time.Duration) {
	end := w.now + int64(d)
	for w.step(end) {
	}
	w.now = max(w.now, end)
	w.a.SetNow(w.now)
	w.b.SetNow(w.now)
}

// until runs till cond holds and fails the test if it does not within d.
func (w *pair) until(d time.Duration, cond func() bool) {
	w.t.Helper()
	for end := w.now + int64(d); !cond(); {
		require.True(w.t, w.step(end), "not within %v", d)
	}
}

// quiet makes the host's port free what it is given, without a copy.
func (h *host) quiet() {
	h.nif.output = func(ps []*pbuf.Pbuf) int {
		pbuf.FreeBatch(ps)
		return len(ps)
	}
}

// receive puts a frame into the stack without an allocation of the test's own.
func (h *host) receive(ps []*pbuf.Pbuf, frames ...[]byte) {
	for i, b := range frames {
		p := h.pool.Alloc(pbuf.LayerLink, len(b), pbuf.KindRAM)
		copy(p.Payload(), b)
		ps[i] = p
	}
	h.now++
	h.Input(h.nif, h.now, ps[:len(frames)])
	h.Flush(h.now)
}
