package tap_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
)

// all is what this kernel is asked for at most.
const all = offload.MultiSeg | offload.TxTCPCsum | offload.TxUDPCsum | offload.RxCsum | offload.TSO |
	offload.USO | offload.LRO | offload.UDPLRO

// needUSO asks for a kernel with USO (Linux 6.2).
func needUSO(t testing.TB, p *tap.Port) {
	t.Helper()
	if !p.Info().Caps.Has(offload.USO) {
		testenv.Missing(t, "kernel that cuts UDP for TAP devices (Linux 6.2)")
	}
}

// Caps are what the kernel took.
func TestVnetCaps(t *testing.T) {
	p, _ := newTap(t, tap.Config{Queues: 2}, pbuf.Config{})
	needUSO(t, p)
	require.Equal(t, all&^offload.UDPLRO, p.Info().Caps)
	p, _ = newTap(t, tap.Config{UDPLRO: true}, pbuf.Config{})
	require.Equal(t, all, p.Info().Caps)
	p, _ = newTap(t, tap.Config{NoVnetHdr: true}, pbuf.Config{})
	require.Equal(t, offload.MultiSeg, p.Info().Caps)
}

// bridge joins ports in a namespace, so that each frame that is sent by one comes
// out of the others as it is, but cut by the kernel if it has to be.
func bridge(t testing.TB, ns string, ports ...*tap.Port) {
	t.Helper()
	run(t, ns, "ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	for _, p := range ports {
		run(t, ns, "ip", "addr", "flush", "dev", p.Info().Name)
		run(t, ns, "ip", "link", "set", p.Info().Name, "master", "br0")
	}
	run(t, ns, "ip", "link", "set", "br0", "up")
}

// dstMAC is that of the test frames: everybody else's are noise.
var dstMAC = header.MAC{2, 0, 0, 0, 9, 2}

// collect reads n test frames.
func collect(t testing.TB, p port.Port, n int) []*pbuf.Pbuf {
	t.Helper()
	var list []*pbuf.Pbuf
	ps := make([]*pbuf.Pbuf, 32)
	for deadline := time.Now().Add(10 * time.Second); len(list) < n; {
		require.True(t, time.Now().Before(deadline), "%d of %d frames came", len(list), n)
		poll(p.Waiter(0).FD(), 100)
		for _, f := range ps[:p.RxBurst(0, 0, ps)] {
			if (*header.Ethernet)(f.Payload()).Dst() != dstMAC {
				f.Free()
				continue
			}
			list = append(list, f)
		}
	}
	return list
}

// contents are the bytes of frames, which are freed.
func contents(list []*pbuf.Pbuf) [][]byte {
	var all [][]byte
	for _, p := range list {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		all = append(all, b)
		p.Free()
	}
	return all
}

// superPacket is a packet that asks to be cut, in buffers of odd lengths.
func superPacket(t testing.TB, pool *pbuf.Pool, v6, udp bool, tags, n, mss int) *pbuf.Pbuf {
	b, l2, l3, l4 := tap.Build(v6, udp, tags, 0, n)
	p := tap.Load(t, pool, b, 1237)
	p.L2Len, p.L3Len, p.L4Len, p.SegSize = uint8(l2), uint8(l3), uint8(l4), uint16(mss)
	p.Flags = pbuf.TxTSO | pbuf.TxTCPCsum
	if udp {
		p.Flags = pbuf.TxUSO | pbuf.TxUDPCsum
	}
	return p
}

// software are the frames that offload makes of a packet.
func software(t testing.TB, p *pbuf.Pbuf) [][]byte {
	t.Helper()
	var g offload.Segmenter
	out := make([]*pbuf.Pbuf, offload.SegCount(p))
	_, ok := g.Segment(p, offload.MultiSeg, out)
	require.True(t, ok)
	return contents(out)
}

// withoutID clears the IPv4 identification, and makes the checksum that of 0.
func withoutID(t testing.TB, frames [][]byte, l2 int) [][]byte {
	for _, b := range frames {
		if b[l2]>>4 == 4 {
			ip := (*header.IPv4)(b[l2:])
			require.True(t, ip.VerifyChecksum(b[l2:l2+header.IPv4Len]))
			ip.SetID(0)
			ip.FillChecksum(b[l2 : l2+header.IPv4Len])
		}
	}
	return frames
}

