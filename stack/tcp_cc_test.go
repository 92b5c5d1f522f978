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
		require.Equal(t, want, initialWindow(mss, 10), "MSS %d", mss)
	}
}

// window is a window of n bytes in segments of 1000, with no threshold yet.
func window(n uint32) Congestion { return Congestion{Cwnd: n, Ssthresh: ssthreshNone, MSS: 1000} }

// ack is a sample of n bytes acknowledged of flight.
func ack(n, flight uint32) *AckSample {
	return &AckSample{Acked: n, Delivered: n, FlightSize: flight, FlightBefore: flight, Flight: flight - n}
}

func TestNewReno_RFC5681_3_1_SlowStartDoublesAWindow(t *testing.T) {
	c := window(10000)
	for range 10 {
		slowStart(&c, ack(1000, 10000), renoL)
	}
	require.Equal(t, uint32(20000), c.Cwnd)
	slowStart(&c, ack(50000, 100000), renoL)
	require.Equal(t, uint32(22000), c.Cwnd, "a stretch ACK counts for two segments (RFC 3465 2.2)")
	a := ack(5000, 100000)
	a.AfterTimeout = true
	slowStart(&c, a, renoL)
	require.Equal(t, uint32(23000), c.Cwnd, "and for one after a timeout (RFC 3465 2.3)")
	c.Ssthresh = 23500
	slowStart(&c, ack(1000, 100000), renoL)
	require.Equal(t, uint32(23500), c.Cwnd, "not beyond the threshold")
}

func TestNewReno_RFC5681_3_1_AvoidanceAddsASegmentAWindow(t *testing.T) {
	c := window(10000)
	var st ccState
	for i := range 10 {
		require.Equal(t, uint32(10000), c.Cwnd, "after %d", i)
		renoAvoid(&c, &st, ack(1000, 10000))
	}
	require.Equal(t, uint32(11000), c.Cwnd)
}

func TestNewReno_RFC5681_Eq4_Loss(t *testing.T) {
	c := window(10000)
	var st ccState
	renoEvent(&c, &st, CongestionLoss, ack(0, 8000))
	require.Equal(t, uint32(4000), c.Ssthresh)
	renoEvent(&c, &st, CongestionLoss, ack(0, 1000))
	require.Equal(t, uint32(2000), c.Ssthresh, "never below two segments")
	renoEvent(&c, &st, CongestionTimeout, ack(0, 10000))
	require.Equal(t, uint32(5000), c.Ssthresh)
	require.Equal(t, uint32(1000), c.Cwnd)
	renoEvent(&c, &st, CongestionBackoff, ack(0, 1000))
	require.Equal(t, uint32(5000), c.Ssthresh, "once a segment (RFC 5681 3.1)")
}

func TestNewReno_RFC3168_6_1_2_ECNHalvesTheWindow(t *testing.T) {
	c := window(10000)
	var st ccState
	renoEvent(&c, &st, CongestionECN, ack(1000, 10000))
	require.Equal(t, uint32(5000), c.Cwnd)
	require.Equal(t, uint32(5000), c.Ssthresh)
}

func TestNewReno_RFC4015_3_2_UndoRestoresTheWindow(t *testing.T) {
	c := window(10000)
	var st ccState
	renoEvent(&c, &st, CongestionTimeout, ack(0, 10000))
	renoEvent(&c, &st, CongestionSpurious, ack(1000, 10000))
	require.Equal(t, uint32(10000), c.Cwnd)
	require.Equal(t, uint32(ssthreshNone), c.Ssthresh)
	c.Cwnd = 5000
	renoEvent(&c, &st, CongestionSpurious, ack(1000, 10000))
	require.Equal(t, uint32(5000), c.Cwnd, "once only")
}

// TestCCState_FreeList: states are cleared when they are given out again, and
// those of closed connections are.
func TestCCState_FreeList(t *testing.T) {
	var cs ccStates
	for i := range uint32(200) {
		n := cs.get()
		require.Equal(t, i+1, n)
		cs.at(n).acked = n
	}
	cs.put(7)
	cs.put(0)
	cs.put(150)
	require.Equal(t, uint32(150), cs.get())
	require.Equal(t, ccState{}, *cs.at(150))
	require.Equal(t, uint32(7), cs.get())
	require.Equal(t, uint32(201), cs.get())
	require.Equal(t, uint32(42), cs.at(42).acked)
}

// fixedWindow is a controller that never changes its mind.
type fixedWindow struct {
	inits  int
	events [numCongestionEvents]int
}

func (*fixedWindow) Name() string                                             { return "fixed" }
func (*fixedWindow) Traits() CongestionTraits                                 { return CongestionTraits{} }
func (f *fixedWindow) Init(*Congestion, int64)                                { f.inits++ }
func (*fixedWindow) OnAck(c *Congestion, a *AckSample)                        { c.Cwnd = 2 * c.MSS }
func (f *fixedWindow) OnEvent(_ *Congestion, e CongestionEvent, _ *AckSample) { f.events[e]++ }

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
		+2010ms
		> A 2001 len=1000
		> A 3001 len=1000
	`)
	require.Equal(t, 1, f.events[CongestionTimeout])
	require.Equal(t, 1, f.events[CongestionBackoff])
}
