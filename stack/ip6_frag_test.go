package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestIP6Reass_RFC8200_4_5_AnyOrder(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	part := pattern(3000)
	want := ipv6{proto: testProto}.packet(part)
	frames := ipv6{}.cut(7, testProto, part, 1000)
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}} {
		for _, i := range order {
			h.in(frames[i])
		}
		require.Len(t, k.got, 1)
		require.Equal(t, want, k.got[0], "without the fragment header")
		k.got = nil
	}
	require.Equal(t, uint64(12), h.stats.IP6.ReasmReqds)
	require.Equal(t, uint64(4), h.stats.IP6.ReasmOKs)
	h.none()
}

func TestIP6Reass_RFC8200_4_5_UnfragmentablePartStays(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	hop := opt(header.ProtoFragment, 1)
	dest := append(opt(testProto, 1), pattern(100)...) // headers behind the fragment header, too
	for _, r := range [][2]int{{0, 56}, {56, len(dest)}} {
		p := ipv6{first: header.ProtoHopByHop, ext: append(append([]byte{}, hop...), fragHeader(header.ProtoDestOpts, r[0], r[1] < len(dest), 3)...)}
		h.in(p.frame(dest[r[0]:r[1]]))
	}
	require.Len(t, k.got, 1)
	hop[0] = byte(header.ProtoDestOpts)
	require.Equal(t, ipv6{first: header.ProtoHopByHop, ext: hop}.packet(dest), k.got[0])
}

func TestIP6Reass_RFC5722_4_OverlapKillsThePacket(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	part := pattern(64)
	h.in(ipv6{}.fragment(1, testProto, part, 0, 32))
	h.in(ipv6{}.fragment(1, testProto, part, 24, 48)) // overlaps
	h.dropped(DropIPFragMalformed, 2)
	h.in(ipv6{}.fragment(1, testProto, part, 0, 32)) // those that come later as well
	h.in(ipv6{}.fragment(1, testProto, part, 32, 64))
	h.dropped(DropIPFragMalformed, 4)
	require.Empty(t, k.got)
	h.in(ipv6{}.cut(2, testProto, part, 32)...) // another packet is none of that
	require.Len(t, k.got, 1)
	h.advance(61 * time.Second) // its time is up in silence
	h.none()
	h.in(ipv6{}.cut(1, testProto, part, 32)...)
	require.Len(t, k.got, 2)
	require.Zero(t, h.stats.IP6.ReasmTimeout)
}

func TestIP6Reass_RFC8200_4_5_ExactDuplicates(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	f := ipv6{}.cut(1, testProto, pattern(64), 32)
	h.in(f[0], f[0], f[1])
	h.dropped(DropIPFragDuplicate, 1)
	require.Len(t, k.got, 1)
}

func TestIP6Reass_RFC6946_4_AtomicFragments(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	part := pattern(64)
	h.in(ipv6{}.fragment(1, testProto, part, 0, 32)) // one of the same ID waits
	h.in(ipv6{}.fragment(1, testProto, part, 0, 64)) // and is none of its business
	require.Len(t, k.got, 1)
	require.Equal(t, ipv6{proto: testProto}.packet(part), k.got[0])
	h.in(ipv6{}.fragment(1, testProto, part, 32, 64))
	require.Len(t, k.got, 2)
	require.Equal(t, uint64(1), h.stats.IP6.AtomicFragments)
}

func TestIP6Reass_RFC8200_4_5_ParameterProblems(t *testing.T) {
	h := newHost6(t, host6Config{})
	part := pattern(3000)
	odd := ipv6{}.fragment(1, testProto, part, 0, 1001)
	h.in(odd)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 4, odd[header.EthernetLen:])
	long := ipv6{first: header.ProtoFragment, ext: fragHeader(testProto, 65528, false, 1)}.frame(pattern(8))
	h.in(long)
	h.error6(header.ICMPv6ParamProblem, header.ICMPv6BadField, 42, long[header.EthernetLen:])
	empty := ipv6{first: header.ProtoFragment, ext: fragHeader(testProto, 8, true, 1)}.frame(nil)
	h.in(empty)
	h.none()
	h.dropped(DropIPFragMalformed, 3)
}

func TestIP6Reass_RFC7112_5_FirstFragmentHasAllHeaders(t *testing.T) {
	h := newHost6(t, host6Config{})
	long := append([]byte{byte(header.ProtoUDP), 2}, pattern(22)...)
	copy(long[2:], []byte{1, 20}) // PadN
	for _, c := range []struct {
		proto header.Protocol
		part  []byte
	}{{header.ProtoDestOpts, long}, {header.ProtoTCP, pattern(24)}, {header.ProtoDestOpts, append(opt(header.ProtoTCP, 1), pattern(30)...)}} {
		f := ipv6{}.fragment(1, c.proto, c.part, 0, 16)
		h.in(f)
		h.error6(header.ICMPv6ParamProblem, header.ICMPv6FirstFragment, 0, f[header.EthernetLen:])
	}
	h.dropped(DropIPFragMalformed, 3)
}

func TestIP6Reass_RFC8200_4_5_TimeExceeded(t *testing.T) {
	h := newHost6(t, host6Config{ND: true})
	require.NoError(t, h.AddNeighbor(h.nif, peer6, scriptPeer))
	part := pattern(64)
	first := ipv6{}.fragment(1, testProto, part, 0, 32)
	h.in(first)
	h.in(ipv6{}.fragment(2, testProto, part, 32, 64)) // the first of this one is missing
	h.advance(59 * time.Second)
	h.none()
	h.advance(2 * time.Second)
	h.error6(header.ICMPv6TimeExceeded, header.ICMPv6ReassemblyTimeout, 0, first[header.EthernetLen:])
	h.dropped(DropIPFragTimeout, 2)
	require.Equal(t, uint64(2), h.stats.IP6.ReasmTimeout)
}