// The kernel cuts a packet that we give it into the frames that offload.Segment
// makes, byte for byte but for the IPv4 identification, on its way to a device
// that takes no big ones; and hands it on whole to one that does.
func TestKernelCutsAsOffloadDoes(t *testing.T) {
	ns := testenv.Netns(t)
	cfg := pbuf.Config{Buffers: 1024, Small: 1024}
	from, pools := newTap(t, tap.Config{Netns: ns}, cfg)
	plain, _ := newTap(t, tap.Config{Netns: ns, NoVnetHdr: true}, cfg)
	whole, _ := newTap(t, tap.Config{Netns: ns, UDPLRO: true}, cfg)
	bridge(t, ns, from, plain, whole)
	needUSO(t, from)
	for _, c := range []struct {
		v6, udp      bool
		tags, n, mss int
	}{
		{n: 60000, mss: 1448}, {v6: true, n: 60000, mss: 1428},
		{n: 14480, mss: 1448}, {n: 14481, mss: 1448}, {n: 1449, mss: 1448},
		{tags: 1, n: 20000, mss: 1448}, {v6: true, tags: 1, n: 20000, mss: 1001},
		{udp: true, n: 60000, mss: 1472}, {v6: true, udp: true, n: 60000, mss: 1452},
		{udp: true, tags: 1, n: 5001, mss: 1000}, {udp: true, n: 6400, mss: 100},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := superPacket(t, pools[0], c.v6, c.udp, c.tags, c.n, c.mss)
			l2, meta := int(p.L2Len), p.Meta
			require.False(t, offload.MustCut(p, from.Info().Caps))
			want := software(t, p)
			big := make([]byte, p.TotLen())
			p.CopyPartial(big, 0)
			before := from.Stats(0)
			require.Equal(t, 1, from.TxBurst(0, 0, []*pbuf.Pbuf{p}))
			require.Equal(t, before.TxPackets+1, from.Stats(0).TxPackets)
			require.Equal(t, before.TxErrors, from.Stats(0).TxErrors)

			got := contents(collect(t, plain, len(want)))
			require.Equal(t, withoutID(t, want, l2), withoutID(t, got, l2))

			f := collect(t, whole, 1)[0]
			require.Equal(t, pbuf.RxL4CsumGood|pbuf.RxL4Partial|pbuf.RxLRO, f.Flags)
			require.Equal(t, [4]int{l2, int(meta.L3Len), int(meta.L4Len), c.mss}, [4]int{int(f.L2Len), int(f.L3Len), int(f.L4Len), int(f.SegSize)})
			proto := header.ProtoTCP
			if c.udp {
				proto = header.ProtoUDP
			}
			offload.Forward(f, proto)
			require.Equal(t, meta, f.Meta, "the orders are those that it was sent with")
			require.Equal(t, [][]byte{big}, contents([]*pbuf.Pbuf{f}))
		})
	}
}

// A checksum is left to the kernel both ways: who needs it gets it made.
func TestKernelMakesChecksums(t *testing.T) {
	ns := testenv.Netns(t)
	from, pools := newTap(t, tap.Config{Netns: ns}, pbuf.Config{})
	plain, _ := newTap(t, tap.Config{Netns: ns, NoVnetHdr: true}, pbuf.Config{})
	whole, _ := newTap(t, tap.Config{Netns: ns}, pbuf.Config{})
	bridge(t, ns, from, plain, whole)
	for i := range 8 {
		p := superPacket(t, pools[0], i&1 != 0, i&2 != 0, i>>2, 1000, 1000)
		p.Flags &^= pbuf.TxTSO | pbuf.TxUSO
		meta := p.Meta
		ref := p.Clone(pbuf.LayerRaw, pbuf.KindRAM)
		partial := contents([]*pbuf.Pbuf{ref.Clone(pbuf.LayerRaw, pbuf.KindRAM)})
		offload.FinishTx(ref, 0)
		want := contents([]*pbuf.Pbuf{ref})
		require.Equal(t, 1, from.TxBurst(0, 0, []*pbuf.Pbuf{p}))
		require.Equal(t, want, contents(collect(t, plain, 1)))
		f := collect(t, whole, 1)[0]
		require.Equal(t, pbuf.RxL4CsumGood|pbuf.RxL4Partial, f.Flags)
		require.Equal(t, [3]uint8{meta.L2Len, meta.L3Len, meta.L4Len}, [3]uint8{f.L2Len, f.L3Len, f.L4Len})
		require.Equal(t, partial, contents([]*pbuf.Pbuf{f}))
	}
}

