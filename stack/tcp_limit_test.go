package stack

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// TestTCPChallenge_RFC5961_7_Limited: challenge ACKs come at a limited rate, which
// nobody can count exactly.
func TestTCPChallenge_RFC5961_7_Limited(t *testing.T) {
	cfg := noTS()
	cfg.TCP.ChallengeAcks = 10
	cfg.TCP.ChallengeInterval = -1
	answers := func(seed byte) (n []int) {
		cfg.Seed[0] = seed
		sc := runScript(t, cfg, established)
		for range 3 {
			for range 50 {
				sc.run("< S 1")
			}
			n = append(n, len(sc.out))
			sc.out = nil
			sc.run("+1s")
		}
		st := &sc.s.stats.TCP
		require.Equal(t, uint64(150), st.ChallengeAcks+st.ChallengeAcksLimited)
		require.Equal(t, uint64(n[0]+n[1]+n[2]), st.ChallengeAcks)
		return n
	}
	seen := map[int]bool{}
	for seed := range byte(10) {
		for _, n := range answers(seed + 1) {
			require.True(t, n >= 5 && n <= 15, "%d", n)
			seen[n] = true
		}
	}
	require.Greater(t, len(seen), 4, "the limit varies")
}

// TestTCPChallenge_RFC5961_10_OneConnectionDoesNotUseUpTheLimit: of one connection a
// segment that may be forged is answered once in half a second, whatever comes; the
// stack's limit is left to the others.
func TestTCPChallenge_RFC5961_10_OneConnectionDoesNotUseUpTheLimit(t *testing.T) {
	cfg := noTS()
	cfg.TCP.ChallengeAcks = 20
	sc := runScript(t, cfg, established+`
		< S 1 port=81 mss=1000
		> SA 0 port=81
		< A 2 ack=1 port=81
	`)
	for range 100 {
		sc.run("< S 1\n < R 7\n < A 1 ack=900000\n < A 900000 ack=1")
	}
	sc.run(`
		> A 1 ack=1
		>
		< S 1 port=81
		> A 1 port=81
		+499ms
		< R 7
		>
		+2ms
		< R 7
		> A 1 ack=1
		>
		stat challenges 3
	`)
	require.Equal(t, uint64(400), sc.s.stats.TCP.ChallengeAcksConn)
	require.Zero(t, sc.s.stats.TCP.ChallengeAcksLimited)
	// Data is answered always: the peer may not know that it has arrived.
	sc.run(`
		< A 1 len=10 ack=1
		got 10
		+41ms
		> A 1 ack=11
		< A 1 len=10 ack=1
		> A 1 ack=11
		< A 1 len=10 ack=1
		> A 1 ack=11
	`)
}

func TestTCPChallenge_RFC5961_4_2_SynAnywhereIsChallenged(t *testing.T) {
	runScript(t, noTS(), established+`
		< S 900000          # far outside of the window
		> A 1 ack=1
		stat challenges 1
		+500ms
		< SA 3 ack=1
		> A 1 ack=1
		stat challenges 2
		state ESTABLISHED
	`)
}

func TestTCPChallenge_RFC5961_5_2_OldAckWithDataIsRefused(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=1000 win=1000
		> SA 0 ack=1
		< A 1 ack=1 win=1000
		write 1000
		> A 1 len=1000
		< A 1 ack=1001 win=1000
		< A 1 len=10 ack=1 win=1000     # within the largest window: an old one
		+41ms
		> A 1001 ack=11
		got 10
		< A 11 len=10 ack=-1 win=1000   # older than that: forged
		> A 1001 ack=11
		got 0
		drop tcp_ack 1
	`)
}

func TestTCPReset_RateIsLimited(t *testing.T) {
	cfg := noTS()
	cfg.TCP.ResetRate = 5
	sc := newScript(t, cfg)
	sc.iss[peerPort] = 0
	for range 9 {
		sc.run("< S 0")
	}
	require.Len(t, sc.out, 5)
	require.Equal(t, uint64(4), sc.s.stats.TCP.RstsLimited)
	require.Equal(t, uint64(5), sc.s.stats.TCP.OutRsts)
	sc.run("+1s\n< S 0")
	require.Len(t, sc.out, 6)
}

// TestTCPOutOfOrder_BudgetCountsBuffers: segments of one byte can't hold every
// buffer of the pool, neither by one connection nor by many.
func TestTCPOutOfOrder_BudgetCountsBuffers(t *testing.T) {
	cfg := noTS()
	cfg.TCP.OutOfOrderMem = 100 * oooUnit
	cfg.TCP.MaxOutOfOrder = 32000
	sc := runScript(t, cfg, established)
	crumbs := func(port string, n int) {
		for i := range n {
			sc.in([]string{"A", decimal(uint32(3 + 2*i)), "len=1", "ack=1", "port=" + port})
		}
	}
	crumbs("80", 200)
	require.Equal(t, 64, sc.s.tcp.oooBufs, "a connection's share")
	require.Equal(t, uint64(136), sc.s.stats.TCP.OutOfOrderMem)
	second := strings.ReplaceAll(established, "listen", "")
	second = strings.ReplaceAll(second, "ack=1\n	accepted 1", "ack=1 port=81\n	accepted 2")
	second = strings.ReplaceAll(second, "mss=1000", "mss=1000 port=81")
	sc.s.Flush(sc.now)
	sc.out = nil
	sc.run(second)
	sc.s.Flush(sc.now)
	crumbs("81", 200)
	require.Equal(t, 100, sc.s.tcp.oooBufs, "the stack's budget")
	sc.s.Flush(sc.now)
	require.Equal(t, 100, sc.pool.Cap(pbuf.ClassStandard)+sc.pool.Cap(pbuf.ClassSmall)-
		sc.pool.Avail(pbuf.ClassStandard)-sc.pool.Avail(pbuf.ClassSmall))
	sc.s.Flush(sc.now)
	sc.out = nil
	sc.run("< A 1 len=200 ack=1 port=81\n got 200") // fills the gaps: all of them go
	require.Equal(t, 64, sc.s.tcp.oooBufs)
	sc.s.EachTCP(func(c *TCP) {
		if c.state == StateEstablished {
			c.Abort()
		}
	})
	require.Zero(t, sc.s.tcp.oooBufs)
}
