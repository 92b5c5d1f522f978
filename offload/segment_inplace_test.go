package offload_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// run is the packet of s with a buffer for each segment, all sums kept if sums is
// set, or those that rng says.
func (s *super) run(t testing.TB, pool *pbuf.Pool, sums bool, rng *rand.Rand) *pbuf.Pbuf {
	t.Helper()
	short := *s // of a long one gopacket makes a jumbogram
	short.data = s.data[:min(len(s.data), 1000)]
	flat := short.packet(t, pool, nil)
	defer flat.Free()
	hdr := flat.TotLen() - len(short.data)
	p := pool.AllocRun(len(s.data), s.mss)
	require.NotNil(t, p)
	require.NoError(t, p.Take(s.data))
	for q := p; q != nil; q = q.Next() {
		if sums || rng.IntN(2) == 0 {
			q.SetDataSum(header.Checksum(q.Payload(), 0), q.Len())
		}
	}
	require.True(t, p.AddHeader(hdr))
	require.NoError(t, p.Take(content(flat)[:hdr]))
	l2, l3, l4 := s.lens()
	sum := (*header.TCP)(p.Payload()[l2+l3:]).Checksum() // of the pseudo-header
	less, more := uint32(l4+len(short.data)), uint32(l4+len(s.data))
	(*header.TCP)(p.Payload()[l2+l3:]).SetChecksum(^header.UpdateChecksum32(^sum, less, more))
	hash, kept := p.Hash, p.Flags
	p.Meta, p.Time = flat.Meta, flat.Time
	p.Hash, p.Flags = hash, p.Flags|kept
	return p
}

// TestInPlaceIsSegment: what is cut where it lies is what is cut otherwise, and
// the buffers are those of the packet.
func TestInPlaceIsSegment(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 2048, Jumbo: 32})
	rng := rand.New(rand.NewPCG(7, 8))
	var g offload.Segmenter
	frames := uint64(0)
	for i := range 400 {
		mss := 1 + rng.IntN(1900)
		n := 1 + rng.IntN(min(60000, mss*60))
		switch i % 4 {
		case 0:
			n = mss * (1 + rng.IntN(30)) // the last is full
		case 1:
			n = 1 + rng.IntN(mss) // one frame
		}
		s := randomSuper(rng, i&8 != 0, false, n, mss)
		want := s.segments(t)
		for _, have := range portCaps {
			p := s.run(t, pool, i&16 != 0, rng)
			avail := [2]int{pool.Avail(pbuf.ClassSmall), pool.Avail(pbuf.ClassStandard)}
			out := make([]*pbuf.Pbuf, len(want))
			k, ok := g.InPlace(p, have, out)
			require.True(t, ok, "%d bytes by %d", n, mss)
			require.Len(t, want, k)
			require.Equal(t, avail, [2]int{pool.Avail(pbuf.ClassSmall), pool.Avail(pbuf.ClassStandard)}, "no buffer is taken")
			require.Same(t, p, out[0])
			for j, f := range out {
				require.Nil(t, f.Next())
				require.Zero(t, f.Flags&(pbuf.TxTSO|pbuf.TxUSO))
				require.Zero(t, f.Flags&csumFlags&^(pbuf.Flags(have&offload.TxCsum)*pbuf.TxIPCsum), "only what the port does is left")
				require.Equal(t, [4]uint8{out[0].L2Len, out[0].L3Len, out[0].L4Len}, [4]uint8{f.L2Len, f.L3Len, f.L4Len})
				require.Zero(t, f.SegSize)
				if !have.Has(offload.TxTCPCsum) {
					l2, l3, l4 := s.lens()
					data := f.Payload()[l2+l3+l4:]
					sum, ok := f.DataSum(len(data))
					require.True(t, ok)
					require.Equal(t, header.Checksum(data, 0)%0xffff, sum%0xffff, "kept for when it is sent again")
				}
				offload.FinishTx(f, 0)
				require.Equal(t, want[j], content(f), "frame %d of %d, %v", j, k, have)
				f.Free()
			}
			frames += uint64(k)
		}
	}
	require.Equal(t, frames, g.Stats().Frames)
	require.Zero(t, g.Stats().Copied)
}

// TestInPlaceRefuses: what is not laid out for it is left as it is.
func TestInPlaceRefuses(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 64, Buffers: 64, Jumbo: 4})
	rng := rand.New(rand.NewPCG(9, 10))
	s := randomSuper(rng, false, false, 3500, 1000)
	for name, spoil := range map[string]func(p *pbuf.Pbuf) (undo func()){
		"another SegSize":     func(p *pbuf.Pbuf) func() { p.SegSize = 999; return nil },
		"no order":            func(p *pbuf.Pbuf) func() { p.Flags &^= pbuf.TxTSO; return nil },
		"wrong header length": func(p *pbuf.Pbuf) func() { p.L4Len += 4; return nil },
		"a held buffer": func(p *pbuf.Pbuf) func() {
			q := p.Next().Next()
			q.Ref()
			return func() { q.Free() }
		},
		"a referenced buffer": func(p *pbuf.Pbuf) func() {
			r := p.Next().Slice(10, 500)
			return func() { r.Free() }
		},
		"no headroom": func(p *pbuf.Pbuf) func() { p.Last().Cat(pool.Alloc(pbuf.LayerRaw, 500, pbuf.KindRAM)); return nil },
		"a short buffer": func(p *pbuf.Pbuf) func() {
			p.Last().Cat(pool.Alloc(pbuf.LayerTransport, 1000, pbuf.KindRAM))
			return nil
		},
	} {
		p := s.run(t, pool, true, rng)
		undo := spoil(p)
		before, n := content(p), p.ChainLen()
		var g offload.Segmenter
		_, ok := g.InPlace(p, 0, make([]*pbuf.Pbuf, 8))
		require.False(t, ok, name)
		require.Equal(t, before, content(p), name)
		require.Equal(t, n, p.ChainLen(), name)
		require.Zero(t, g.Stats().Frames, name)
		if undo != nil {
			undo()
		}
		p.Free()
	}
	p := s.run(t, pool, true, rng)
	_, ok := new(offload.Segmenter).InPlace(p, 0, make([]*pbuf.Pbuf, 3))
	require.False(t, ok, "out is too short")
	p.Free()
}

func TestInPlaceAllocatesNothing(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Buffers: 64, Small: 64})
	rng := rand.New(rand.NewPCG(11, 12))
	s := randomSuper(rng, false, false, 10000, 1000)
	hdr := 0
	{
		l2, l3, l4 := s.lens()
		hdr = l2 + l3 + l4
	}
	p := s.run(t, pool, true, rng)
	want := content(p)
	meta := p.Meta
	var g offload.Segmenter
	out := make([]*pbuf.Pbuf, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		n, ok := g.InPlace(p, 0, out)
		if !ok {
			t.Fatal("refused")
		}
		for _, f := range out[1:n] {
			f.RemoveHeader(hdr)
		}
		l := pbuf.LinkParts(out[1:n])
		p.Gather(&l)
		_ = p.Take(want[:hdr])
		p.Meta = meta
	}))
	p.Free()
}
