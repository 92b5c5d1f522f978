package mem_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// bigPacket makes a packet of one flow that asks to be cut at mss, with n bytes
// of data, in buffers of odd lengths. Its checksums are left to the port.
func bigPacket(t testing.TB, pool *pbuf.Pool, v6, udp bool, n, mss int) *pbuf.Pbuf {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), uint64(mss)))
	l3, l4, proto, typ := header.IPv4Len, header.TCPLen, header.ProtoTCP, header.EtherTypeIPv4
	if udp {
		l4, proto = header.UDPLen, header.ProtoUDP
	}
	if v6 {
		l3, typ = header.IPv6Len, header.EtherTypeIPv6
	}
	b := make([]byte, 14+l3+l4+n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 0, 0xb}, header.MAC{2, 0, 0, 0, 0, 0xa}, typ)
	var sum uint16
	if v6 {
		src, dst := header.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 1}), header.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 2})
		(*header.IPv6)(b[14:]).Encode(&header.IPv6Fields{HopLimit: 9, NextHeader: proto, PayloadLen: uint16(l4 + n), Src: src, Dst: dst})
		sum = header.PseudoHeader6(src, dst, proto, uint32(l4+n))
	} else {
		src, dst := header.AddrFrom4Uint(0xc6120001), header.AddrFrom4Uint(0xc6120002)
		(*header.IPv4)(b[14:]).Encode(&header.IPv4Fields{TTL: 64, Protocol: proto, TotalLen: uint16(l3 + l4 + n), Src: src, Dst: dst})
		sum = header.PseudoHeader4(src, dst, proto, uint16(l4+n))
	}
	h := b[14+l3:]
	if udp {
		(*header.UDP)(h).Encode(&header.UDPFields{SrcPort: 9, DstPort: 7, Length: uint16(l4 + n), Checksum: sum})
	} else {
		(*header.TCP)(h).Encode(&header.TCPFields{SrcPort: 9, DstPort: 7, Seq: 5, Flags: header.TCPAck | header.TCPPsh, Checksum: sum})
	}
	p := chained(t, pool, b, rng, 1999)
	p.L2Len, p.L3Len, p.L4Len, p.SegSize = 14, uint8(l3), uint8(l4), uint16(mss)
	p.Flags = pbuf.TxTSO | pbuf.TxTCPCsum
	if udp {
		p.Flags = pbuf.TxUSO | pbuf.TxUDPCsum
	}
	if !v6 {
		p.Flags |= pbuf.TxIPCsum
	}
	return p
}

// inFrames gives the frames that a packet is cut into, with all checksums.
func inFrames(t testing.TB, p *pbuf.Pbuf) [][]byte {
	t.Helper()
	var g offload.Segmenter
	out := make([]*pbuf.Pbuf, offload.SegCount(p))
	_, ok := g.Segment(p, offload.MultiSeg, out)
	require.True(t, ok)
	var all [][]byte
	for _, f := range out {
		all = append(all, content(f))
		f.Free()
	}
	return all
}

var (
	bigTx = mem.EndConfig{Caps: offload.TxCsum | offload.TSO | offload.USO}
	bigRx = offload.RxCsum | offload.LRO | offload.UDPLRO
)

// Between two ends that do all of it a packet arrives as it was sent, with the
// orders that it was sent with once it is sent on, whatever buffers there are.
func TestBigPacketsTravelWhole(t *testing.T) {
	src := pbuftest.NewPool(t, pbuf.Config{})
	for _, room := range []int{256, 2048, 1 << 17} {
		for _, queues := range []int{1, 4} {
			t.Run(fmt.Sprintf("room%d/queues%d", room, queues), func(t *testing.T) {
				rx := mem.EndConfig{Caps: bigRx | offload.RSSHash, Queues: queues}
				w := newWireWith(t, mem.Config{A: bigTx, B: rx}, pbuf.Config{Small: 4096, Buffers: 4096 * 2048 / max(room, 2048), Jumbo: -1, DataRoom: room})
				for i, n := range []int{65000, 1001, 20000, 1999, 65000} {
					p := bigPacket(t, src, i&1 != 0, i&2 != 0, n, 1000)
					sent, meta := content(p), p.Meta
					send(t, w.a, 0, 0, p)
					var got []arrival
					for q := range queues {
						got = append(got, recv(w.b, q, 0)...)
					}
					require.Len(t, got, 1)
					require.Equal(t, sent, got[0].bytes)
					require.NotZero(t, got[0].meta.Hash, "the hash is not lost")
					require.Equal(t, good|pbuf.RxHash|pbuf.RxLRO|pbuf.RxL4Partial, got[0].meta.Flags)
					in := src.Alloc(pbuf.LayerRaw, 0, pbuf.KindRAM)
					in.Meta = got[0].meta
					offload.Forward(in, map[bool]header.Protocol{false: header.ProtoTCP, true: header.ProtoUDP}[i&2 != 0])
					meta.Hash, meta.Flags = in.Hash, meta.Flags&^pbuf.TxIPCsum
					require.Equal(t, meta, in.Meta)
					in.Free()
				}
				conserved(t, w.a, w.b)
			})
		}
	}
}

