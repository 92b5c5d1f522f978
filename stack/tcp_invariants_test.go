package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// checkInvariants checks what must hold for every connection between two
// calls, whatever the peer sent.
func checkInvariants(t testing.TB, s *Stack) {
	t.Helper()
	inUse := uint64(0)
	s.EachTCP(func(c *TCP) {
		inUse++
		if c.state == StateClosed || c.state == StateListen {
			return
		}
		name := fmt.Sprintf("connection %d, %v", c.id, c.state)
		require.True(t, c.sndUna.LessEq(c.sndNxt) && c.sndNxt.LessEq(c.sndMax) && c.sndMax.LessEq(c.sndLbb),
			"%s: una %d nxt %d max %d lbb %d", name, c.sndUna, c.sndNxt, c.sndMax, c.sndLbb)
		checkSendQueue(t, c, name)
		checkScoreboard(t, c, name)
		checkOutOfOrder(t, c, name)
		require.LessOrEqual(t, c.rcvWnd, c.recvBuf(), "%s: receive window", name)
		require.GreaterOrEqual(t, c.cc.Cwnd, c.cc.MSS, "%s: cwnd below a segment", name)
		for _, at := range []int64{c.delack, c.rtxAt, c.ctlAt} {
			if at != 0 {
				require.True(t, c.timerAt != 0 && c.timerAt <= at, "%s: timer at %d, entry at %d", name, at, c.timerAt)
			}
		}
		if c.sndMax != c.sndUna || c.unsent != nil && c.state >= StateEstablished && c.state != StateTimeWait && c.nagleFree() {
			require.NotZero(t, c.rtxAt, "%s: waits for an ACK without a timer", name)
		}
		require.Same(t, c, s.lookup(c.local, c.remote, c.lport, c.rport, c.hash), "%s: not in the flow table", name)
	})
	require.Equal(t, s.stats.TCP.CurrPCBs, inUse, "CurrPCBs")
}

// nagleFree reports whether nothing but a window can hold what is unsent.
func (t *TCP) nagleFree() bool {
	return t.sndNxt == t.sndUna && t.flags&tfAwaitsPort == 0 && (t.flags&tfOwnCC == 0 || t.cold.own.pace.at == 0)
}

func checkSendQueue(t testing.TB, c *TCP, name string) {
	t.Helper()
	seq, data, seen := c.sndUna, uint32(0), c.unsent == nil
	for p := c.sndq.Head(); p != nil; p = p.QNext() {
		g := seg(p)
		seen = seen || p == c.unsent
		if p == c.sndq.Head() {
			require.True(t, g.seq.LessEq(c.sndUna) && g.end().Greater(c.sndUna), "%s: head %d … %d, una %d", name, g.seq, g.end(), c.sndUna)
			seq = g.seq
		}
		// A segment that the port holds may be longer: what was cut off it.
		if g.pull {
			require.Zero(t, p.TotLen(), "%s: data of a pulled segment", name)
			require.Equal(t, seq, g.seq, "%s: pulled segment", name)
		} else if more := kept(t, p, g) - int(g.n); g.seq != seq || more != 0 && (more < 0 || !held(p, g)) { // cheaper than require in a fuzz target
			t.Fatalf("%s: send queue: want %d, have %d with %d bytes of %d", name, seq, g.seq, g.n, kept(t, p, g))
		}
		seq = g.end()
		data += g.n
	}
	require.True(t, seen, "%s: the unsent segment is not in the queue", name)
	if c.state != StateTimeWait {
		require.Equal(t, c.sndLbb, seq, "%s: end of the send queue", name)
		require.Equal(t, c.sendBufSize(), c.sndBuf+data, "%s: send buffer accounting", name)
	}
}

// kept is how many bytes of data a segment has in its buffers: all together, or
// each in a packet of its own.
func kept(t testing.TB, p *pbuf.Pbuf, g *tcpSeg) int {
	t.Helper()
	n := p.TotLen() - int(g.hdr)
	if !g.apart {
		return n
	}
	require.Nil(t, p.Next(), "a frame of several buffers")
	for q := g.parts.Head(); q != nil; q = q.QNext() {
		require.Nil(t, q.Next(), "a frame of several buffers")
		n += q.TotLen() - int(g.hdr)
	}
	return n
}