func TestIP6Reass_RFC3168_5_3_CongestionIsKept(t *testing.T) {
	h := newHost6(t, host6Config{})
	k := h.listenRaw(testProto)
	part := pattern(64)
	h.in(ipv6{tc: 2}.fragment(1, testProto, part, 0, 32), ipv6{tc: 3}.fragment(1, testProto, part, 32, 64))
	require.Equal(t, uint8(3), (*header.IPv6)(k.got[0]).TrafficClass())
	h.in(ipv6{tc: 0}.fragment(1, testProto, part, 0, 32), ipv6{tc: 3}.fragment(1, testProto, part, 32, 64))
	h.dropped(DropIPFragMalformed, 2)
}

func TestIP6Reass_MemoryIsBounded(t *testing.T) {
	h := newHost6(t, host6Config{hostConfig: hostConfig{Config: Config{Reassembly: ReassemblyConfig{MaxBuffers: 4}}}})
	for i := range uint32(20) {
		h.in(ipv6{}.fragment(i, testProto, pattern(64), 0, 32))
	}
	h.dropped(DropIPFragMem, 16)
	h.mayDrop(DropIPFragTimeout)
}

func TestIP6Frag_RFC8200_4_5_LongDatagrams(t *testing.T) {
	w := newPair6(t, pairConfig{})
	k := w.b.listenRaw(testProto)
	for _, n := range []int{1459, 1460, 1461, 1453, 1449, 3000, 65535} {
		r := w.a.NewRaw(testProto)
		require.NoError(t, r.SendTo(w.a.data(n), peer6))
		w.run(5 * time.Millisecond)
		require.Len(t, k.got, 1, "%d bytes", n)
		require.Equal(t, pattern(n), k.got[0][header.IPv6Len:])
		k.got = nil
		r.Close()
	}
	require.NotZero(t, w.a.stats.IP6.FragCreates)
	require.Equal(t, w.a.stats.IP6.FragOKs, w.b.stats.IP6.ReasmOKs)
}

func TestIP6Frag_RFC7739_5_3_Identifications(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.AddNeighbor(h.nif, other6, otherMAC))
	r := h.NewRaw(testProto)
	seen := make(map[uint32]bool)
	for i := range 20 {
		to := peer6
		if i%2 == 1 {
			to = other6
		}
		require.NoError(t, r.SendTo(h.data(2000), to))
		fs := h.take()
		require.Len(t, fs, 2)
		id := func(f frame) uint32 { return (*header.IPv6Fragment)(f.ipb[header.IPv6Len:]).ID() }
		require.Equal(t, id(fs[0]), id(fs[1]))
		require.False(t, seen[id(fs[0])])
		seen[id(fs[0])] = true
	}
}

func TestIP6_RFC8201_4_PathMTU(t *testing.T) {
	h := newHost6(t, host6Config{})
	u := h.NewUDP()
	require.NoError(t, u.Connect(ap(peer6, 9)))
	send := func() []frame {
		require.NoError(t, u.Send(h.data(1400)))
		return h.take()
	}
	tooBig := func(mtu uint32, quoted []byte) {
		h.in(ipv6{}.icmp(header.ICMPv6PacketTooBig, 0, mtu, quoted[:header.IPv6MinMTU-48]))
	}
	fs := send()
	require.Len(t, fs, 1)
	tooBig(1279, fs[0].ipb) // less than any link has is not believed
	h.dropped(DropICMPIgnored, 1)
	require.Len(t, send(), 1)
	tooBig(1300, fs[0].ipb)
	fs2 := send()
	require.Len(t, fs2, 2)
	require.Len(t, fs2[0].ipb, 1296, "whole units of 8 bytes behind the headers")
	tooBig(1400, fs[0].ipb) // RFC 8201 4: never up
	require.Len(t, send(), 2)
	bad := append([]byte{}, fs[0].ipb...)
	bad[header.IPv6Len]++ // about a port that we do not have
	tooBig(1290, bad)
	h.dropped(DropICMPIgnored, 2)
	h.advance(10*time.Minute + time.Second)
	require.Len(t, send(), 1, "after ten minutes it is tried again")
}

func TestIP6_RFC8201_5_4_TCPAdaptsToThePath(t *testing.T) {
	w := newPair6(t, pairConfig{})
	var got int
	listen6(t, w.b, func(p *pbuf.Pbuf) { got += p.TotLen() })
	c := w.a.NewTCP()
	require.NoError(t, c.Connect(ap(peer6, 80), nil))
	w.run(time.Second)
	require.Equal(t, 1500-header.IPv6Len-header.TCPLen-header.TCPTimestampLen, c.MSS())
	w.ab.cfg.Filter = func(b []byte) bool { // a router with a link of 1300 behind it
		if len(b) <= header.EthernetLen+1300 {
			return true
		}
		w.ba.send(w.now, ipv6{src: peer6, dst: user6}.icmp(header.ICMPv6PacketTooBig, 0, 1300, b[header.EthernetLen:][:1232]))
		return false
	}
	require.NoError(t, c.Write(pattern(20000), 0))
	_ = c.Output()
	w.run(5 * time.Second)
	require.Equal(t, 20000, got)
	require.Equal(t, 1300-header.IPv6Len-header.TCPLen-header.TCPTimestampLen, c.MSS())
	d := w.a.NewTCP() // the next connection knows
	require.NoError(t, d.Connect(ap(peer6, 80), nil))
	w.run(time.Second)
	require.Equal(t, c.MSS(), d.MSS())
	c.Abort()
	d.Abort()
	w.run(time.Second)
	w.a.mayDrop()
	w.b.mayDrop()
}
