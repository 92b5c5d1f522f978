package stack

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// usePath feeds windowUse: each round acknowledges acked bytes of a flight as
// large.
type usePath struct {
	c   Congestion
	u   windowUse
	seq header.Seq
	now int64
}

func (p *usePath) round(acked uint32, rtt time.Duration) bool {
	p.now += int64(rtt)
	a := ack(acked, acked)
	p.seq = p.seq.Add(acked)
	a.Una, a.Nxt, a.Now, a.SRTT = p.seq, p.seq.Add(1), p.now, int64(rtt)
	return p.u.ack(&p.c, a)
}

// TestWindowUse_RFC7661_4_3_UnusedWindowDoesNotGrow: less than half is no use;
// what was used in the sampling period counts.
func TestWindowUse_RFC7661_4_3_UnusedWindowDoesNotGrow(t *testing.T) {
	p := usePath{c: window(100_000), now: int64(time.Hour)}
	for range 5 {
		require.True(t, p.round(60_000, 100*time.Millisecond))
	}
	require.Equal(t, uint32(60_000), p.u.pipeACK())
	require.True(t, p.round(10_000, 100*time.Millisecond), "4.2: a second is looked back")
	for range 15 {
		p.round(10_000, 100*time.Millisecond)
	}
	require.False(t, p.round(10_000, 100*time.Millisecond))
	require.Equal(t, uint32(10_000), p.u.pipeACK())
}

// TestWindowUse_RFC7661_4_4_1_LossWhileUnused: the reduction starts from what
// was used.
func TestWindowUse_RFC7661_4_4_1_LossWhileUnused(t *testing.T) {
	p := usePath{c: window(100_000), now: int64(time.Hour)}
	for range 30 {
		p.round(10_000, 100*time.Millisecond)
	}
	require.Equal(t, uint32(10_000), p.u.base(&p.c, ack(0, 8_000)))
	require.Equal(t, uint32(20_000), p.u.base(&p.c, ack(0, 20_000)))
	require.Equal(t, uint32(100_000), p.u.base(&p.c, ack(0, 120_000)))
}

// TestWindowUse_RFC7661_4_4_1_MinusR: of a window that was not used, what recovery
// had to send again goes before the reduction; of one that was, nothing.
func TestWindowUse_RFC7661_4_4_1_MinusR(t *testing.T) {
	for _, c := range []struct {
		name string
		beta float64
	}{{"reno", 0.5}, {"cubic", cubicBeta}} {
		for _, used := range []bool{false, true} {
			cfg := noTS()
			cfg.TCP.Congestion = c.name
			sc := runScript(t, cfg, sackedFar)
			p := sc.pcb
			p.sndWnd, p.sndWndMax = 1<<20, 1<<20
			p.cc.Cwnd = 100_000
			if used {
				p.cc.Cwnd = 10_000
			}
			before := p.cc.Cwnd
			p.ccState().use = windowUse{begun: true, usedAt: sc.now, halfAt: sc.now, roundEnd: p.sndMax.Add(100_000)}
			// Ten segments in flight, of which three are lost.
			sc.run(`
				write 10000
				+20ms
				< A 1 ack=1 sack=3001-10001
				+20ms
				< A 1 ack=10001
			`)
			sc.out = nil
			require.Zero(t, p.flags&tfRecovery)
			require.Equal(t, uint64(3), sc.s.stats.TCP.RetransSegs)
			if used {
				require.Equal(t, uint32(float64(before)*c.beta), p.cc.Ssthresh)
				continue
			}
			require.Equal(t, uint32(float64(10_000-3_000)*c.beta), p.cc.Cwnd, c.name)
			require.Equal(t, p.cc.Cwnd, p.cc.Ssthresh)
			// pipeACK is undefined: the window grows until it is known (4.4.1).
			u := &p.ccState().use
			require.True(t, u.unknown)
			require.Zero(t, u.pipeACK())
			sc.run("write 1000\n +20ms\n < A 1 ack=11001")
			sc.out = nil
			require.Greater(t, p.cc.Cwnd+p.ccState().acked, uint32(float64(7_000)*c.beta)) // acked: of NewReno
		}
	}
}

// TestWindowUse_RFC7661_4_4_1_NeverBelowOneSegment, however much was lost.
func TestWindowUse_RFC7661_4_4_1_NeverBelowOneSegment(t *testing.T) {
	c := window(100_000)
	st := ccState{use: windowUse{begun: true}}
	a := ack(0, 4*c.MSS)
	renoEvent(&c, &st, CongestionLoss, a)
	a.Repaired = 4 * c.MSS
	renoEvent(&c, &st, CongestionRecovered, a)
	require.Equal(t, c.MSS, c.Cwnd)
	require.Equal(t, 2*c.MSS, c.Ssthresh)
	// Taken back, nothing of it stays (RFC 4015).
	renoEvent(&c, &st, CongestionLoss, ack(0, 100_000))
	renoEvent(&c, &st, CongestionSpurious, a)
	was := c
	renoEvent(&c, &st, CongestionRecovered, a)
	require.Equal(t, was, c)
}

// TestWindowUse_RFC7661_4_4_2_FiveMinutes: a window is kept while it is not
// used, then half of it goes, down to the initial one.
func TestWindowUse_RFC7661_4_4_2_FiveMinutes(t *testing.T) {
	p := usePath{c: window(100_000), now: int64(time.Hour)}
	p.c.Ssthresh = 50_000
	p.round(60_000, 100*time.Millisecond)
	p.u.expire(&p.c, p.now+int64(5*time.Minute)-1, 10_000)
	require.Equal(t, uint32(100_000), p.c.Cwnd)
	p.u.expire(&p.c, p.now+int64(5*time.Minute), 10_000)
	require.Equal(t, uint32(50_000), p.c.Cwnd)
	require.Equal(t, uint32(75_000), p.c.Ssthresh)
	for i := range 10 {
		p.u.expire(&p.c, p.now+int64(i+2)*int64(5*time.Minute), 10_000)
	}
	require.Equal(t, uint32(10_000), p.c.Cwnd)
	p.c.Cwnd = 3000
	p.u.expire(&p.c, p.now+int64(time.Hour), 10_000)
	require.Equal(t, uint32(3000), p.c.Cwnd, "never up")
}

// TestWindowUse_Connection: a connection that has grown and then idles keeps its
// window for minutes (RFC 7661 4.4), unlike RFC 5681 4.1, but not for ever.
func TestWindowUse_Connection(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.pcb.sndWnd, sc.pcb.sndWndMax = 1<<20, 1<<20
	sent := 0
	burst := func() {
		sc.run(`write 40000`)
		for sc.pcb.sndUna != sc.pcb.sndLbb {
			sc.advance(int64(10 * time.Millisecond))
			sent = int(sc.pcb.sndMax.Sub(sc.pcb.iss)) - 1
			sc.in([]string{"A", "1", "ack=" + strconv.Itoa(sent+1)})
			sc.s.Flush(sc.now)
		}
		sc.out = nil
	}
	for range 3 {
		burst()
	}
	grown := sc.pcb.cc.Cwnd
	require.Greater(t, grown, uint32(30_000))
	sc.advance(int64(4 * time.Minute))
	burst()
	require.GreaterOrEqual(t, sc.pcb.cc.Cwnd, grown)
	grown = sc.pcb.cc.Cwnd
	sc.advance(int64(6 * time.Minute))
	sc.run(`write 100`)
	require.Equal(t, grown/2, sc.pcb.cc.Cwnd)
}
