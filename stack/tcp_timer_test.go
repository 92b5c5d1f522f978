package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The wheel's entry of a connection that has ended serves the next one that
// takes its PCB: that one's timers run neither early nor late, and nothing
// happens when no one has taken it.
func TestTimerEntryOutlivesItsConnection(t *testing.T) {
	h := newHost(t, hostConfig{})
	syn := func() *TCP {
		c := h.NewTCP()
		require.NoError(t, c.Connect(ap(peerIP, 80), nil))
		f := h.one()
		require.Equal(t, header.TCPSyn, f.tcp.Flags())
		return c
	}
	first := syn()
	h.advance(700 * time.Millisecond)
	first.Abort()
	h.take()

	second := syn()
	require.Same(t, first, second, "the same PCB again")
	h.advance(999 * time.Millisecond) // past the time of first's timer
	h.none()
	h.advance(3 * time.Millisecond)
	require.Equal(t, header.TCPSyn, h.one().tcp.Flags(), "RFC 6298 2.1: after a second")
	second.Abort()
	h.take()

	h.advance(time.Minute)
	h.none()
	require.Zero(t, h.tcp.wheel.count)
}

// ackPair is a pair whose host b accepts what a connects, takes data without
// answering, and has a short queue to its port.
func ackPair(t *testing.T, conns int) (w *pair, pcbs []*TCP, got *int) {
	t.Helper()
	w, got = newPair(t, pairConfig{B: hostConfig{Netif: NetifConfig{TxQueue: 64}}}), new(int)
	require.NoError(t, w.a.AddNeighbor(w.a.nif, peerIP, scriptPeer))
	require.NoError(t, w.b.AddNeighbor(w.b.nif, userIP, scriptMAC))
	l := w.b.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	require.NoError(t, l.Listen(conns))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, _ *TCP, p *pbuf.Pbuf, _ error) error {
			*got += p.TotLen() // not taken: the window stays, so that nothing else is to be said
			p.Free()
			return nil
		})
		return nil
	})
	for range conns {
		c := w.a.NewTCP()
		require.NoError(t, c.Connect(ap(peerIP, 80), nil))
		pcbs = append(pcbs, c)
	}
	w.run(time.Second)
	return w, pcbs, got
}

// abort ends the connections of an ackPair, none of which has sent anything twice.
func (w *pair) abort(pcbs []*TCP) {
	w.t.Helper()
	for _, c := range pcbs {
		require.Equal(w.t, c.sndMax, c.sndUna, "acknowledged, and not by a retransmission")
		c.Abort()
	}
	require.Zero(w.t, w.a.stats.TCP.RetransSegs)
	w.run(time.Second)
}

// TestManyDelayedAcks: the ACKs of very many connections, all due at once while the
// port takes nothing, are not dropped, nor are they sent all in one Poll. Those that
// find the queue half full wait for the port, not for another timer (RFC 9293
// 3.8.6.3 bounds the delay, not how they go out).
func TestManyDelayedAcks(t *testing.T) {
	const conns = 250
	w, pcbs, got := ackPair(t, conns)
	for _, c := range pcbs {
		require.NoError(t, c.Write([]byte("x"), 0))
		require.NoError(t, c.Output())
	}
	w.until(10*time.Millisecond, func() bool { return *got == conns })
	require.Zero(t, w.b.stats.TCP.DelayedAcks)

	w.b.stall = true
	now := w.now + int64(50*time.Millisecond)
	polls := 0
	for ; w.b.stats.TCP.DelayedAcks < conns; polls++ {
		before := w.b.stats.TCP.DelayedAcks
		require.LessOrEqual(t, w.b.NextTimeout(), now)
		w.b.Poll(now)
		require.LessOrEqual(t, w.b.stats.TCP.DelayedAcks-before, uint64(timersEach+fireAhead))
	}
	require.Greater(t, polls, conns/(timersEach+fireAhead))
	require.Len(t, w.b.nif.txq, 32)
	require.Len(t, w.b.nif.waiting, conns-32)
	w.b.EachTCP(func(p *TCP) { require.Zero(t, p.delack, "none waits for a timer") })

	w.b.stall = false
	w.now = now
	w.run(10 * time.Millisecond)
	w.abort(pcbs)
}

// TestAckWaitsForAFullQueue: an ACK that is due at once (RFC 5681 4.2) and finds no
// room at all goes out when there is some, and says what is the latest then.
func TestAckWaitsForAFullQueue(t *testing.T) {
	w, pcbs, got := ackPair(t, 1)
	w.b.stall = true
	u := w.b.NewUDP()
	for !w.b.nif.full() {
		require.NoError(t, u.SendTo(w.b.alloc(pbuf.LayerTransport, 10, pbuf.KindRAM), ap(userIP, 9)))
	}
	w.a.mayDrop(DropUDPNoPort)
	w.b.mayDrop(DropICMPIgnored)
	c := pcbs[0]
	c.SetNoDelay(true)
	for i := range 4 {
		require.NoError(t, c.Write([]byte("x"), 0))
		require.NoError(t, c.Output())
		w.until(10*time.Millisecond, func() bool { return *got == i+1 })
	}
	require.Zero(t, w.b.stats.Drops[DropTxQueueFull])
	require.Len(t, w.b.nif.waiting, 1)
	acks := w.b.stats.TCP.OutSegs
	w.b.stall = false
	w.run(10 * time.Millisecond)
	require.Equal(t, acks+1, w.b.stats.TCP.OutSegs, "one ACK of all four")
	u.Close()
	w.abort(pcbs)
}
