package stack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// lossRun is a transfer from a to b over 10 ms each way, of which chosen
// transmissions are lost.
type lossRun struct {
	p     *pair
	sent  map[header.Seq]int // transmissions of data, by sequence number
	first []header.Seq       // sequence numbers in the order of their first transmission
	lose  func(nth, tx int) bool
	// What the sender has been told is there.
	sacks []header.SACKBlock
	una   header.Seq
	wrong []string
	lost  int
}

const lossSeg = 1000 // bytes

func newLossRun(t testing.TB, cfg pairConfig, lose func(nth, tx int) bool) *lossRun {
	cfg.A.Bufs = pbuf.Config{Small: 512, Buffers: 512, Jumbo: -1}
	cfg.B.Bufs = cfg.A.Bufs
	r := &lossRun{sent: map[header.Seq]int{}, lose: lose}
	cfg.A.TCP.MSS, cfg.B.TCP.MSS = lossSeg+header.TCPTimestampLen, lossSeg+header.TCPTimestampLen
	if cfg.A.TCP.NoTimestamps {
		cfg.A.TCP.MSS, cfg.B.TCP.MSS = lossSeg, lossSeg
	}
	cfg.AB.Delay, cfg.BA.Delay = 10*time.Millisecond, 10*time.Millisecond
	cfg.AB.Filter = r.data
	cfg.A.Hooks.TCPInPacket = r.ack
	r.p = newPair(t, cfg)
	return r
}

// data sees what the sender sends.
func (r *lossRun) data(b []byte) bool {
	f := parseFrame(r.p.t, b)
	if f.tcp == nil || len(f.body) == 0 {
		return true
	}
	seq := f.tcp.Seq()
	end := seq.Add(uint32(len(f.body)))
	for _, k := range r.sacks {
		if k.Left.LessEq(seq) && end.LessEq(k.Right) && seq.GreaterEq(r.una) {
			r.wrong = append(r.wrong, fmt.Sprintf("%d … %d was sent again, though %d … %d had arrived", seq, end, k.Left, k.Right))
		}
	}
	if r.sent[seq] == 0 {
		r.first = append(r.first, seq)
	}
	r.sent[seq]++
	nth := 0
	for i, s := range r.first {
		if s == seq {
			nth = i
		}
	}
	if r.lose(nth, r.sent[seq]) {
		r.lost++
		return false
	}
	return true
}

// ack sees what the sender is told, before it acts on it.
func (r *lossRun) ack(_ *TCP, h *header.TCP, opts []byte, _ *pbuf.Pbuf) bool {
	var o header.TCPOptions
	header.ParseTCPOptions(opts, &o)
	if h.Ack().Greater(r.una) || r.una == 0 {
		r.una = h.Ack()
	}
	for _, b := range o.SACK[:o.NSACK] {
		if b.Right.Greater(h.Ack()) {
			r.sacks = append(r.sacks, b)
		}
	}
	return false
}

// transfer sends n segments and returns how long it took from the first to the
// last byte's arrival.
func (r *lossRun) transfer(n int) time.Duration {
	t := r.p.t
	var got []byte
	l := r.p.b.NewTCP()
	require.NoError(t, l.Bind(netip.AddrPortFrom(netip.Addr{}, 80)))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p != nil {
				b := make([]byte, p.TotLen())
				p.CopyPartial(b, 0)
				got = append(got, b...)
				p.Free()
				pcb.Recved(len(b))
			}
			return nil
		})
		return nil
	})
	require.NoError(t, l.Listen(0))
	c := r.p.a.NewTCP()
	up := false
	require.NoError(t, c.Connect(netip.AddrPortFrom(r.p.b.addr(), 80), func(any, *TCP, error) error { up = true; return nil }))
	r.p.until(30*time.Second, func() bool { return up })
	data := pattern(n * lossSeg)
	start := r.p.now
	require.NoError(t, c.Write(data, 0))
	_ = c.Output()
	for end := r.p.now + int64(time.Minute); len(got) < len(data); {
		checkInvariants(t, r.p.a.Stack)
		require.True(t, r.p.step(end), "stuck at %d of %d: %+v", len(got), len(data), c.Info())
	}
	require.Equal(t, data, got)
	took := time.Duration(r.p.now - start)
	r.p.run(300 * time.Millisecond)
	checkInvariants(t, r.p.a.Stack)
	require.Zero(t, c.flags&(tfRecovery|tfRTO), "still recovering")
	require.Zero(t, c.inFlight())
	require.Empty(t, r.wrong)
	return took
}

