package tap

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// build makes a frame with n bytes of payload as the stack hands it over: no
// checksums but the sum of the pseudo-header. ext bytes of IPv6 destination
// options, or of IPv4 options, come behind the IP header.
func build(v6, udp bool, tags, ext, n int) (b []byte, l2, l3, l4 int) {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(ext)))
	l2, l3, l4 = header.EthernetLen+tags*header.VLANLen, header.IPv4Len+ext, header.TCPLen+header.TCPTimestampLen
	typ, proto := header.EtherTypeIPv4, header.ProtoTCP
	if v6 {
		l3, typ = header.IPv6Len+ext, header.EtherTypeIPv6
	}
	if udp {
		l4, proto = header.UDPLen, header.ProtoUDP
	}
	b = make([]byte, l2+l3+l4+n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	outer := typ
	for i := tags - 1; i >= 0; i-- {
		(*header.VLAN)(b[header.EthernetLen+i*header.VLANLen:]).Encode(uint16(7+i), outer)
		outer = header.EtherTypeVLAN
	}
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 9, 2}, header.MAC{2, 0, 0, 0, 9, 1}, outer)
	var sum uint16
	ip := b[l2:]
	if v6 {
		src, dst := header.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 1}), header.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 2})
		f := header.IPv6Fields{HopLimit: 64, NextHeader: proto, PayloadLen: uint16(ext + l4 + n), FlowLabel: 5, Src: src, Dst: dst}
		if ext > 0 {
			f.NextHeader = header.ProtoDestOpts
			clear(ip[header.IPv6Len : header.IPv6Len+ext])
			ip[header.IPv6Len], ip[header.IPv6Len+1] = byte(proto), byte(ext/8-1)
			ip[header.IPv6Len+2], ip[header.IPv6Len+3] = 1, byte(ext-4) // PadN
		}
		(*header.IPv6)(ip).Encode(&f)
		sum = header.PseudoHeader6(src, dst, proto, uint32(l4+n))
	} else {
		src, dst := header.AddrFrom4([4]byte{198, 18, 9, 1}), header.AddrFrom4([4]byte{198, 18, 9, 2})
		for i := range ext {
			ip[header.IPv4Len+i] = 1 // NOP
		}
		f := header.IPv4Fields{TTL: 64, Protocol: proto, HdrLen: uint8(l3), TotalLen: uint16(l3 + l4 + n), ID: 77, Src: src, Dst: dst}
		(*header.IPv4)(ip).Encode(&f)
		(*header.IPv4)(ip).FillChecksum(ip[:l3])
		sum = header.PseudoHeader4(src, dst, proto, uint16(l4+n))
	}
	h := b[l2+l3:]
	if udp {
		(*header.UDP)(h).Encode(&header.UDPFields{SrcPort: 1000, DstPort: 2000, Length: uint16(l4 + n), Checksum: sum})
	} else {
		flags := header.TCPAck | header.TCPPsh | header.TCPFin | header.TCPCwr
		(*header.TCP)(h).Encode(&header.TCPFields{SrcPort: 1000, DstPort: 2000, Seq: 0xffffff00, Ack: 9, HdrLen: uint8(l4), Flags: flags, Window: 100, Checksum: sum})
		header.PutTimestamp(h[header.TCPLen:], 1, 2)
	}
	return b, l2, l3, l4
}

// load puts b into buffers of at most room bytes.
func load(t testing.TB, pool *pbuf.Pool, b []byte, room int) *pbuf.Pbuf {
	var chain pbuf.Builder
	for first := true; first || len(b) > 0; first = false {
		p := pool.Alloc(pbuf.LayerRaw, min(room, len(b)), pbuf.KindRAM)
		require.NotNil(t, p)
		require.NoError(t, p.Take(b[:p.Len()]))
		b = b[p.Len():]
		chain.Add(p)
	}
	return chain.Finish()
}

