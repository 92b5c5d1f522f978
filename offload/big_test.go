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

// bigSuper is a packet of TCP of more than 64 KiB, and the packet that it is once
// GRO has joined its frames: of IPv6 a jumbogram (RFC 2675 2), of IPv4 with a
// total length of 0.
func bigSuper(t *testing.T, rng *rand.Rand, pool *pbuf.Pool, v6 bool, n int) (*super, *pbuf.Pbuf) {
	t.Helper()
	s := randomSuper(rng, v6, false, n, 1400)
	s.tags = s.tags[:min(1, len(s.tags))]
	if s.ip4 != nil {
		s.ip4.Options = nil
	}
	var burst []wire
	for _, b := range s.segments(t) {
		burst = append(burst, wire{b: b, first: len(b)})
	}
	gro := offload.GRO{Max: offload.MaxBig}
	ps := receive(t, pool, burst, nil)
	for i, p := range ps { // as ports give them: with headroom
		q := pool.Alloc(pbuf.LayerTransport, p.TotLen(), pbuf.KindRAM)
		require.NoError(t, q.Take(content(p)))
		q.Meta, q.Time = p.Meta, p.Time
		p.Free()
		ps[i] = q
	}
	out := gro.Burst(ps)
	require.Len(t, out, 1)
	return s, out[0]
}

// TestRFC2675_2_GROMakesJumbograms: and what it makes is cut into what it was.
func TestRFC2675_2_GROMakesJumbograms(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048, Buffers: 2048, Jumbo: 16})
	rng := rand.New(rand.NewPCG(21, 22))
	for i, n := range []int{64000, 65500, 66000, 100_000, 300_000, 66000, 200_000, 500_000} {
		v6 := i&1 != 0
		s, p := bigSuper(t, rng, pool, v6, n)
		l2, l3, l4 := s.lens()
		jumbo := 0
		flat := content(p)
		if over := n + l4; v6 && over > offload.MaxTSO {
			jumbo = header.IPv6JumboLen
			h, _, f := header.ParseIPv6(flat[l2:])
			require.Equal(t, header.OK, f)
			require.True(t, h.IsJumbo())
			size, _, f := header.ParseIPv6Jumbo(flat[l2:], len(flat)-l2)
			require.Equal(t, header.OK, f)
			require.Equal(t, n+l4+jumbo, size)
		} else if !v6 && n+l4+l3 > offload.MaxTSO {
			ip := (*header.IPv4)(flat[l2:])
			require.Zero(t, ip.TotalLen())
			require.True(t, ip.VerifyChecksum(flat[l2:l2+l3]))
		}
		require.Equal(t, s.data, flat[l2+l3+l4+jumbo:])
		require.Equal(t, [3]int{l2, l3 + jumbo, l4}, [3]int{int(p.L2Len), int(p.L3Len), int(p.L4Len)})
		require.EqualValues(t, s.mss, p.SegSize)

		offload.Forward(p, header.ProtoTCP)
		require.Equal(t, l3+l4+s.mss, offload.SegNetLen(p), "the frames are no jumbograms")
		whole := n+l4 <= offload.MaxTSO && (v6 || n+l3+l4 <= offload.MaxTSO)
		require.Equal(t, !whole, offload.MustCut(p, offload.TSO))
		require.False(t, offload.MustCut(p, offload.TSO|offload.BigTCP))
		for _, have := range []offload.Caps{0, offload.MultiSeg, offload.TxCsum} {
			require.Equal(t, s.segments(t), frames(t, p, have))
		}
		p.Free()
	}
}

// frames cuts p and gives what is on the wire.
func frames(t *testing.T, p *pbuf.Pbuf, have offload.Caps) (list [][]byte) {
	t.Helper()
	var g offload.Segmenter
	out := make([]*pbuf.Pbuf, offload.SegCount(p))
	_, ok := g.Segment(p, have, out)
	require.True(t, ok)
	for _, f := range out {
		require.LessOrEqual(t, int(f.L3Len), 60)
		if (f.Payload()[f.L2Len] >> 4) == 6 {
			require.EqualValues(t, header.IPv6Len, f.L3Len)
		}
		offload.FinishTx(f, 0)
		list = append(list, content(f))
		f.Free()
	}
	return list
}

// TestGROWithoutRoomStopsAt64KiB: a jumbogram needs eight bytes in front.
func TestGROWithoutRoomStopsAt64KiB(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 512, Buffers: 256, Jumbo: 4})
	rng := rand.New(rand.NewPCG(23, 24))
	s := randomSuper(rng, true, false, 100_000, 1400)
	s.tags = nil
	var burst []wire
	for _, b := range s.segments(t) {
		burst = append(burst, wire{b: b, first: len(b)})
	}
	for _, most := range []int{0, offload.MaxBig} {
		gro := offload.GRO{Max: most}
		ps := receive(t, pool, burst, nil)
		for i, p := range ps {
			q := pool.Alloc(pbuf.LayerRaw, p.TotLen(), pbuf.KindRAM)
			require.NoError(t, q.Take(content(p)))
			p.Free()
			ps[i] = q
		}
		out := gro.Burst(ps)
		require.Len(t, out, 2)
		for _, p := range out {
			require.EqualValues(t, header.IPv6Len, p.L3Len)
			p.Free()
		}
	}
}

// TestInPlaceOfAJumbogram: the option's header goes, and the frames are as ever.
func TestInPlaceOfAJumbogram(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 512, Buffers: 512, Jumbo: 4, JumboRoom: 1 << 18})
	rng := rand.New(rand.NewPCG(25, 26))
	s := randomSuper(rng, true, false, 150_000, 1400)
	s.tags = nil
	want := s.segments(t)
	p := s.run(t, pool, true, rng)
	l2, l3, _ := s.lens()
	hdr := append([]byte(nil), p.Payload()[:l2+l3]...)
	require.True(t, p.AddHeader(header.IPv6JumboLen))
	b := p.Payload()
	ip := (*header.IPv6)(hdr[l2:])
	ip.SetPayloadLen(0)
	ip.SetNextHeader(header.ProtoHopByHop)
	copy(b, hdr)
	(*header.IPv6Jumbo)(b[l2+l3:]).Encode(header.ProtoTCP, uint32(p.TotLen()-l2-l3))
	p.L3Len += header.IPv6JumboLen
	out := make([]*pbuf.Pbuf, len(want))
	n, ok := new(offload.Segmenter).InPlace(p, 0, out)
	require.True(t, ok, "%d %d %d %d", p.Len(), p.L2Len, p.L3Len, p.L4Len)
	require.Len(t, want, n)
	for i, f := range out {
		require.Equal(t, want[i], content(f))
		require.EqualValues(t, l3, f.L3Len)
		f.Free()
	}
}

func TestMaxSegment(t *testing.T) {
	require.Zero(t, (offload.All &^ offload.TSO).MaxSegment())
	require.Equal(t, offload.MaxTSO, offload.TSO4.MaxSegment())
	require.Equal(t, offload.MaxBig, (offload.TSO6 | offload.BigTCP).MaxSegment())
}
