package mem_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// testWire is a wire with a pool for each queue.
type testWire struct {
	a, b   *mem.End
	pa, pb []*pbuf.Pool
}

// newWire makes a started wire. At the end of the test it is closed, if the
// test has not done so, and all pools must be full.
func newWire(t testing.TB, cfg mem.Config) *testWire {
	t.Helper()
	return newWireWith(t, cfg, pbuf.Config{Small: 2048, Buffers: 4096})
}

func newWireWith(t testing.TB, cfg mem.Config, pool pbuf.Config) *testWire {
	t.Helper()
	w := attachedWire(t, cfg, pool)
	require.NoError(t, w.a.Start())
	require.NoError(t, w.b.Start())
	return w
}

func attachedWire(t testing.TB, cfg mem.Config, pool pbuf.Config) *testWire {
	t.Helper()
	a, b, err := mem.New(cfg)
	require.NoError(t, err)
	w := &testWire{a: a, b: b}
	w.pa = attach(t, a, pool)
	w.pb = attach(t, b, pool)
	t.Cleanup(func() {
		for _, e := range []*mem.End{a, b} {
			if err := e.Close(); err != nil {
				require.ErrorIs(t, err, port.ErrClosed)
			}
		}
	})
	return w
}

func attach(t testing.TB, e *mem.End, cfg pbuf.Config) []*pbuf.Pool {
	t.Helper()
	var pools []*pbuf.Pool
	for q := range e.Info().Queues {
		pools = append(pools, pbuftest.NewPool(t, cfg))
		require.NoError(t, e.Attach(q, pools[q]))
	}
	return pools
}

// frame makes an untagged IPv4 UDP frame of n bytes, at least 50, of a flow,
// with a sequence number and random data behind it, and right checksums.
func frame(n int, flow uint16, seq uint64) []byte {
	b := make([]byte, n)
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 0, 0xb}, header.MAC{2, 0, 0, 0, 0, 0xa}, header.EtherTypeIPv4)
	ip := (*header.IPv4)(b[14:])
	src, dst := header.AddrFrom4Uint(0xc6120001), header.AddrFrom4Uint(0xc6120002)
	total := min(n-14, 65535)
	ip.Encode(&header.IPv4Fields{TTL: 64, Protocol: header.ProtoUDP, TotalLen: uint16(total), Src: src, Dst: dst})
	l4 := b[34 : 14+total]
	rng := rand.New(rand.NewPCG(seq, uint64(flow)))
	for i := 16; i+8 <= len(l4); i += 8 {
		binary.LittleEndian.PutUint64(l4[i:], rng.Uint64())
	}
	binary.BigEndian.PutUint64(l4[8:], seq)
	udp := (*header.UDP)(l4)
	udp.Encode(&header.UDPFields{SrcPort: flow, DstPort: 7, Length: uint16(len(l4))})
	sum := header.Checksum(l4, header.PseudoHeader4(src, dst, header.ProtoUDP, uint16(len(l4))))
	udp.SetChecksum(header.UDPChecksum(sum))
	return b
}

func seqOf(b []byte) uint64  { return binary.BigEndian.Uint64(b[42:]) }
func flowOf(b []byte) uint16 { return binary.BigEndian.Uint16(b[34:]) }

// packet puts bytes into one buffer of the pool.
func packet(t testing.TB, pool *pbuf.Pool, b []byte) *pbuf.Pbuf {
	t.Helper()
	p := pool.Alloc(pbuf.LayerRaw, len(b), pbuf.KindRAM)
	require.NotNil(t, p, "pool exhausted")
	require.NoError(t, p.Take(b))
	return p
}

// chained puts bytes into a chain of buffers of random lengths, 0 included.
func chained(t testing.TB, pool *pbuf.Pool, b []byte, rng *rand.Rand, most int) *pbuf.Pbuf {
	t.Helper()
	var head *pbuf.Pbuf
	for first := true; first || len(b) > 0; first = false {
		n := min(rng.IntN(most+1), len(b))
		p := packet(t, pool, b[:n])
		b = b[n:]
		if first {
			head = p
		} else {
			head.Cat(p)
		}
	}
	return head
}

func content(p *pbuf.Pbuf) []byte {
	b := make([]byte, p.TotLen())
	return b[:p.CopyPartial(b, 0)]
}

// send sends one packet.
func send(t testing.TB, e *mem.End, q int, now int64, p *pbuf.Pbuf) {
	t.Helper()
	require.Equal(t, 1, e.TxBurst(q, now, []*pbuf.Pbuf{p}))
}

// arrival is a frame that came out of the wire.
type arrival struct {
	bytes []byte
	meta  pbuf.Meta
	time  int64
	bufs  int
}

// recv takes all frames that a queue has by now, and frees them.
func recv(e *mem.End, q int, now int64) []arrival {
	var got []arrival
	ps := make([]*pbuf.Pbuf, 16)
	for {
		n := e.RxBurst(q, now, ps)
		for _, p := range ps[:n] {
			got = append(got, arrival{content(p), p.Meta, p.Time, p.ChainLen()})
			p.Free()
		}
		if n == 0 {
			return got
		}
	}
}

// conserved checks that no frame of the direction from → to went uncounted.
// Nothing may be under way.
func conserved(t testing.TB, from, to *mem.End) {
	t.Helper()
	tx, rx, w := port.Total(from), port.Total(to), from.Wire()
	require.Equal(t, tx.TxPackets+w.Duplicated,
		w.Lost+w.TailDropped+w.Overflowed+rx.RxPackets+rx.RxMissed+rx.RxErrors,
		"tx %+v, rx %+v, wire %+v", tx, rx, w)
}
