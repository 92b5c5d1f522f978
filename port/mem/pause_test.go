package mem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
)

// TestPauseLosesNothing: a receiver that does not keep up makes TxBurst take
// fewer frames; every frame arrives once, in order, with one queue and with
// RSS, single buffers and chains.
func TestPauseLosesNothing(t *testing.T) {
	for name, cfg := range map[string]mem.Config{
		"plain": {Pause: true, A: mem.EndConfig{QueueLen: 64}, B: mem.EndConfig{QueueLen: 64}},
		"rss":   {Pause: true, A: mem.EndConfig{QueueLen: 64, Queues: 2}, B: mem.EndConfig{QueueLen: 64, Queues: 2}},
		"jumbo": {Pause: true, A: mem.EndConfig{QueueLen: 64, MTU: 9000}, B: mem.EndConfig{QueueLen: 64, MTU: 9000}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, cfg)
			size := 60
			if name == "jumbo" {
				size = 9000
			}
			queues := w.b.Info().Queues
			var ps []*pbuf.Pbuf
			const total = 500
			next := [8]uint64{}
			sent, got, held := 0, 0, false
			for seq := uint64(0); got < total; {
				for len(ps) < 32 && int(seq) < total {
					b := frame(size, uint16(1000+seq%8), seq/8)
					p := w.pa[0].Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
					require.NoError(t, p.Take(b))
					ps = append(ps, p)
					seq++
				}
				n := w.a.TxBurst(0, 1, ps)
				held = held || n < len(ps)
				sent += n
				ps = ps[n:]
				if n > 0 && sent < total {
					continue // only a paused sender lets the receiver run
				}
				for q := range queues {
					for _, a := range recv(w.b, q, 1) {
						flow := flowOf(a.bytes) - 1000
						require.Equal(t, next[flow], seqOf(a.bytes))
						next[flow]++
						got++
					}
				}
			}
			require.True(t, held, "the sender was never paused")
			for q := range queues {
				require.Zero(t, w.b.Stats(q).RxMissed)
			}
		})
	}
}

// What could never be sent is not waited for.
func TestPauseIsNotForImpossibleFrames(t *testing.T) {
	w := newWireWith(t, mem.Config{Pause: true, B: mem.EndConfig{QueueLen: 2}}, pbuf.Config{})
	for _, n := range []int{13, 1523, 20000} {
		send(t, w.a, 0, 0, packet(t, w.pa[0], make([]byte, n)))
	}
	require.EqualValues(t, 3, w.a.Stats(0).TxErrors)
	for range 2 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], make([]byte, 60)))
	}
	p := packet(t, w.pa[0], make([]byte, 60))
	require.Zero(t, w.a.TxBurst(0, 0, []*pbuf.Pbuf{p}))
	require.Len(t, recv(w.b, 0, 0), 2)
	send(t, w.a, 0, 0, p)
	require.Len(t, recv(w.b, 0, 0), 1)
	conserved(t, w.a, w.b)
}