// checkScoreboard compares the sums of tcpLoss with the marks of the segments.
func checkScoreboard(t testing.TB, c *TCP, name string) {
	t.Helper()
	var sacked, lost, resent uint32
	for p := c.sndq.Head(); p != nil; p = p.QNext() {
		if p == c.unsent {
			break
		}
		g := seg(p)
		for mark, sum := range map[uint8]*uint32{segSacked: &sacked, segLost: &lost, segResent: &resent} {
			if g.mark&mark != 0 {
				*sum += g.seqLen()
			}
		}
		if g.mark&segSacked != 0 && g.mark != segSacked || g.mark&(segLost|segResent) == segResent {
			t.Fatalf("%s: marks %x", name, g.mark)
		}
	}
	for p := c.unsent; p != nil; p = p.QNext() {
		require.Zero(t, seg(p).mark, "%s: marks of what was not sent", name)
	}
	if c.flags&tfLoss == 0 {
		require.Zero(t, sacked+lost+resent, "%s: marks without loss state", name)
		require.Zero(t, c.flags&(tfRecovery|tfRTO), "%s: recovery without loss state", name)
		return
	}
	l := c.cold.loss
	if c.flags&tfSack != 0 {
		require.Equal(t, sacked, l.sacked, "%s: sacked", name)
	}
	require.Equal(t, lost, l.lost, "%s: lost", name)
	require.Equal(t, resent, l.resent, "%s: resent", name)
}

func checkOutOfOrder(t testing.TB, c *TCP, name string) {
	t.Helper()
	last, n := c.rcvNxt, uint32(0)
	for p := c.ooseq.Head(); p != nil; p = p.QNext() {
		g := seg(p)
		if c.refused == nil {
			require.True(t, g.seq.Greater(c.rcvNxt), "%s: %d is in order (%d)", name, g.seq, c.rcvNxt)
		}
		require.True(t, g.seq.GreaterEq(last), "%s: out-of-order queue overlaps at %d", name, g.seq)
		require.Equal(t, int(g.n), p.TotLen(), "%s: out-of-order length", name)
		last = g.end()
		n += g.n
	}
	require.Equal(t, n, c.ooBytes, "%s: out-of-order bytes", name)
}

// FuzzTCP drives a connection with arbitrary segments around its windows, with and
// without SACK blocks, and arbitrary calls of the user; the invariants hold after
// each. The first byte says what the connection is like.
func FuzzTCP(f *testing.F) {
	for _, kind := range []byte{0, fuzzSACK, fuzzSACK | fuzzProbes, fuzzSACK | fuzzBig | fuzzMeter, fuzzSACK | fuzzBBR, fuzzProbes | fuzzBig, fuzzMeter} {
		f.Add([]byte{kind, 0, 0x10, 1, 0, 10, 1, 1, 200, 2, 3, 0, 0x11, 1, 0, 0, 1})
		f.Add([]byte{kind, 1, 100, 1, 100, 1, 100, 0, 0x10, 1, 0, 0, 1, 0, 0x10, 1, 0, 0, 1, 0, 0x10, 1, 0, 0, 1, 2, 200})
		f.Add([]byte{kind, 0, 0x10, 5, 0, 8, 1, 0, 0x10, 3, 0, 8, 1, 0, 0x11, 2, 0, 30, 1, 0, 0x10, 1, 0, 30, 1})
		f.Add([]byte{kind, 5, 0, 0x10, 1, 0, 100, 1, 6, 3, 2, 250, 7})
		// Ten segments, holes in them, a D-SACK, a timeout, reneging.
		f.Add([]byte{kind, 1, 250, 1, 250, 2, 1, 9, 0, 1, 20, 20, 9, 0, 2, 60, 20, 20, 20, 2, 1, 9, 0, 3, 100, 40, 60, 20, 20, 20, 2, 20,
			9, 20, 2, 0, 20, 40, 40, 2, 100, 9, 0, 1, 20, 5, 10, 30, 2, 200, 9, 160, 0})
		// A tail that is lost, and probed for; an error in between.
		f.Add([]byte{kind, 1, 250, 9, 0, 1, 20, 40, 2, 3, 10, 200, 2, 20, 9, 80, 1, 0, 80, 2, 50, 10, 90, 2, 100})
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		next := func() int {
			if len(ops) == 0 {
				return 0
			}
			b := ops[0]
			ops = ops[1:]
			return int(b)
		}
		sc := fuzzConnection(t, next())
		for n := 0; len(ops) > 0 && n < 200; n++ {
			sc.fuzzStep(next)
			sc.s.Flush(sc.now)
			checkInvariants(t, sc.s)
			sc.out = sc.out[:0]
		}
	})
}

