package offload_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// csumOff is where the checksum of a shape's transport header is.
func (s shape) csumOff() int {
	if s.udp {
		return 6
	}
	return 16
}

// prepare makes of a finished frame what the stack hands over: no checksums,
// the pseudo-header sum in the transport header, flags and lengths set.
func (s shape) prepare(t testing.TB, p *pbuf.Pbuf, whole []byte, l2, l3 int) {
	t.Helper()
	sum := pseudo(t, whole, l2, l3)
	b := p.Payload()
	b[l2+l3+s.csumOff()], b[l2+l3+s.csumOff()+1] = byte(sum>>8), byte(sum)
	p.L2Len, p.L3Len = uint8(l2), uint8(l3)
	p.Flags = pbuf.TxTCPCsum
	if s.udp {
		p.Flags = pbuf.TxUDPCsum
	}
	if !s.v6 {
		(*header.IPv4)(b[l2:]).SetChecksum(0xdead)
		p.Flags |= pbuf.TxIPCsum
	}
}

func shapes() []shape {
	var list []shape
	for _, v6 := range []bool{false, true} {
		for _, udp := range []bool{false, true} {
			for _, n := range []int{0, 1, 2, 63, 1000, 1460} {
				for _, vlan := range []bool{false, true} {
					s := shape{v6: v6, udp: udp, vlan: vlan, payload: n}
					s.name = fmt.Sprintf("v6=%v/udp=%v/vlan=%v/%d", v6, udp, vlan, n)
					list = append(list, s)
				}
			}
		}
	}
	return append(list, shape{name: "options", ipOpts: true, payload: 99})
}

// FinishTx must come to the checksums that gopacket computed, however the
// frame is cut into buffers.
func TestFinishTxGivesGopacketsChecksums(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 4096})
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			want, l2, l3 := s.frame(t, rng)
			head := l2 + l3 + s.csumOff() + 2
			for i := range 20 {
				r := rng
				if i == 0 {
					r = nil // one buffer
				}
				p := chain(t, pool, want, head, r)
				s.prepare(t, p, want, l2, l3)
				offload.FinishTx(p, 0)
				require.Equal(t, want, content(p))
				require.Zero(t, p.Flags)
				p.Free()
			}
		})
	}
}

// What the port does itself is neither done nor taken off the list of orders.
func TestFinishTxLeavesWorkOfThePort(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := shape{payload: 100}
	want, l2, l3 := s.frame(t, rng)
	for have := range offload.TxCsum + 1 {
		p := chain(t, pool, want, len(want), nil)
		s.prepare(t, p, want, l2, l3)
		p.Flags |= pbuf.RxHash | pbuf.TxVLAN | pbuf.FlagsUser
		before := content(p)
		offload.FinishTx(p, have|offload.TSO4|offload.RSSHash)
		after := content(p)

		ipLeft, tcpLeft := have.Has(offload.TxIPCsum), have.Has(offload.TxTCPCsum)
		require.Equal(t, ipLeft, p.Flags&pbuf.TxIPCsum != 0)
		require.Equal(t, tcpLeft, p.Flags&pbuf.TxTCPCsum != 0)
		require.Equal(t, pbuf.RxHash|pbuf.TxVLAN|pbuf.FlagsUser, p.Flags&^csumFlags)
		if ipLeft {
			require.Equal(t, before[l2:l2+l3], after[l2:l2+l3])
		} else {
			require.Equal(t, want[l2:l2+l3], after[l2:l2+l3])
		}
		if tcpLeft {
			require.Equal(t, before[l2+l3:], after[l2+l3:])
		} else {
			require.Equal(t, want[l2+l3:], after[l2+l3:])
		}
		p.Free()
	}
}

const csumFlags = pbuf.TxIPCsum | pbuf.TxTCPCsum | pbuf.TxUDPCsum

// RFC 768: a checksum that comes out as zero is transmitted as all ones.
func TestRFC768ZeroChecksumIsSentAsOnes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := shape{udp: true, payload: 2}
	b, l2, l3 := s.frame(t, rng)
	// Choose the two bytes of data so that the sum of all is 0xffff.
	l4 := l2 + l3
	b[l4+8], b[l4+9], b[l4+6], b[l4+7] = 0, 0, 0, 0
	rest := ^header.Checksum(b[l4:], pseudo(t, b, l2, l3))
	b[l4+8], b[l4+9] = byte(rest>>8), byte(rest)
	p := chain(t, pool, b, len(b), nil)
	s.prepare(t, p, b, l2, l3)
	offload.FinishTx(p, 0)
	require.EqualValues(t, 0xffff, (*header.UDP)(p.Payload()[l4:]).Checksum())
	p.Free()
}

// A datagram without the order keeps its zero: "no checksum".
func TestFinishTxWithoutOrdersDoesNothing(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	p := pool.Alloc(pbuf.LayerRaw, 4, pbuf.KindRAM)
	offload.FinishTx(p, 0) // has no headers: would panic if it looked
	p.Free()
}

func TestL4SumOverChains(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 4096})
	for range 300 {
		b := make([]byte, 1+rng.IntN(1500))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		p := chain(t, pool, b, 0, rng)
		init := uint16(rng.Uint32())
		for range 5 {
			off := rng.IntN(len(b) + 1)
			// Compared by their checksums: 0 and 0xffff are the same sum.
			require.Equal(t, norm(plainSum(b[off:], init)), norm(offload.L4Sum(p, off, init)))
		}
		require.Equal(t, init, offload.L4Sum(p, len(b)+1, init), "beyond the end")
		p.Free()
	}
}

func norm(sum uint16) uint16 {
	if sum == 0 {
		return 0xffff
	}
	return sum
}

// plainSum is RFC 1071 as it is written down.
func plainSum(b []byte, init uint16) uint16 {
	s := uint64(init)
	for i, c := range b {
		s += uint64(c) << (8 * uint(1-i&1))
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestChecksumsAllocateNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := shape{payload: 1000}
	b, l2, l3 := s.frame(t, rng)
	p := chain(t, pool, b, 60, rng)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s.prepare(t, p, b, l2, l3)
		offload.FinishTx(p, 0)
	}))
	p.Free()
}

func BenchmarkFinishTx(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	pool := pbuftest.NewPool(b, pbuf.Config{})
	for _, n := range []int{0, 1460} {
		b.Run(fmt.Sprintf("TCP/%d", n), func(b *testing.B) {
			s := shape{payload: n}
			f, l2, l3 := s.frame(b, rng)
			p := chain(b, pool, f, len(f), nil)
			defer p.Free()
			s.prepare(b, p, f, l2, l3)
			flags := p.Flags
			b.SetBytes(int64(len(f)))
			b.ReportAllocs()
			for b.Loop() {
				p.Flags = flags
				offload.FinishTx(p, 0)
			}
		})
	}
}
