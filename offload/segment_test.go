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

// portCaps are what ports may have that matters to cutting.
var portCaps = []offload.Caps{
	0, offload.MultiSeg, offload.TxCsum, offload.TxCsum | offload.MultiSeg,
	offload.TxIPCsum, offload.TxTCPCsum | offload.MultiSeg, offload.TxUDPCsum,
}

// cut cuts a packet and returns the frames as they are on the wire, once the
// port has done its part.
func cut(t testing.TB, g *offload.Segmenter, p *pbuf.Pbuf, have offload.Caps) [][]byte {
	t.Helper()
	out := make([]*pbuf.Pbuf, offload.SegCount(p))
	n, ok := g.Segment(p, have, out)
	require.True(t, ok, "%+v", g.Stats())
	require.Len(t, out, n)
	var list [][]byte
	for _, f := range out {
		require.Zero(t, f.Flags&(pbuf.TxTSO|pbuf.TxUSO))
		require.Zero(t, f.Flags&csumFlags&^(pbuf.Flags(have&offload.TxCsum)*pbuf.TxIPCsum), "only what the port does is left")
		require.Zero(t, f.SegSize)
		require.Equal(t, [3]uint8{p.L2Len, p.L3Len, p.L4Len}, [3]uint8{f.L2Len, f.L3Len, f.L4Len})
		require.Equal(t, p.Hash, f.Hash)
		if have.Has(offload.MultiSeg) {
			require.Equal(t, int(p.L2Len+p.L3Len+p.L4Len), min(f.Len(), int(p.L2Len+p.L3Len+p.L4Len)))
		} else {
			require.Nil(t, f.Next())
		}
		offload.FinishTx(f, 0)
		list = append(list, content(f))
		f.Free()
	}
	return list
}

// What is cut is what gopacket makes of the same headers, for all families,
// protocols, tags, options and flags, whatever the port does and wherever the
// buffers of the packet end.
func TestSegmentGivesGopacketsFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 2048, Jumbo: 32})
	var g offload.Segmenter
	for i := range 400 {
		n, mss := rng.IntN(20000), 40+rng.IntN(3000)
		switch i % 8 {
		case 0:
			n = mss * rng.IntN(10) // the last is full
		case 1:
			n, mss = rng.IntN(60), 1+rng.IntN(20)
		case 2:
			n, mss = rng.IntN(100), 1460 // one frame
		}
		s := randomSuper(rng, i&1 != 0, i&2 != 0, n, mss)
		s.noCsum = s.udp != nil && s.ip4 != nil && rng.IntN(3) == 0
		p := s.packet(t, pool, rng)
		p.Hash, p.Time = 77, 99
		before := content(p)
		want := s.segments(t)
		for _, have := range portCaps {
			require.Equal(t, want, cut(t, &g, p, have), "%d bytes by %d, %v", n, mss, have)
			require.Equal(t, before, content(p), "the packet is not changed")
		}
		p.Free()
	}
	require.EqualValues(t, 400*len(portCaps), g.Stats().Packets)
}

// RFC 3168 6.1.2, as Linux does: CWR on the first segment only. RFC 9293 3.1:
// FIN and PSH are the last byte's.
func TestRFC3168_6_1_2_FlagsOfSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := randomSuper(rng, false, false, 1000, 300)
	s.tcp.PSH, s.tcp.FIN, s.tcp.CWR, s.tcp.ECE = true, true, true, true
	p := s.packet(t, pool, nil)
	var flags []string
	for _, f := range cut(t, new(offload.Segmenter), p, 0) {
		l2, l3, _ := s.lens()
		flags = append(flags, (*header.TCP)(f[l2+l3:]).Flags().String())
	}
	require.Equal(t, []string{"AEC", "AE", "AE", "FPAE"}, flags)
	p.Free()
}

// RFC 768: a checksum that comes out as zero is transmitted as all ones.
func TestSegmentRFC768ZeroChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := randomSuper(rng, true, true, 4, 2)
	f := s.segments(t)[0]
	l2, l3, l4 := s.lens()
	f[len(f)-2], f[len(f)-1], f[l2+l3+6], f[l2+l3+7] = 0, 0, 0, 0
	rest := ^header.Checksum(f[l2+l3:], pseudo(t, f, l2, l3))
	s.data[0], s.data[1] = byte(rest>>8), byte(rest)
	p := s.packet(t, pool, nil)
	for _, have := range portCaps {
		got := cut(t, new(offload.Segmenter), p, have)[0]
		require.EqualValues(t, 0xffff, (*header.UDP)(got[l2+l3:]).Checksum())
		require.Len(t, got, l2+l3+l4+2)
	}
	p.Free()
}