// What a connection of FuzzTCP is like.
const (
	fuzzSACK = 1 << iota
	fuzzMeter
	fuzzProbes
	fuzzBig
	fuzzBBR
)

func fuzzConnection(t *testing.T, kind int) *script {
	cfg := noTS()
	c := &cfg.TCP
	c.RecvBuf, c.SendBuf, c.DelayedAck = 4000, 8000, 10*time.Millisecond
	c.Meter = kind&fuzzMeter != 0
	if kind&fuzzProbes != 0 { // small segments, so that there is data enough
		c.MTUProbing, c.MTUProbeBase, c.MTUProbeFloor, c.InitialWindow = MTUProbingAlways, 400, 200, 20
	}
	if kind&fuzzBig != 0 {
		c.GSO = GSOAlways
	}
	if kind&fuzzBBR != 0 {
		c.Congestion = "bbr"
	}
	text := established
	if kind&fuzzSACK != 0 {
		text = strings.Replace(text, "mss=1000", "mss=1000 sackok", 1)
	}
	return runScript(t, cfg, text)
}

// fuzzStep does one arbitrary thing.
func (sc *script) fuzzStep(next func() int) {
	alive := sc.pcb != nil && sc.pcb.s != nil && sc.pcb.state != StateListen && sc.err == nil
	switch op := next() % 11; {
	case op == 0:
		sc.fuzzSegment(next)
	case op == 9:
		sc.fuzzBlocks(next)
	case op == 2:
		sc.advance(int64(next()) * int64(20*time.Millisecond))
	case !alive:
	case op == 1:
		_ = sc.pcb.Write(make([]byte, next()*16), WriteFlags(next()&1))
		_ = sc.pcb.Output()
	case op == 3:
		_ = sc.pcb.Close()
		sc.err = ErrClosed // the script is through with it
	case op == 4:
		_ = sc.pcb.Shutdown(next()&1 != 0, true)
		if sc.pcb.flags&tfDetached != 0 {
			sc.err = ErrClosed
		}
	case op == 5:
		sc.hold = !sc.hold
	case op == 6:
		sc.pcb.Recved(next() * 16)
	case op == 7:
		sc.paused = !sc.paused
	case op == 8:
		sc.pcb.SetNoDelay(next()&1 != 0)
	case op == 10: // a router, or a forger
		if sc.pcb.sndMax != sc.pcb.sndUna {
			sc.pcb.packetTooBig(next()*10, 0, sc.pcb.sndUna)
		}
	}
}

// fuzzSegment is a segment near the connection's windows: sequence number and
// ACK are given relative to what the stack expects.
func (sc *script) fuzzSegment(next func() int) {
	var c *TCP
	sc.s.EachTCP(func(p *TCP) {
		if p.state != StateListen {
			c = p
		}
	})
	flags, seqOff, ackOff, n, win := next(), next()-1, next(), next()*8, next()
	seq, ack := 1, 1
	if c != nil {
		seq = int(int32(c.rcvNxt.Sub(header.Seq(uint32(peerISN))))) + seqOff*40 - 40*(seqOff&1)
		ack = int(int32(c.sndUna.Sub(sc.iss[peerPort]))) + ackOff*50
	}
	line := fmt.Sprintf("%v %d len=%d ack=%d win=%d", header.TCPFlags(flags), seq, n, ack, win*40)
	sc.in(strings.Fields(line))
}

// fuzzBlocks is an ACK with up to four SACK blocks, near what is in flight.
func (sc *script) fuzzBlocks(next func() int) {
	c := sc.pcb
	if c == nil || c.s == nil || c.state == StateListen {
		return
	}
	una := int(int32(c.sndUna.Sub(sc.iss[peerPort])))
	ack, n := una+next()*50, next()%5
	line := fmt.Sprintf("A %d ack=%d", int(int32(c.rcvNxt.Sub(header.Seq(uint32(peerISN))))), ack)
	for i := range n {
		left := una + (next()-4)*50
		line += fmt.Sprintf("%s%d-%d", []string{" sack=", ","}[min(i, 1)], left, left+next()*50)
	}
	sc.in(strings.Fields(line))
}
