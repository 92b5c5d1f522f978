package stack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// bigPair are two hosts with a wire that takes packets whole, as between two
// virtual machines.
type bigPair struct {
	a, b    *host
	longest int // bytes that a packet on the wire had
	queue   []func()
}

func newBigPair(t *testing.T, caps offload.Caps, most int) *bigPair {
	t.Helper()
	w := &bigPair{}
	make := func(mac header.MAC, v4, v6 netip.Addr, to **host) *host {
		cfg := hostConfig{Prefix: netip.PrefixFrom(v4, 24), ARP: true, Bufs: pbuf.Config{Small: 4096, Buffers: 8192, Jumbo: 64}}
		cfg.IPv6.DADTransmits = -1
		cfg.TCP.GSO, cfg.TCP.GSOMax, cfg.TCP.SendBuf, cfg.TCP.RecvBuf, cfg.TCP.InitialWindow = GSOAlways, most, 4<<20, 4<<20, 1000
		cfg.Netif.MAC, cfg.Netif.Caps, cfg.Netif.TxQueue = mac, caps, 4096
		cfg.Netif.Output = func(ps []*pbuf.Pbuf) int {
			for _, p := range ps {
				w.longest = max(w.longest, p.TotLen())
				w.carry(t, p, to)
			}
			return len(ps)
		}
		h := newHost(t, cfg)
		require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(v6, 64)))
		return h
	}
	w.a = make(scriptMAC, userIP, user6, &w.b)
	w.b = make(scriptPeer, peerIP, peer6, &w.a)
	for _, n := range []struct {
		h   *host
		v4  netip.Addr
		v6  netip.Addr
		mac header.MAC
	}{{w.a, peerIP, peer6, scriptPeer}, {w.b, userIP, user6, scriptMAC}} {
		require.NoError(t, n.h.AddNeighbor(n.h.nif, n.v4, n.mac))
		require.NoError(t, n.h.AddNeighbor(n.h.nif, n.v6, n.mac))
	}
	return w
}

// carry takes a packet to the other host, in buffers of its own.
func (w *bigPair) carry(t *testing.T, p *pbuf.Pbuf, to **host) {
	t.Helper()
	b := make([]byte, p.TotLen())
	orders := p.Meta
	if p.Flags&pbuf.TxTSO == 0 {
		offload.FinishTx(p, 0)
	}
	p.CopyPartial(b, 0)
	p.Free()
	w.queue = append(w.queue, func() {
		h := *to
		q := h.pool.Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
		require.NotNil(t, q)
		require.NoError(t, q.Take(b))
		if orders.Flags&pbuf.TxTSO != 0 {
			q.Meta = orders
			q.Flags = pbuf.RxIPCsumGood | pbuf.RxL4CsumGood | pbuf.RxLRO | pbuf.RxL4Partial
		}
		h.Input(h.nif, h.now, []*pbuf.Pbuf{q})
	})
}

// run lets packets travel until there are none.
func (w *bigPair) run() {
	for range 100_000 {
		w.a.Flush(w.a.now)
		w.b.Flush(w.b.now)
		if len(w.queue) == 0 {
			return
		}
		q := w.queue
		w.queue = nil
		for _, fn := range q {
			fn()
		}
	}
}

// transfer sends n bytes from a to the address of b.
func (w *bigPair) transfer(t *testing.T, to netip.Addr, n int) {
	t.Helper()
	l := w.b.NewTCP()
	var got []byte
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p != nil {
				b := make([]byte, p.TotLen())
				p.CopyPartial(b, 0)
				got = append(got, b...)
				p.Free()
				pcb.Recved(len(b))
			}
			return nil
		})
		return nil
	})
	require.NoError(t, l.Bind(netip.AddrPortFrom(to, 80)))
	require.NoError(t, l.Listen(0))
	c := w.a.NewTCP()
	c.SetNoDelay(true)
	require.NoError(t, c.Connect(netip.AddrPortFrom(to, 80), nil))
	w.run()
	data := pattern(n)
	for off := 0; off < n; {
		k := min(n-off, 300_000, c.SndBuf())
		require.NoError(t, c.Write(data[off:off+k], 0))
		off += k
		if off > n/2 {
			require.NoError(t, c.Output())
			w.run()
		}
	}
	require.NoError(t, c.Output())
	w.run()
	require.True(t, bytes.Equal(data, got), "%d bytes of %d", len(got), n)
	require.Zero(t, w.a.stats.TCP.RetransSegs)
	checkInvariants(t, w.a.Stack)
}

// TestBigTCP_RFC2675_5_1_Transfer: TCP needs nothing new for segments of more than
// 64 KiB; data, acknowledgements and windows are as ever, over both families.
func TestBigTCP_RFC2675_5_1_Transfer(t *testing.T) {
	const whole = offload.TSO | offload.TxCsum | offload.MultiSeg
	for _, to := range []netip.Addr{peerIP, peer6} {
		for _, tt := range []struct {
			caps           offload.Caps
			most, atLeast  int
			longestAllowed int
		}{
			{whole | offload.BigTCP, offload.MaxBig, 400_000, offload.MaxBig + 100},
			{whole | offload.BigTCP, 200_000, 150_000, 200_100},
			{whole | offload.BigTCP, 0, 60_000, offload.MaxTSO + 60},
			{whole, offload.MaxBig, 60_000, offload.MaxTSO + 60},
			{offload.MultiSeg, offload.MaxBig, 1500, 1514}, // cut by package offload
			{0, offload.MaxBig, 1500, 1514},
		} {
			w := newBigPair(t, tt.caps, tt.most)
			w.transfer(t, to, 3_000_000)
			require.GreaterOrEqual(t, w.longest, tt.atLeast, "%v %v", to, tt)
			require.LessOrEqual(t, w.longest, tt.longestAllowed, "%v %v", to, tt)
		}
	}
}

