package mem_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// settle lets buffers that were handed over come home.
func settle(w *testWire) {
	for range 2 {
		for q := range w.pa {
			recv(w.a, q, 0)
		}
		for q := range w.pb {
			recv(w.b, q, 0)
		}
	}
}

// A long frame arrives as a reference to the sender's bytes, with what is known of
// it; the buffer is free when the receiver has let it go.
func TestHandOver(t *testing.T) {
	w := newWire(t, mem.Config{HandOver: 64, B: mem.EndConfig{Caps: offload.RxCsum | offload.RSSHash}})
	free := w.pa[0].Avail(pbuf.ClassStandard)
	sent := frame(1400, 1, 7)
	p := packet(t, w.pa[0], sent)
	at := p.PayloadAddr()
	send(t, w.a, 0, 5, p)
	ps := make([]*pbuf.Pbuf, 8)
	require.Equal(t, 1, w.b.RxBurst(0, 5, ps))
	got := ps[0]
	require.Equal(t, sent, content(got))
	require.Equal(t, at, got.PayloadAddr(), "the same bytes")
	require.True(t, got.Alias())
	require.Equal(t, pbuf.KindRef, got.Kind())
	require.Zero(t, got.Headroom(), "nobody writes there")
	require.False(t, got.Shared())
	require.Equal(t, good|pbuf.RxHash, got.Flags)
	require.NotZero(t, got.Hash)
	require.EqualValues(t, 5, got.Time)
	require.True(t, got.RemoveHeader(34))
	require.True(t, got.AddHeaderForce(34))
	require.False(t, got.AddHeaderForce(2*pbuf.Headroom))
	require.Equal(t, free-1, w.pa[0].Avail(pbuf.ClassStandard))
	got.Free()
	settle(w)
	require.Equal(t, free, w.pa[0].Avail(pbuf.ClassStandard))
	conserved(t, w.a, w.b)
}

// What a sender keeps it may send again while the first is still out: that one is
// copied. It is the sender's alone when both have let go.
func TestHandOverAgain(t *testing.T) {
	w := newWire(t, mem.Config{HandOver: 64})
	sent := frame(1400, 1, 7)
	p := packet(t, w.pa[0], sent)
	for range 2 {
		p.Ref()
		send(t, w.a, 0, 0, p)
	}
	require.Equal(t, 2, p.RefCount(), "one copied, one out")
	require.Zero(t, p.Tailroom(), "nothing is appended meanwhile")
	ps := make([]*pbuf.Pbuf, 8)
	require.Equal(t, 2, w.b.RxBurst(0, 0, ps))
	require.True(t, ps[0].Alias())
	require.False(t, ps[1].Alias())
	require.Equal(t, sent, content(ps[0]))
	require.Equal(t, sent, content(ps[1]))
	pbuf.FreeBatch(ps[:2])
	settle(w)
	require.Equal(t, 1, p.RefCount())
	require.NotZero(t, p.Tailroom())
	p.Ref()
	send(t, w.a, 0, 0, p)
	p.Free() // acknowledged before the receiver is done
	require.Equal(t, 1, w.b.RxBurst(0, 0, ps))
	require.True(t, ps[0].Alias(), "it can be handed over again")
	require.Equal(t, sent, content(ps[0]))
	ps[0].Free()
	settle(w)
}

