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

// RFC 9293 3.1 MUST-3, RFC 1122 4.1.3.4: the receiver checks the checksum. Each
// single wrong bit is found.
func TestVerifyL4FindsEachFlippedBit(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 4096})
	for _, s := range []shape{{payload: 33}, {udp: true, payload: 33}, {v6: true, payload: 8}} {
		b, l2, l3 := s.frame(t, rng)
		ps := pseudo(t, b, l2, l3)
		p := chain(t, pool, b, l2+l3, rng)
		require.True(t, offload.VerifyL4(p, l2+l3, ps))
		for bit := (l2 + l3) * 8; bit < len(b)*8; bit++ {
			flip := func() { p.PutAt(bit/8, p.GetAt(bit/8)^1<<(bit%8)) }
			flip()
			require.False(t, offload.VerifyL4(p, l2+l3, ps), "bit %d", bit)
			flip()
		}
		p.Free()
	}
}

// What the port found counts, and nothing is summed.
func TestVerifyTrustsThePort(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	p := pool.Alloc(pbuf.LayerRaw, 20, pbuf.KindRAM)
	defer p.Free()
	for i := range p.Payload() {
		p.Payload()[i] = 0
	}
	ip := (*header.IPv4)(p.Payload())
	hdr := p.Payload()

	require.False(t, offload.VerifyL4(p, 0, 0))
	require.False(t, offload.VerifyIPv4(p, ip, hdr))
	p.Flags = pbuf.RxL4CsumGood | pbuf.RxIPCsumGood
	require.True(t, offload.VerifyL4(p, 0, 0))
	require.True(t, offload.VerifyIPv4(p, ip, hdr))
	p.Flags = pbuf.RxL4CsumGood
	require.False(t, offload.VerifyIPv4(p, ip, hdr), "one says nothing of the other")

	ip.SetChecksum(0xffff)
	require.True(t, header.Checksum(hdr, 0) == 0xffff)
	p.Flags = pbuf.RxL4CsumBad | pbuf.RxIPCsumBad
	require.False(t, offload.VerifyL4(p, 0, 0))
	require.False(t, offload.VerifyIPv4(p, ip, hdr))
	p.Flags = pbuf.RxL4CsumBad | pbuf.RxIPCsumBad | pbuf.RxL4CsumGood | pbuf.RxIPCsumGood
	require.False(t, offload.VerifyL4(p, 0, 0), "a contradiction is not good")
	require.False(t, offload.VerifyIPv4(p, ip, hdr))
	p.Flags = 0
	require.True(t, offload.VerifyIPv4(p, ip, hdr))
}

// RFC 1122 3.2.1.2: the header checksum of IPv4 is verified.
func TestVerifyIPv4FindsEachFlippedBit(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	pool := pbuftest.NewPool(t, pbuf.Config{})
	s := shape{ipOpts: true}
	b, l2, l3 := s.frame(t, rng)
	p := chain(t, pool, b[l2:], len(b)-l2, nil)
	defer p.Free()
	hdr := p.Payload()[:l3]
	ip := (*header.IPv4)(hdr)
	require.True(t, offload.VerifyIPv4(p, ip, hdr))
	for bit := range l3 * 8 {
		hdr[bit/8] ^= 1 << (bit % 8)
		require.False(t, offload.VerifyIPv4(p, ip, hdr), "bit %d", bit)
		hdr[bit/8] ^= 1 << (bit % 8)
	}
}

// FuzzFinishTx: any bytes and lengths within the first buffer, cut anywhere,
// give a checksum that verifies.
func FuzzFinishTx(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), uint8(14), uint8(20), uint16(50), true)
	f.Add(make([]byte, 200), uint8(18), uint8(40), uint16(61), false)
	f.Fuzz(func(t *testing.T, b []byte, l2, l3 uint8, cut uint16, udp bool) {
		s := shape{udp: udp}
		l4 := int(l2) + int(l3)
		head := l4 + s.csumOff() + 2
		if len(b) < head || len(b) > 4000 || int(cut) < head {
			return
		}
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 4, Buffers: 4, Jumbo: 4})
		p := pool.Alloc(pbuf.LayerRaw, min(int(cut), len(b)), pbuf.KindRAM)
		require.NoError(t, p.Take(b[:p.Len()]))
		if rest := b[p.Len():]; len(rest) > 0 {
			q := pool.Alloc(pbuf.LayerRaw, len(rest), pbuf.KindRAM)
			require.NoError(t, q.Take(rest))
			p.Cat(q)
		}
		field := p.Payload()[l4+s.csumOff():]
		ps := uint16(field[0])<<8 | uint16(field[1])
		p.L2Len, p.L3Len, p.Flags = l2, l3, pbuf.TxTCPCsum
		if udp {
			p.Flags = pbuf.TxUDPCsum
		}
		offload.FinishTx(p, 0)
		require.Zero(t, p.Flags)
		require.True(t, offload.VerifyL4(p, l4, ps))
		if udp {
			require.False(t, field[0] == 0 && field[1] == 0, "RFC 768")
		}
		p.Free()
	})
}