// Else the wire cuts, and sums if the receiver does not vouch for the wire.
func TestBigPacketsAreCut(t *testing.T) {
	for name, cfg := range map[string]mem.Config{
		"plain":     {A: bigTx},
		"csum":      {A: bigTx, B: mem.EndConfig{Caps: offload.RxCsum}},
		"LRO only":  {A: bigTx, B: mem.EndConfig{Caps: offload.RxCsum | offload.LRO}},
		"steered":   {A: bigTx, B: mem.EndConfig{Queues: 3}},
		"impaired":  {A: bigTx, B: mem.EndConfig{Caps: bigRx}, AtoB: mem.Impairment{Loss: 1e-12}},
		"corrupted": {A: bigTx, B: mem.EndConfig{Caps: bigRx}, AtoB: mem.Impairment{Corrupt: 1e-12}},
		"pause":     {A: bigTx, Pause: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, cfg)
			for i := range 4 {
				v6, udp := i&1 != 0, i&2 != 0
				if name == "LRO only" && !udp {
					continue
				}
				p := bigPacket(t, w.pa[0], v6, udp, 20001, 1000)
				want := inFrames(t, p)
				send(t, w.a, 0, 0, p)
				var got []arrival
				for q := range w.b.Info().Queues {
					got = append(got, recv(w.b, q, 0)...)
				}
				require.Len(t, got, len(want))
				vouched := w.b.Info().Caps.Has(offload.RxCsum)
				for k := range want {
					require.Zero(t, got[k].meta.Flags&pbuf.RxLRO)
					require.Equal(t, vouched, got[k].meta.Flags&good == good)
					if vouched && cfg.AtoB.Corrupt == 0 { // nothing is summed
						l4 := 14 + 20 + 20*(i&1)
						off := l4 + 16 - 10*(i>>1)
						copy(got[k].bytes[off:off+2], want[k][off:off+2])
						copy(got[k].bytes[24:26], want[k][24:26])
					}
					require.Equal(t, want[k], got[k].bytes, "frame %d", k)
				}
			}
			conserved(t, w.a, w.b)
		})
	}
}

// What can't be sent is dropped and counted.
func TestBigPacketsThatAreNotSent(t *testing.T) {
	w := newWireWith(t, mem.Config{A: bigTx}, pbuf.Config{Small: 64, Buffers: 256})
	for _, c := range []struct{ n, mss int }{{5000, 0}, {5000, 1500}, {20000, 4}} {
		send(t, w.a, 0, 0, bigPacket(t, w.pa[0], false, false, c.n, c.mss))
	}
	require.EqualValues(t, 3, w.a.Stats(0).TxErrors, "no SegSize, longer than the MTU, too many")
	p := bigPacket(t, w.pa[0], false, false, 20000, 1000)
	var hoard []*pbuf.Pbuf
	for q := w.pa[0].Alloc(pbuf.LayerRaw, 0, pbuf.KindRAM); q != nil; q = w.pa[0].Alloc(pbuf.LayerRaw, 0, pbuf.KindRAM) {
		hoard = append(hoard, q)
	}
	send(t, w.a, 0, 0, p)
	require.EqualValues(t, 1, w.a.Stats(0).TxDropped, "no buffers to cut it with")
	pbuf.FreeBatch(hoard)
	require.Empty(t, recv(w.b, 0, 0))

	w = newWire(t, mem.Config{B: mem.EndConfig{Caps: bigRx}})
	send(t, w.a, 0, 0, bigPacket(t, w.pa[0], false, false, 20000, 1000))
	require.EqualValues(t, 1, w.a.Stats(0).TxErrors, "an end without TSO sends no big packets")
}

// With Pause a packet waits until there are buffers for all of it.
func TestPauseHoldsBigPacketsBack(t *testing.T) {
	for _, whole := range []bool{false, true} {
		cfg := mem.Config{A: bigTx, B: mem.EndConfig{QueueLen: 40}, Pause: true}
		if whole {
			cfg.B.Caps = bigRx
		}
		w := newWire(t, cfg)
		one := func() *pbuf.Pbuf { return bigPacket(t, w.pa[0], false, false, 30000, 1000) }
		send(t, w.a, 0, 0, one())
		wait := one()
		sent := 0
		for w.a.TxBurst(0, 0, []*pbuf.Pbuf{wait}) == 1 {
			sent++
			wait = one()
		}
		require.LessOrEqual(t, sent, 1)
		got := len(recv(w.b, 0, 0))
		send(t, w.a, 0, 0, wait)
		got += len(recv(w.b, 0, 0))
		if whole {
			require.Equal(t, 2+sent, got)
		} else {
			require.Equal(t, 30*(2+sent), got)
		}
		send(t, w.a, 0, 0, bigPacket(t, w.pa[0], false, false, 60000, 1000))
		if !whole {
			require.EqualValues(t, 1, w.a.Stats(0).TxErrors, "more frames than the receiver ever posts")
		}
		recv(w.b, 0, 0)
		conserved(t, w.a, w.b)
	}
}

