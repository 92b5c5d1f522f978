package offload_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// roundTrip cuts a packet, lets the frames arrive, joins them, and requires the
// packet to be what it was: all bytes, with the orders that Forward makes, the
// same segments again.
func roundTrip(t testing.TB, pool *pbuf.Pool, s *super, have offload.Caps, rng *rand.Rand) {
	t.Helper()
	p := s.packet(t, pool, rng)
	defer p.Free()
	if s.ip4 != nil { // as it arrives in the end
		l2, l3, _ := s.lens()
		hdr := make([]byte, l3)
		p.CopyPartial(hdr, l2)
		(*header.IPv4)(hdr).FillChecksum(hdr)
		require.NoError(t, p.TakeAt(hdr, l2))
	}
	want := content(p)
	var g offload.Segmenter
	var burst []wire
	for _, b := range cut(t, &g, p, have) {
		burst = append(burst, wire{b: b, first: len(b)})
	}
	gro := offload.GRO{UDP: true}
	out := gro.Burst(receive(t, pool, burst, nil))
	require.Len(t, out, 1)
	got := out[0]
	defer got.Free()
	require.Equal(t, want, content(got))
	require.EqualValues(t, s.mss, got.SegSize)

	l2, l3, l4 := s.lens()
	require.Equal(t, [3]int{l2, l3, l4}, [3]int{int(got.L2Len), int(got.L3Len), int(got.L4Len)})
	proto := header.ProtoTCP
	if s.udp != nil {
		proto = header.ProtoUDP
	}
	got.Flags |= pbuf.FlagsUser
	offload.Forward(got, proto)
	require.Equal(t, p.Flags&^pbuf.TxIPCsum|pbuf.FlagsUser, got.Flags)
	require.Equal(t, s.segments(t), cut(t, &g, got, have))
}

// What is cut and joined again is what it was.
func TestSegmentAndGROAreInverse(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 8192, Buffers: 2048, Jumbo: 40})
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		udp := seed&2 != 0
		mss := 1 + rng.IntN(1900)
		most := min(64*1024-100, mss*100)
		if udp {
			most = min(most, mss*offload.MaxUSO)
		}
		if most <= mss {
			continue
		}
		s := randomSuper(rng, seed&1 != 0, udp, mss+1+rng.IntN(most-mss), mss)
		s.tags = s.tags[:min(1, len(s.tags))]
		if s.ip4 != nil {
			s.ip4.Options = nil
		}
		roundTrip(t, pool, s, portCaps[rng.IntN(len(portCaps))], rng)
	}
}

// Forward leaves a packet alone that came as it was sent.
func TestForwardOfPlainPackets(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	p := pool.Alloc(pbuf.LayerRaw, 100, pbuf.KindRAM)
	p.Flags = pbuf.RxHash | pbuf.RxL4CsumGood | pbuf.RxIPCsumGood | pbuf.LinkBroadcast | pbuf.FlagsUser<<3
	offload.Forward(p, header.ProtoTCP)
	require.Equal(t, pbuf.FlagsUser<<3, p.Flags)
	p.Flags = pbuf.RxL4CsumGood | pbuf.RxL4Partial
	offload.Forward(p, header.ProtoUDP)
	require.Equal(t, pbuf.TxUDPCsum, p.Flags)
	p.Free()
}

// FuzzSegmentAndGRO: any headers that gopacket can make and any lengths.
func FuzzSegmentAndGRO(f *testing.F) {
	f.Add(uint64(1), uint16(3000), uint16(1460), byte(0), byte(0))
	f.Add(uint64(2), uint16(65000), uint16(1448), byte(1), byte(1))
	f.Add(uint64(3), uint16(4000), uint16(100), byte(2), byte(3))
	f.Add(uint64(4), uint16(11), uint16(1), byte(3), byte(2))
	f.Fuzz(func(t *testing.T, seed uint64, n, mss uint16, kind, caps byte) {
		s, size := int(mss), int(n)
		if s == 0 || s > 1900 || size <= s || size > 65535-100 || size/s > 200 || kind&2 != 0 && (size-1)/s >= offload.MaxUSO {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		sup := randomSuper(rng, kind&1 != 0, kind&2 != 0, size, s)
		sup.tags = sup.tags[:min(1, len(sup.tags))]
		if sup.ip4 != nil {
			sup.ip4.Options = nil
		}
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048, Buffers: 1024, Jumbo: 8})
		roundTrip(t, pool, sup, portCaps[int(caps)%len(portCaps)], rng)
	})
}