// TestBigTCP_LittleMemory: without jumbo buffers for several of them segments stay
// at 64 KiB.
func TestBigTCP_LittleMemory(t *testing.T) {
	w := newBigPair(t, offload.TSO|offload.TxCsum|offload.MultiSeg|offload.BigTCP, offload.MaxBig)
	small := newHost(t, hostConfig{Bufs: pbuf.Config{Jumbo: 8}})
	w.a.pool, small.pool = small.pool, w.a.pool
	c := w.a.NewTCP()
	c.nif, c.mss = w.a.nif, 1460
	require.LessOrEqual(t, c.bigLen(), offload.MaxTSO)
	w.a.pool, small.pool = small.pool, w.a.pool
	require.Greater(t, c.bigLen(), 400_000)
	c.nif = nil
	c.Abort()
}

// TestIP6_RFC2675_3_Errors: what is reported of jumbograms, and where the pointer
// points.
func TestIP6_RFC2675_3_Errors(t *testing.T) {
	h := newHost6(t, host6Config{})
	jumbo := []byte{byte(testProto), 0, 0xc2, 4, 0, 1, 0x11, 0x70}
	frame := func(ext []byte, payloadLen int) []byte {
		b := ipv6{first: header.ProtoHopByHop, ext: ext}.frame(pattern(100))
		if payloadLen >= 0 {
			(*header.IPv6)(b[header.EthernetLen:]).SetPayloadLen(uint16(payloadLen))
		}
		return b
	}
	b := frame(jumbo, -1) // the length is there twice
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 42, b[header.EthernetLen:])
	b = frame([]byte{byte(testProto), 0, 1, 4, 0, 0, 0, 0}, 0) // nowhere
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 4, b[header.EthernetLen:])
	b = frame([]byte{byte(testProto), 0, 0xc2, 4, 0, 0, 0xff, 0xff}, 0) // for less than 64 KiB
	h.in(b)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 44, b[header.EthernetLen:])
	h.in(frame(jumbo, 0)) // more than there is
	h.none()
	h.dropped(DropIPMalformed, 4)
}

// TestIP6_RFC2675_2_Jumbogram: a whole one is taken, a fragment is none.
func TestIP6_RFC2675_2_Jumbogram(t *testing.T) {
	h := newHost6(t, host6Config{hostConfig: hostConfig{Bufs: pbuf.Config{JumboRoom: 1 << 18, Jumbo: 8}}})
	k := h.listenRaw(testProto)
	data := pattern(70000 - header.IPv6JumboLen)
	make := func(ext []byte, n int) []byte {
		b := ipv6{first: header.ProtoHopByHop, ext: ext}.frame(nil)
		(*header.IPv6)(b[header.EthernetLen:]).SetPayloadLen(0)
		return append(b, data[:n]...)
	}
	b := make([]byte{byte(testProto), 0, 0xc2, 4, 0, 1, 0x11, 0x70}, len(data))
	h.in(append(b, 1, 2, 3)) // and padding
	require.Len(t, k.got, 1)
	require.Equal(t, b[header.EthernetLen:], k.got[0])
	frag := append([]byte{byte(header.ProtoFragment), 0, 0xc2, 4, 0, 1, 0x11, 0x70}, fragHeader(testProto, 0, true, 1)...)
	b = make(frag, len(data)-8)
	h.in(b)
	f := h.nextIs(header.ICMPv6ParamProblem)
	require.EqualValues(t, 48, f.icmp6.Rest(), "RFC 2675 3: the fragment header")
	h.dropped(DropIPMalformed, 1)
}

// TestIP4_TotalLengthOfZeroFromTheWire: only of what was joined on this machine.
func TestIP4_TotalLengthOfZeroFromTheWire(t *testing.T) {
	w := newBigPair(t, 0, 0)
	b := make([]byte, 14+70000)
	(*header.Ethernet)(b).Encode(scriptPeer, scriptMAC, header.EtherTypeIPv4)
	ip := (*header.IPv4)(b[14:])
	ip.Encode(&header.IPv4Fields{TTL: 64, Protocol: testProto, Src: header.FromNetip(userIP), Dst: header.FromNetip(peerIP)})
	ip.FillChecksum(b[14:34])
	for _, flags := range []pbuf.Flags{0, pbuf.RxL4CsumGood} {
		q := w.b.pool.Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
		require.NoError(t, q.Take(b))
		q.Flags = flags
		w.b.Input(w.b.nif, w.b.now, []*pbuf.Pbuf{q})
	}
	w.b.dropped(DropIPMalformed, 2)
	w.b.advance(time.Second)
}
