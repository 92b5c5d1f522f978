package stack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCongestion_RFC6928_2_InitialWindow(t *testing.T) {
	for mss, want := range map[uint32]uint32{
		536:  5360,
		1448: 14480,
		1460: 14600,
		4000: 14600, // min(10*MSS, max(2*MSS, 14600))
		9000: 18000,
	} {
		var c Congestion
		c.init(mss, 10)
		require.Equal(t, want, c.Cwnd, "MSS %d", mss)
	}
}

func TestNewReno_RFC5681_3_1_SlowStartDoublesAWindow(t *testing.T) {
	var c Congestion
	c.init(1000, 10)
	for range 10 {
		newReno{}.OnAck(&c, 1000, 9000, 0)
	}
	require.Equal(t, uint32(20000), c.Cwnd)
	newReno{}.OnAck(&c, 50000, 50000, 0)
	require.Equal(t, uint32(22000), c.Cwnd, "a stretch ACK counts for two segments (RFC 3465)")
}

func TestNewReno_RFC5681_3_1_AvoidanceAddsASegmentAWindow(t *testing.T) {
	var c Congestion
	c.init(1000, 10)
	c.Ssthresh = 5000
	for range 10 {
		newReno{}.OnAck(&c, 1000, 9000, 0)
	}
	require.Equal(t, uint32(11000), c.Cwnd)
}

func TestNewReno_RFC5681_Eq4_Loss(t *testing.T) {
	var c Congestion
	c.init(1000, 10)
	newReno{}.OnLoss(&c, 8000, 0)
	require.Equal(t, uint32(4000), c.Ssthresh)
	newReno{}.OnLoss(&c, 1000, 0)
	require.Equal(t, uint32(2000), c.Ssthresh, "never below two segments")
	newReno{}.OnTimeout(&c, 10000, true, 0)
	require.Equal(t, uint32(5000), c.Ssthresh)
	require.Equal(t, uint32(1000), c.Cwnd)
	newReno{}.OnTimeout(&c, 1000, false, 0)
	require.Equal(t, uint32(5000), c.Ssthresh, "once a segment (RFC 5681 3.1)")
}

func TestNewReno_UnusedWindowDoesNotGrow(t *testing.T) {
	var c Congestion
	c.init(1000, 10)
	newReno{}.OnAck(&c, 100, 0, 0)
	require.Equal(t, uint32(10000), c.Cwnd)
}

// fixedWindow is a controller that never changes its mind.
type fixedWindow struct{ losses, timeouts int }

func (*fixedWindow) OnAck(c *Congestion, _, _ uint32, _ int64)    { c.Cwnd = 2 * c.MSS }
func (f *fixedWindow) OnLoss(*Congestion, uint32, int64)          { f.losses++ }
func (f *fixedWindow) OnTimeout(*Congestion, uint32, bool, int64) { f.timeouts++ }

func TestCongestionControlHook(t *testing.T) {
	f := &fixedWindow{}
	cfg := noTS()
	cfg.Hooks.CongestionControl = func(*TCP) CongestionControl { return f }
	runScript(t, cfg, established+`
		write 10000
		> A 1 len=1000
		> A 1001 len=1000
		>                  # two segments, for ever
		< A 1 ack=2001
		> A 2001 len=1000
		> A 3001 len=1000
		>
		+1010ms
		> A 2001 len=1000
		> A 3001 len=1000
	`)
	require.Equal(t, 1, f.timeouts)
}