// What is ordered of the kernel and what the kernel says are each other's
// inverse: a frame that goes out comes in with the same lengths, and with the
// same orders once it is sent on.
func TestVnetHdrOrderAndApply(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	for i := range 64 {
		v6, udp, cut, ext := i&1 != 0, i&2 != 0, i&4 != 0, i>>4&1*8
		tags := i >> 3 % 3
		b, l2, l3, l4 := build(v6, udp, tags, ext, 3000)
		p := load(t, pool, b, 2000)
		p.L2Len, p.L3Len, p.L4Len = uint8(l2), uint8(l3), uint8(l4)
		proto := header.ProtoTCP
		p.Flags = pbuf.TxTCPCsum
		if udp {
			p.Flags, proto = pbuf.TxUDPCsum, header.ProtoUDP
		}
		if cut {
			p.SegSize = 1000
			p.Flags |= map[bool]pbuf.Flags{false: pbuf.TxTSO, true: pbuf.TxUSO}[udp]
		}
		want := p.Meta
		var h vnetHdr
		require.True(t, h.order(p))
		require.Equal(t, l2+l3, h.start())
		if cut {
			require.Equal(t, l2+l3+l4, h.hdrLen())
			require.Equal(t, 1000, h.gsoSize())
			require.Equal(t, !udp, h[1]&vnetECN != 0, "RFC 3168: CWR is set")
		}
		p.Meta = pbuf.Meta{}
		require.True(t, h.apply(p))
		require.NotZero(t, p.Flags&pbuf.RxL4CsumGood)
		require.Equal(t, cut, p.Flags&pbuf.RxLRO != 0)
		offload.Forward(p, proto)
		require.Equal(t, want, p.Meta)
		p.Free()
	}
}