// Frames of all kinds keep their order, whichever way each goes.
func TestHandOverKeepsOrder(t *testing.T) {
	for name, cfg := range map[string]mem.Config{
		"plain":   {HandOver: 20},
		"hashed":  {HandOver: 20, B: mem.EndConfig{Caps: offload.RSSHash}},
		"pause":   {HandOver: 20, Pause: true},
		"shallow": {HandOver: 20, A: mem.EndConfig{QueueLen: 8}, B: mem.EndConfig{QueueLen: 8}, Pause: true},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := newWire(t, cfg)
			var wait, held []*pbuf.Pbuf
			next, aliases := uint64(0), 0
			ps := make([]*pbuf.Pbuf, 64)
			for seq := uint64(0); next < 3000; {
				for len(wait) < 40 {
					b := frame(60+rng.IntN(1400), 1, seq)
					if seq++; rng.IntN(4) == 0 {
						wait = append(wait, chained(t, w.pa[0], b, rng, 500))
					} else {
						wait = append(wait, packet(t, w.pa[0], b))
					}
				}
				wait = wait[w.a.TxBurst(0, 0, wait):]
				n := w.b.RxBurst(0, 0, ps[:1+rng.IntN(len(ps))])
				for _, p := range ps[:n] {
					b := content(p)
					require.Equal(t, frame(len(b), 1, next), b)
					next++
					if p.Alias() {
						aliases++
					}
					held = append(held, p)
				}
				for len(held) > rng.IntN(30) { // freed in any order
					i := rng.IntN(len(held))
					held[i].Free()
					held = append(held[:i], held[i+1:]...)
				}
			}
			require.Greater(t, aliases, 100)
			pbuf.FreeBatch(wait)
			pbuf.FreeBatch(held)
			settle(w)
			conserved(t, w.a, w.b)
		})
	}
}

// No more than HandOver are out: those beyond are copied, so that who keeps frames
// holds up nobody.
func TestHandOverLimit(t *testing.T) {
	w := newWire(t, mem.Config{HandOver: 10, Pause: true})
	var held []*pbuf.Pbuf
	aliases := 0
	for i := range uint64(100) {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1400, 1, i)))
		var ps [4]*pbuf.Pbuf
		require.Equal(t, 1, w.b.RxBurst(0, 0, ps[:]))
		held = append(held, ps[0])
		if ps[0].Alias() {
			aliases++
		}
	}
	require.Equal(t, 10, aliases)
	pbuf.FreeBatch(held)
	settle(w)
}

// Another thread of the receiver's may free a frame: it goes home by both pools.
func TestHandOverToAThirdPool(t *testing.T) {
	w := newWire(t, mem.Config{HandOver: 64})
	third := pbuftest.NewPool(t, pbuf.Config{})
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1400, 1, 7)))
	var ps [4]*pbuf.Pbuf
	require.Equal(t, 1, w.b.RxBurst(0, 0, ps[:]))
	part := ps[0].Slice(100, 200)
	require.NotNil(t, part)
	require.False(t, pbuf.Handover(ps[0], third.ID()), "while it has slices")
	part.Free()
	require.True(t, pbuf.Handover(ps[0], third.ID()))
	ps[0].Free()
	require.Equal(t, 1, third.TakeForeign(w.pb[0].ID(), ps[:]))
	w.pb[0].Return(ps[:1])
	settle(w)
}

// Wires between the same two pools share the way back, and what is in the wire when
// an end is closed comes home.
func TestHandOverTwoWires(t *testing.T) {
	cfg := mem.Config{HandOver: 64}
	w := newWire(t, cfg)
	a, b, err := mem.New(cfg)
	require.NoError(t, err)
	require.NoError(t, a.Attach(0, w.pa[0]))
	require.NoError(t, b.Attach(0, w.pb[0]))
	require.NoError(t, a.Start())
	require.NoError(t, b.Start())
	for i := range uint64(40) {
		send(t, a, 0, 0, packet(t, w.pa[0], frame(1400, 1, i)))
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1400, 1, i)))
	}
	require.Len(t, recv(b, 0, 0), 40)
	settle(w)
	send(t, a, 0, 0, packet(t, w.pa[0], frame(1400, 1, 0)))
	require.NoError(t, b.Close())
	require.NoError(t, a.Close())
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1400, 1, 0)))
	require.Len(t, recv(w.b, 0, 0), 1)
	settle(w)
}

// A direction that is impaired copies.
func TestImpairedIsNotHandedOver(t *testing.T) {
	w := newWire(t, mem.Config{HandOver: 64, AtoB: mem.Impairment{Duplicate: 1}})
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(1400, 1, 7)))
	var ps [4]*pbuf.Pbuf
	require.Equal(t, 2, w.b.RxBurst(0, 0, ps[:]))
	require.False(t, ps[0].Alias())
	pbuf.FreeBatch(ps[:2])
	require.ErrorIs(t, mem.Config{HandOver: -1}.Validate(), port.ErrConfig)
	require.ErrorIs(t, mem.Config{HandOver: mem.MaxHandOver + 1}.Validate(), port.ErrConfig)
}