// TestRecovery_LossAtEveryPosition: one to ten segments in a row are lost at every
// position of a transfer. With SACK exactly what was lost is sent again, but for
// probes, without a timeout unless the last few segments are gone, in a few round
// trips.
func TestRecovery_LossAtEveryPosition(t *testing.T) {
	for _, mode := range []string{"SACK", "SACK_big", "NewReno"} {
		var clean time.Duration
		t.Run(mode, func(t *testing.T) {
			clean = lossAt(t, mode, 0, 0, 0)
			for burst := 1; burst <= 10; burst++ {
				for at := 0; at+burst <= lossSegs; at++ {
					t.Run(fmt.Sprint(burst, "at", at), func(t *testing.T) { lossAt(t, mode, at, burst, clean) })
				}
			}
		})
	}
}

const lossSegs = 40

// lossAt is a case of TestRecovery_LossAtEveryPosition; clean is how long it takes
// without loss.
func lossAt(t *testing.T, mode string, at, burst int, clean time.Duration) time.Duration {
	const rtt = 20 * time.Millisecond
	cfg := pairConfig{}
	cfg.A.TCP.NoSACK = mode == "NewReno"
	if mode == "SACK_big" {
		cfg.A.TCP.GSO = GSOAlways
	}
	r := newLossRun(t, cfg, func(nth, tx int) bool { return tx == 1 && nth >= at && nth < at+burst })
	r.p.b.mayDrop(DropTCPSeq) // NewReno and probes send what is there
	took := r.transfer(lossSegs)
	st := &r.p.a.stats.TCP
	what := fmt.Sprintf("%v instead of %v, %d sent again, %d timeouts, %d probes", took, clean, st.RetransSegs, st.Timeouts, st.LossProbes)
	require.Equal(t, burst, r.lost, what)
	again := int(st.RetransSegs)
	switch {
	case burst == 0:
		require.Zero(t, again, what)
	case mode == "NewReno": // RFC 6582: a hole a round trip, or a timeout
		require.Less(t, took, clean+time.Duration(burst+2)*rtt+4*time.Second, what)
	case at+burst < lossSegs-1:
		require.Zero(t, st.Timeouts, what)
		require.LessOrEqual(t, again, burst+int(st.LossProbes), what)
		require.Less(t, took, clean+12*rtt, what)
	default: // the end is missing: a probe or a timeout finds out
		require.LessOrEqual(t, again, burst+int(st.LossProbes)+int(st.Timeouts), what)
		require.Less(t, took, clean+8*rtt+400*time.Millisecond, what)
	}
	return took
}

// TestRecovery_RandomLoss: data, retransmissions and ACKs are lost at random; what
// the peer has is not sent again, and it ends in bounded time.
func TestRecovery_RandomLoss(t *testing.T) {
	resent := uint64(0)
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			cfg := pairConfig{}
			cfg.A.TCP.NoSACK = seed%4 == 3
			cfg.A.TCP.NoTimestamps = seed%3 == 2
			if seed%5 == 4 {
				cfg.A.TCP.GSO = GSOAlways
			}
			cfg.BA.Loss, cfg.BA.Seed = 0.05, seed
			p := []float64{0.01, 0.05, 0.2}[seed%3]
			r := newLossRun(t, cfg, func(int, int) bool { return rng.Float64() < p })
			r.p.a.mayDrop(DropTCPSeq)
			r.p.b.mayDrop(DropTCPSeq)
			took := r.transfer(120)
			require.Less(t, took, 40*time.Second)
			resent += r.p.a.stats.TCP.RetransSegs
		})
	}
	require.Greater(t, resent, uint64(500))
}