func TestVnetHdrWithoutOrders(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	b, _, _, _ := build(false, true, 0, 0, 100)
	p := load(t, pool, b, 2000)
	h := vnetHdr{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	require.True(t, h.order(p))
	require.Zero(t, h)
	require.True(t, h.apply(p))
	require.Zero(t, p.Meta)
	h[0] = vnetDataValid
	require.True(t, h.apply(p))
	require.Equal(t, pbuf.Meta{Flags: pbuf.RxL4CsumGood}, p.Meta)

	for _, flags := range []pbuf.Flags{pbuf.TxTSO, pbuf.TxTSO | pbuf.TxUSO | pbuf.TxTCPCsum, pbuf.TxUSO} {
		p.Flags, p.SegSize = flags, 10
		require.False(t, h.order(p), flags.String())
	}
	p.Flags, p.SegSize = pbuf.TxUSO|pbuf.TxUDPCsum, 0
	require.False(t, h.order(p), "no SegSize")
	p.Free()
}

// A checksum that is neither TCP's nor UDP's, or in a header that is not found,
// is computed: as of ICMPv6 here, and of a UDP header inside of another one's
// data.
func TestVnetHdrUnknownChecksums(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	for name, c := range map[string]struct{ v6, udp bool }{"ICMPv6": {true, false}, "tunnel": {false, true}} {
		t.Run(name, func(t *testing.T) {
			b, l2, l3, _ := build(c.v6, c.udp, 0, 0, 900)
			start, off := l2+l3, 2
			if c.udp {
				start, off = start+100, 6
			} else {
				(*header.IPv6)(b[l2:]).SetNextHeader(header.ProtoICMPv6)
			}
			p := load(t, pool, b, 300)
			init := uint16(b[start+off])<<8 | uint16(b[start+off+1])
			var h vnetHdr
			h.set(vnetNeedsCsum, vnetNone, 0, 0, start, off)
			require.True(t, h.apply(p))
			require.Zero(t, p.Meta, "nothing is said about the packet's own")
			require.EqualValues(t, 0xffff, offload.L4Sum(p, start, init))
			p.Free()
		})
	}
}

// Segments that the kernel joined and verified, without a checksum to be made.
func TestVnetHdrVerifiedSegments(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	for i := range 4 {
		b, l2, l3, _ := build(i&1 != 0, i&2 != 0, 0, 0, 3000)
		off := tcpCsumOff
		gso := byte(vnetTCPv4)
		switch {
		case i&2 != 0:
			off, gso = udpCsumOff, vnetUDP
		case i&1 != 0:
			gso = vnetTCPv6
		}
		want := append([]byte{}, b...)
		b[l2+l3+off] ^= 0xff
		p := load(t, pool, b, 2000)
		var h vnetHdr
		h.set(vnetDataValid, gso, 0, 1000, 0, 0)
		require.True(t, h.apply(p))
		require.Equal(t, pbuf.RxL4CsumGood|pbuf.RxL4Partial|pbuf.RxLRO, p.Flags)
		require.Zero(t, p.Memcmp(want, 0), "the field has the sum of the pseudo-header")
		p.Free()
	}
}

func TestVnetHdrNonsense(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	b, l2, l3, l4 := build(false, false, 0, 0, 3000)
	start := l2 + l3
	for name, c := range map[string]struct {
		flags, gso         byte
		size, start, field int
		edit               func(b []byte)
	}{
		"unknown GSO type":        {flags: vnetNeedsCsum, gso: 9, size: 1000, start: start, field: 16},
		"UFO, not negotiated":     {flags: vnetNeedsCsum, gso: 3, size: 1000, start: start, field: 16},
		"other family":            {flags: vnetNeedsCsum, gso: vnetTCPv6, size: 1000, start: start, field: 16},
		"other protocol":          {flags: vnetNeedsCsum, gso: vnetUDP, size: 1000, start: start, field: 16},
		"no size":                 {flags: vnetNeedsCsum, gso: vnetTCPv4, start: start, field: 16},
		"nothing vouched for":     {gso: vnetTCPv4, size: 1000},
		"start beyond end":        {flags: vnetNeedsCsum, start: len(b), field: 16},
		"field beyond end":        {flags: vnetNeedsCsum, start: start, field: len(b) - start - 1},
		"field far beyond end":    {flags: vnetNeedsCsum, start: 0xffff, field: 0xffff},
		"start in link header":    {flags: vnetNeedsCsum, start: 13, field: 16},
		"GSO at another header":   {flags: vnetNeedsCsum, gso: vnetTCPv4, size: 1000, start: start + 4, field: 16},
		"GSO with another field":  {flags: vnetNeedsCsum, gso: vnetTCPv4, size: 1000, start: start, field: 2},
		"GSO of no IP":            {flags: vnetNeedsCsum, gso: vnetTCPv4, size: 1000, start: start, field: 16, edit: func(b []byte) { b[12] = 1 }},
		"GSO of a fragment":       {flags: vnetNeedsCsum, gso: vnetTCPv4, size: 1000, start: start, field: 16, edit: func(b []byte) { b[l2+6] |= 0x20 }},
		"GSO with bad TCP header": {flags: vnetNeedsCsum, gso: vnetTCPv4, size: 1000, start: start, field: 16, edit: func(b []byte) { b[start+12] = 0x40 }},
		"verified, no IP":         {flags: vnetDataValid, gso: vnetTCPv4, size: 1000, edit: func(b []byte) { b[l2] = 0x65 }},
		"verified, other proto":   {flags: vnetDataValid, gso: vnetTCPv4, size: 1000, edit: func(b []byte) { b[l2+9] = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, _, _ := build(false, false, 0, 0, 3000)
			if c.edit != nil {
				c.edit(b)
			}
			p := load(t, pool, b, 2000)
			var h vnetHdr
			h.set(c.flags, c.gso, l4, c.size, c.start, c.field)
			require.False(t, h.apply(p))
			p.Free()
		})
	}
}

// FuzzVnetHdr: any header in front of any frame is refused or gives Meta that
// lies within the frame, and that a Segmenter can carry out.
func FuzzVnetHdr(f *testing.F) {
	for i := range 12 {
		b, l2, l3, l4 := build(i&1 != 0, i&2 != 0, i%3, 8*(i>>3), 300)
		var h vnetHdr
		off := []int{tcpCsumOff, udpCsumOff}[i>>1&1]
		h.set(vnetNeedsCsum, []byte{vnetTCPv4, vnetTCPv6, vnetUDP, vnetUDP}[i&3], l2+l3+l4, 100, l2+l3, off)
		f.Add(append(h[:], b...), uint16(256))
		h.set(byte(i&3), vnetNone, 0, 0, l2+l3, off)
		f.Add(append(h[:], b...), uint16(100))
	}
	f.Fuzz(func(t *testing.T, data []byte, room uint16) {
		if len(data) < vnetLen || len(data) > 5000 || room < 60 || room > 2048 {
			return
		}
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 1024, Buffers: 64})
		h, b := vnetHdr(data), data[vnetLen:]
		p := load(t, pool, b, int(room))
		defer p.Free()
		if !h.apply(p) {
			return
		}
		hdr := int(p.L2Len) + int(p.L3Len) + int(p.L4Len)
		require.LessOrEqual(t, hdr, len(b))
		require.Equal(t, len(b), p.TotLen())
		if p.Flags&pbuf.RxL4Partial == 0 {
			require.Zero(t, p.Flags&pbuf.RxLRO)
			return
		}
		proto := header.ProtoTCP
		if p.L4Len == header.UDPLen {
			proto = header.ProtoUDP
		}
		n := offload.SegCount(p)
		offload.Forward(p, proto)
		if !offload.MustCut(p, 0) {
			offload.FinishTx(p, 0)
			return
		}
		require.Greater(t, n, 1)
		var g offload.Segmenter
		out := make([]*pbuf.Pbuf, n)
		if n, ok := g.Segment(p, offload.MultiSeg, out); ok {
			pbuf.FreeBatch(out[:n])
		}
	})
}