// Ends without buffers for a big packet are told so.
func TestLROPools(t *testing.T) {
	a, _, err := mem.New(mem.Config{A: mem.EndConfig{Caps: bigRx, QueueLen: 32}})
	require.NoError(t, err)
	pool, err := pbuf.NewPool(pbuf.Config{Small: 16, Buffers: 1024, Jumbo: -1, HugePages: pbuf.HugeNever})
	require.NoError(t, err)
	require.Error(t, a.Attach(0, pool), "33 buffers of 2 KiB")
	require.NoError(t, a.Close())
	require.NoError(t, pool.Close())
}

// BenchmarkBig sends 64 KiB of TCP whole, and cut. The figure is that of 64 KiB.
func BenchmarkBig(b *testing.B) {
	for _, whole := range []bool{true, false} {
		b.Run(fmt.Sprintf("whole=%v", whole), func(b *testing.B) {
			cfg := mem.Config{A: bigTx, B: mem.EndConfig{Caps: offload.RxCsum}}
			if whole {
				cfg.B.Caps = bigRx
			}
			w := newWire(b, cfg)
			const n, mss = 45 * 1448, 1448
			p := bigPacket(b, w.pa[0], false, false, n, mss)
			defer p.Free()
			ps := make([]*pbuf.Pbuf, 64)
			b.SetBytes(n)
			b.ReportAllocs()
			for b.Loop() {
				p.Ref()
				ps[0] = p
				w.a.TxBurst(0, 0, ps[:1])
				pbuf.FreeBatch(ps[:w.b.RxBurst(0, 0, ps)])
			}
		})
	}
}

// bigTCP makes a packet of n bytes of data, over 64 KiB, as BIG TCP has it: a
// jumbogram (RFC 2675 2) over IPv6, with a total length of 0 over IPv4.
func bigTCP(t testing.TB, pool *pbuf.Pool, v6 bool, n int) *pbuf.Pbuf {
	t.Helper()
	p := bigPacket(t, pool, v6, false, n, 1000)
	defer p.Free()
	b := content(p)
	l3, proto := header.IPv4Len, header.ProtoTCP
	if v6 {
		l3 = header.IPv6Len + header.IPv6JumboLen
		ip := (*header.IPv6)(b[14:])
		ip.SetPayloadLen(0)
		ip.SetNextHeader(header.ProtoHopByHop)
		var opts header.IPv6Jumbo
		opts.Encode(proto, uint32(len(b)-14-header.IPv6Len+len(opts)))
		b = append(b[:14+header.IPv6Len:14+header.IPv6Len], append(opts[:], b[14+header.IPv6Len:]...)...)
	} else {
		ip := (*header.IPv4)(b[14:])
		ip.SetTotalLen(0)
		tcp := (*header.TCP)(b[34:])
		tcp.SetChecksum(header.PseudoHeader(ip.Src(), ip.Dst(), proto, uint32(len(b)-34)))
	}
	q := chained(t, pool, b, rand.New(rand.NewPCG(1, 2)), 1999)
	q.Meta = p.Meta
	q.L3Len = uint8(l3)
	return q
}

// TestBigTCP_WholeOrCut: packets of more than 64 KiB travel whole between two ends
// that take them, and as frames, and no jumbograms, to another.
func TestBigTCP_WholeOrCut(t *testing.T) {
	src := pbuftest.NewPool(t, pbuf.Config{Small: 4096, Buffers: 4096})
	for _, both := range []bool{true, false} {
		tx, rx := bigTx, mem.EndConfig{Caps: bigRx | offload.RSSHash}
		tx.Caps |= offload.BigTCP
		if both {
			rx.Caps |= offload.TSO | offload.TxCsum | offload.BigTCP
		}
		w := newWireWith(t, mem.Config{A: tx, B: rx}, pbuf.Config{Small: 2048, Buffers: 4096, Jumbo: -1})
		for i, n := range []int{70_000, 100_000, 300_000, 520_000} {
			p := bigTCP(t, src, i&1 != 0, n)
			sent, frames := content(p), inFrames(t, p)
			send(t, w.a, 0, 0, p)
			got := recv(w.b, 0, 0)
			if both {
				require.Len(t, got, 1)
				require.Equal(t, sent, got[0].bytes)
				require.NotZero(t, got[0].meta.Flags&pbuf.RxLRO)
				continue
			}
			require.Len(t, got, len(frames))
			for k, g := range got {
				require.Equal(t, len(frames[k]), len(g.bytes))
				data := 54 + i&1*20 // sums are left to the other end
				require.Equal(t, frames[k][data:], g.bytes[data:])
			}
		}
		conserved(t, w.a, w.b)
	}
	_, _, err := mem.New(mem.Config{A: mem.EndConfig{Caps: offload.BigTCP}})
	require.ErrorIs(t, err, port.ErrConfig, "without TSO")
}