// The frames outlive the packet, in whatever order they are freed.
func TestSegmentsOutliveThePacket(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096})
	s := randomSuper(rng, false, false, 9000, 1000)
	p := s.packet(t, pool, rng)
	out := make([]*pbuf.Pbuf, 9)
	var g offload.Segmenter
	_, ok := g.Segment(p, offload.MultiSeg, out)
	require.True(t, ok)
	require.Zero(t, g.Stats().Copied)
	p.Free()
	want := s.segments(t)
	for _, i := range rng.Perm(9) {
		require.Equal(t, want[i], content(out[i]))
		out[i].Free()
	}
}

// RFC 2675, as Linux does inside the host: more than 64 KiB over IPv6.
func TestSegmentBeyond64KiB(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048})
	s := randomSuper(rng, true, false, 60000, 1400)
	p := s.packet(t, pool, nil)
	more := randomBytes(rng, 200_000)
	s.data = append(s.data, more...)
	for len(more) > 0 {
		q := pool.Alloc(pbuf.LayerRaw, min(len(more), 2048), pbuf.KindRAM)
		require.NoError(t, q.Take(more[:q.Len()]))
		more = more[q.Len():]
		p.Cat(q)
	}
	l2, l3, l4 := s.lens()
	(*header.IPv6)(p.Payload()[l2:]).SetPayloadLen(0)
	ip := (*header.IPv6)(p.Payload()[l2:])
	(*header.TCP)(p.Payload()[l2+l3:]).SetChecksum(header.PseudoHeader6(ip.Src(), ip.Dst(), header.ProtoTCP, uint32(l4+len(s.data))))
	require.True(t, offload.MustCut(p, offload.TSO), "no port takes that")
	require.Equal(t, s.segments(t), cut(t, new(offload.Segmenter), p, offload.MultiSeg))
	p.Free()
}

// All or nothing: wherever buffers run out, nothing is kept, and it is counted.
func TestSegmentWithoutBuffers(t *testing.T) {
	for _, have := range []offload.Caps{0, offload.MultiSeg} {
		rng := rand.New(rand.NewPCG(11, 12))
		src := pbuftest.NewPool(t, pbuf.Config{Small: 64, Buffers: 64})
		s := randomSuper(rng, false, false, 9000, 1000)
		var g offload.Segmenter
		out := make([]*pbuf.Pbuf, 9)
		worked := false
		for free := 0; !worked; free++ {
			p := s.packet(t, src, nil)
			var hoard []*pbuf.Pbuf
			for src.Avail(pbuf.ClassSmall)+src.Avail(pbuf.ClassStandard)+src.Avail(pbuf.ClassJumbo) > free {
				c := min(1, src.Avail(pbuf.ClassSmall)) // small ones first
				q := src.Alloc(pbuf.LayerRaw, 400*(1-c), pbuf.KindRAM)
				hoard = append(hoard, q)
			}
			_, worked = g.Segment(p, have, out)
			if worked {
				pbuf.FreeBatch(out)
				require.Greater(t, free, 8)
			} else {
				require.EqualValues(t, free+1, g.Stats().NoBuf)
			}
			pbuf.FreeBatch(hoard)
			p.Free()
			require.True(t, src.Full())
		}
	}
}

func TestSegmentRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	for name, spoil := range map[string]func(p *pbuf.Pbuf){
		"no order":           func(p *pbuf.Pbuf) { p.Flags &^= pbuf.TxTSO },
		"two orders":         func(p *pbuf.Pbuf) { p.Flags |= pbuf.TxUSO },
		"no SegSize":         func(p *pbuf.Pbuf) { p.SegSize = 0 },
		"short link header":  func(p *pbuf.Pbuf) { p.L2Len = 13 },
		"short IP header":    func(p *pbuf.Pbuf) { p.L3Len = 19 },
		"wrong IP header":    func(p *pbuf.Pbuf) { p.L3Len += 4; p.L4Len -= 4 },
		"short TCP header":   func(p *pbuf.Pbuf) { p.L4Len = 16 },
		"wrong TCP header":   func(p *pbuf.Pbuf) { p.L4Len += 4 },
		"headers too long":   func(p *pbuf.Pbuf) { p.L2Len, p.L4Len = 200, 60 },
		"headers beyond end": func(p *pbuf.Pbuf) { p.Realloc(30) },
		"no IP":              func(p *pbuf.Pbuf) { p.PutAt(int(p.L2Len), 0x55) },
		"IPv6 too short":     func(p *pbuf.Pbuf) { p.PutAt(int(p.L2Len), 0x65) },
	} {
		t.Run(name, func(t *testing.T) {
			s := randomSuper(rng, false, false, 3000, 1000)
			s.ip4.Options = nil
			p := s.packet(t, pool, nil)
			spoil(p)
			var g offload.Segmenter
			n, ok := g.Segment(p, 0, make([]*pbuf.Pbuf, 10))
			require.False(t, ok)
			require.Zero(t, n)
			require.Equal(t, offload.SegmentStats{Refused: 1}, g.Stats())
			p.Free()
		})
	}
	t.Run("UDP over IPv6 without checksum, RFC 8200 8.1", func(t *testing.T) {
		s := randomSuper(rng, true, true, 3000, 1000)
		s.noCsum = true
		p := s.packet(t, pool, nil)
		var g offload.Segmenter
		_, ok := g.Segment(p, 0, make([]*pbuf.Pbuf, 10))
		require.False(t, ok)
		p.Free()
	})
	t.Run("frames longer than IP", func(t *testing.T) {
		s := randomSuper(rng, false, false, 65000, 65535)
		p := s.packet(t, pool, nil)
		p.Cat(pool.Alloc(pbuf.LayerRaw, 600, pbuf.KindRAM))
		var g offload.Segmenter
		_, ok := g.Segment(p, offload.MultiSeg, make([]*pbuf.Pbuf, 10))
		require.False(t, ok)
		require.EqualValues(t, 1, g.Stats().Refused)
		p.Free()
	})
	t.Run("out too short", func(t *testing.T) {
		s := randomSuper(rng, true, false, 3000, 1000)
		p := s.packet(t, pool, nil)
		var g offload.Segmenter
		_, ok := g.Segment(p, 0, make([]*pbuf.Pbuf, 2))
		require.False(t, ok)
		require.Equal(t, offload.SegmentStats{NoRoom: 1}, g.Stats())
		p.Free()
	})
}

func TestMustCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 1024})
	for _, c := range []struct {
		name     string
		v6, udp  bool
		cwr      bool
		mss      int
		have     offload.Caps
		want     bool
		wantOnly offload.Caps // taken from have, must be cut
	}{
		{name: "TSO4", have: offload.TSO4, mss: 1000, wantOnly: offload.TSO4},
		{name: "TSO6", v6: true, have: offload.TSO6, mss: 1000, wantOnly: offload.TSO6},
		{name: "CWR", cwr: true, have: offload.TSO4 | offload.TSOECN, mss: 1000, wantOnly: offload.TSOECN},
		{name: "USO4", udp: true, have: offload.USO, mss: 1000, wantOnly: offload.USO},
		{name: "USO6", udp: true, v6: true, have: offload.USO, mss: 1000, wantOnly: offload.USO},
		{name: "USO of 65", udp: true, have: offload.USO, mss: 78, want: true},
		{name: "USO of 64", udp: true, have: offload.USO, mss: 79, wantOnly: offload.USO},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := randomSuper(rng, c.v6, c.udp, 5000, c.mss)
			if s.tcp != nil {
				s.tcp.CWR = c.cwr
			}
			p := s.packet(t, pool, rng)
			require.Equal(t, c.want, offload.MustCut(p, c.have))
			if c.wantOnly != 0 {
				require.True(t, offload.MustCut(p, ^c.wantOnly))
			}
			if c.udp {
				p.Flags &^= pbuf.TxUDPCsum
				require.True(t, offload.MustCut(p, c.have), "ports fill the checksum")
			}
			_, l3, l4 := s.lens()
			require.Equal(t, l3+l4+c.mss, offload.SegNetLen(p))
			p.Flags &^= pbuf.TxTSO | pbuf.TxUSO
			require.False(t, offload.MustCut(p, 0), "nothing is asked for")
			require.Equal(t, l3+l4+5000, offload.SegNetLen(p))
			p.Free()
		})
	}
}