// FuzzSegment: any bytes and lengths give frames or a refusal, and no loss.
func FuzzSegment(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 8 {
		s := randomSuper(rng, i&1 != 0, i&2 != 0, 500, 100)
		l2, l3, l4 := s.lens()
		f.Add(s.serialize(f, s.data), uint8(l2), uint8(l3), uint8(l4), uint16(100), uint32(pbuf.TxTSO)<<(i>>1&1), uint16(60*i))
	}
	f.Fuzz(func(t *testing.T, b []byte, l2, l3, l4 uint8, mss uint16, flags uint32, cutAt uint16) {
		if len(b) > 4000 || int(mss) < len(b)/500 {
			return
		}
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048, Buffers: 16, Jumbo: 4})
		head := min(int(cutAt), len(b))
		p := pool.Alloc(pbuf.LayerRaw, head, pbuf.KindRAM)
		require.NoError(t, p.Take(b[:head]))
		if head < len(b) {
			q := pool.Alloc(pbuf.LayerRaw, len(b)-head, pbuf.KindRAM)
			require.NoError(t, q.Take(b[head:]))
			p.Cat(q)
		}
		p.L2Len, p.L3Len, p.L4Len, p.SegSize, p.Flags = l2, l3, l4, mss, pbuf.Flags(flags)
		offload.MustCut(p, offload.Caps(flags))
		var g offload.Segmenter
		out := make([]*pbuf.Pbuf, 600)
		n, ok := g.Segment(p, offload.Caps(flags), out)
		if ok {
			hdr, data := int(l2)+int(l3)+int(l4), 0
			for _, q := range out[:n] {
				require.Equal(t, b[hdr+data:hdr+data+q.TotLen()-hdr], content(q)[hdr:])
				data += q.TotLen() - hdr
				q.Free()
			}
			require.Equal(t, len(b)-hdr, data)
		}
		require.Equal(t, b, content(p))
		p.Free()
	})
}

// unpackBurst reads a burst as the fuzzer writes it: for each frame 2 bytes of
// length, 1 of flags, 1 of where it is cut, and the frame.
func unpackBurst(data []byte) (burst []wire) {
	for len(data) >= 4 && len(burst) < 64 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-4, 2000)
		w := wire{b: data[4 : 4+n : 4+n], first: n, flags: pbuf.Flags(data[2]) &^ (pbuf.RxHash | pbuf.RxTime), vlan: uint16(data[2] & 3)}
		if cutAt := int(data[3]); cutAt < n {
			w.first, w.chained = cutAt, true
		}
		data = data[4+n:]
		burst = append(burst, w)
	}
	return burst
}

// FuzzGRO: any burst of any bytes comes out as the oracle says.
func FuzzGRO(f *testing.F) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 4))
		flows := newSenders(rng, 1+int(seed%3))
		var b []byte
		for range 8 {
			w := flows[rng.IntN(len(flows))].frame(f, rng, rng.IntN(4) == 0)
			b = binary.BigEndian.AppendUint16(b, uint16(len(w.b)))
			b = append(b, byte(w.flags), byte(100+rng.IntN(200)))
			b = append(b, w.b...)
		}
		f.Add(b, seed&1 != 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, udp bool) {
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 256, Buffers: 256})
		g := offload.GRO{UDP: udp}
		checkBurst(t, &g, pool, unpackBurst(data), rand.New(rand.NewPCG(1, 1)))
	})
}