// The kernel's own TCP gives us more than an MTU at a time, and its own UDP
// several datagrams, if that is wanted (UDP_SEGMENT).
func TestKernelSendsBigPackets(t *testing.T) {
	const udpSegment = 103 // UDP_SEGMENT
	for _, want := range []bool{false, true} {
		ns := testenv.Netns(t)
		p, _ := newTap(t, tap.Config{Netns: ns, UDPLRO: want, MAC: dstMAC}, pbuf.Config{Buffers: 1024})
		needUSO(t, p)
		run(t, ns, "ip", "neigh", "replace", "198.18.7.2", "lladdr", dstMAC.String(), "dev", p.Info().Name)
		c := dial(t, ns, 1)[0].(*net.UDPConn)
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, udpSegment, 1000)
		}))
		require.NoError(t, err)
		b := make([]byte, 9500)
		for i := range b {
			b[i] = byte(i / 1000)
		}
		_, err = c.Write(b)
		require.NoError(t, err)
		if want {
			f := collect(t, p, 1)[0]
			require.NotZero(t, f.Flags&pbuf.RxLRO)
			require.EqualValues(t, 1000, f.SegSize)
			require.Equal(t, 42+9500, f.TotLen())
			require.Zero(t, f.Memcmp(b, 42))
			f.Free()
			continue
		}
		for i, f := range collect(t, p, 10) {
			require.Zero(t, f.Flags&pbuf.RxLRO)
			n := f.TotLen() - 42
			require.Zero(t, f.Memcmp(b[1000*i:1000*i+n], 42))
			f.Free()
		}
	}
}

// What the kernel would not take is an error of ours, and counted.
func TestVnetFramesThatAreNotSent(t *testing.T) {
	p, pools := newTap(t, tap.Config{}, pbuf.Config{})
	errors := uint64(0)
	for name, spoil := range map[string]func(f *pbuf.Pbuf){
		"no SegSize":       func(f *pbuf.Pbuf) { f.SegSize = 0 },
		"two orders":       func(f *pbuf.Pbuf) { f.Flags |= pbuf.TxUSO },
		"no checksum":      func(f *pbuf.Pbuf) { f.Flags &^= pbuf.TxTCPCsum },
		"too long":         func(f *pbuf.Pbuf) { f.Flags &^= pbuf.TxTSO },
		"headers too long": func(f *pbuf.Pbuf) { f.L2Len, f.L3Len, f.L4Len = 255, 255, 255; f.Realloc(700) },
	} {
		f := superPacket(t, pools[0], false, false, 0, 5000, 1000)
		spoil(f)
		require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{f}))
		errors++
		require.Equal(t, errors, p.Stats(0).TxErrors, name)
	}
	require.Zero(t, p.Stats(0).TxPackets)
	many := pools[0].Alloc(pbuf.LayerRaw, 14, pbuf.KindRAM)
	require.EqualValues(t, 70000, func() int { // longer than IP packets are
		for many.TotLen() < 70000 {
			many.Cat(pools[0].Alloc(pbuf.LayerRaw, min(2000, 70000-many.TotLen()), pbuf.KindRAM))
		}
		return many.TotLen()
	}())
	many.Flags, many.SegSize, many.L2Len, many.L3Len, many.L4Len = pbuf.TxTSO|pbuf.TxTCPCsum, 1000, 14, 20, 20
	require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{many}))
	require.Equal(t, errors+1, p.Stats(0).TxErrors)
}

// BenchmarkVnetTx writes 64 KiB of TCP, for a kernel that cuts it and one that
// gets it cut; the frames are dropped at once. The figure is that of 64 KiB.
func BenchmarkVnetTx(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) {
			p, _ := newTap(b, tap.Config{NoVnetHdr: plain, Addrs: []netip.Prefix{}}, pbuf.Config{})
			pool := pbuftest.NewPool(b, pbuf.Config{Buffers: 1024})
			const n, mss = 45 * 1448, 1448
			pk := superPacket(b, pool, false, false, 0, n, mss)
			pk.SegSize = mss
			caps := p.Info().Caps
			var g offload.Segmenter
			out := make([]*pbuf.Pbuf, 64)
			b.SetBytes(n)
			b.ReportAllocs()
			for b.Loop() {
				if !offload.MustCut(pk, caps) {
					pk.Ref()
					out[0] = pk
					p.TxBurst(0, 0, out[:1])
					continue
				}
				k, _ := g.Segment(pk, caps, out)
				p.TxBurst(0, 0, out[:k])
			}
			pk.Free()
			require.NotZero(b, p.Stats(0).TxPackets)
			require.Zero(b, p.Stats(0).TxErrors+p.Stats(0).TxDropped)
		})
	}
}
