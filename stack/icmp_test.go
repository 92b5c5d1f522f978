package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

const echoRest = 0x1234_0007 // identifier, sequence number

func TestICMP_RFC1122_3_2_2_6_Echo(t *testing.T) {
	for _, n := range []int{0, 1, 56, 1472} {
		h := newHost(t, hostConfig{})
		p := h.packet(ipv4{tos: 0x20, ttl: 9}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(n)))
		p.Flags |= pbuf.RxHash | pbuf.RxTime
		h.inPackets(p)
		f := h.one()
		require.Equal(t, header.ICMPv4EchoReply, f.icmp.Type())
		require.Equal(t, uint32(echoRest), f.icmp.Rest())
		require.Equal(t, pattern(n), f.body, "all data comes back")
		require.Equal(t, hdr(userIP), f.ip.Src())
		require.Equal(t, hdr(peerIP), f.ip.Dst())
		require.Equal(t, uint8(64), f.ip.TTL())
		require.Equal(t, uint8(0x20), f.ip.TOS())
		require.Equal(t, uint64(1), h.stats.ICMP.InEchos)
		require.Equal(t, uint64(1), h.stats.ICMP.OutEchoReps)
	}
}

// TestICMP_RFC1624_3_EchoOfNothingButZeros: the one message for which the
// incremental update of a checksum gives the wrong zero.
func TestICMP_RFC1624_3_EchoOfNothingButZeros(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, 0, make([]byte, 10)))
	require.Equal(t, uint16(0xffff), h.one().icmp.Checksum())
	// And one whose other words sum up to ones.
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, 0, []byte{0xff, 0xff}))
	require.Equal(t, header.ICMPv4EchoReply, h.one().icmp.Type())
}

func TestICMP_RFC1122_3_2_2_6_LargeEcho(t *testing.T) {
	h := newHost(t, hostConfig{})
	msg := icmpBody(header.ICMPv4Echo, 0, echoRest, pattern(20000))
	h.in(ipv4{proto: header.ProtoICMP, id: 3}.cut(msg, 1480)...)
	b := join(t, h.take(), 1500)
	require.Equal(t, uint16(0xffff), header.Checksum(b, 0))
	require.Equal(t, header.ICMPv4EchoReply, b[0])
	require.Equal(t, pattern(20000), b[header.ICMPv4Len:])
}

func TestICMP_RFC1122_3_2_2_6_SourceIsTheAddressAsked(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	h.in(ipv4{dst: second.Addr()}.icmp(header.ICMPv4Echo, 0, echoRest, nil))
	require.Equal(t, hdr(second.Addr()), h.one().ip.Src())
}

func TestICMP_RFC1122_3_2_2_6_OptionsAreNotRepeated(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ipv4{opts: []byte{7, 7, 4, 0, 0, 0, 0, 0}}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(10)))
	f := h.one()
	require.Empty(t, f.opts)
	require.Equal(t, pattern(10), f.body)
}

func TestICMP_RFC1122_3_2_2_6_GroupsGetNoEcho(t *testing.T) {
	h := newHost(t, hostConfig{})
	for _, a := range []string{"198.18.0.255", "255.255.255.255"} {
		b := ipv4{dst: netip.MustParseAddr(a)}.icmp(header.ICMPv4Echo, 0, echoRest, nil)
		h.in(etherTo(header.Broadcast, header.EtherTypeIPv4, b[header.EthernetLen:]))
	}
	h.in(ipv4{dst: netip.MustParseAddr("198.18.0.255")}.icmp(header.ICMPv4Echo, 0, echoRest, nil)) // to our MAC
	h.dropped(DropICMPIgnored, 3)
	h.none()
}

func TestICMP_EchoOfASharedPacket(t *testing.T) {
	h := newHost(t, hostConfig{})
	b := ipv4{}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(10))
	p := h.packet(b)
	p.Ref()
	h.inPackets(p)
	require.Equal(t, header.ICMPv4EchoReply, h.one().icmp.Type())
	got := make([]byte, len(b)-header.EthernetLen-header.IPv4Len)
	p.CopyPartial(got, 0)
	require.Equal(t, b[header.EthernetLen+header.IPv4Len:], got, "the other holder's packet is as it was")
	p.Free()
	// And of one in a chain.
	h.inPackets(h.chain(ipv4{}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(999)), 60))
	require.Equal(t, pattern(999), h.one().body)
}

func TestICMP_EchoWithoutBuffer(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1}})
	p := h.packet(ipv4{}.icmp(header.ICMPv4Echo, 0, echoRest, nil))
	p.Ref()
	h.inPackets(p)
	h.dropped(DropNoBuf, 1)
	p.Free()
}

func TestICMP_RFC792_ChecksumIsVerified(t *testing.T) {
	h := newHost(t, hostConfig{})
	b := ipv4{}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(11))
	b[len(b)-1] ^= 1
	p := h.packet(b)
	p.Flags |= pbuf.RxL4CsumGood // NICs know TCP and UDP only
	h.inPackets(p)
	h.dropped(DropICMPChecksum, 1)
	h.none()
	require.Equal(t, uint64(1), h.stats.ICMP.InErrors)
}

func TestICMP_RFC792_Short(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ipv4{proto: header.ProtoICMP}.frame(pattern(7)))
	h.dropped(DropICMPMalformed, 1)
}

// TestICMP_RFC1122_3_2_2_Ignored: unknown types, and those that we have no use
// for, are silently discarded.
func TestICMP_RFC1122_3_2_2_Ignored(t *testing.T) {
	h := newHost(t, hostConfig{})
	types := []uint8{header.ICMPv4EchoReply, header.ICMPv4SourceQuench, header.ICMPv4Redirect, header.ICMPv4Timestamp,
		header.ICMPv4InfoRequest, header.ICMPv4AddressMask, 99}
	for _, typ := range types {
		h.in(ipv4{}.icmp(typ, 0, 0, ipv4{src: userIP, dst: peerIP}.packet(pattern(8))))
	}
	h.dropped(DropICMPIgnored, len(types))
	h.none()
	st := h.stats.ICMP
	require.Equal(t, []uint64{7, 1, 1, 1}, []uint64{st.InMsgs, st.InEchoReps, st.InSrcQuenchs, st.InRedirects})
}

// quoteOf is an ICMP error about a datagram that the host sent.
func quoteOf(f frame, typ, code uint8, rest uint32, n int) []byte {
	return ipv4{}.icmp(typ, code, rest, f.ipb[:min(n, len(f.ipb))])
}

func TestICMP_RFC1122_4_1_3_3_ErrorsReachUDP(t *testing.T) {
	for _, c := range []struct {
		typ, code uint8
		want      error
		in        func(st *ICMPStats) uint64
	}{
		{header.ICMPv4DstUnreachable, header.ICMPv4PortUnreachable, ErrRefused, func(st *ICMPStats) uint64 { return st.InDestUnreachs }},
		{header.ICMPv4DstUnreachable, header.ICMPv4ProtoUnreachable, ErrRefused, func(st *ICMPStats) uint64 { return st.InDestUnreachs }},
		{header.ICMPv4DstUnreachable, header.ICMPv4HostUnreachable, ErrUnreachable, func(st *ICMPStats) uint64 { return st.InDestUnreachs }},
		{header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, ErrTooLong, func(st *ICMPStats) uint64 { return st.InDestUnreachs }},
		{header.ICMPv4TimeExceeded, 0, ErrUnreachable, func(st *ICMPStats) uint64 { return st.InTimeExcds }},
		{header.ICMPv4ParamProblem, 0, ErrUnreachable, func(st *ICMPStats) uint64 { return st.InParmProbs }},
	} {
		for _, connected := range []bool{true, false} {
			h := newHost(t, hostConfig{})
			u := h.NewUDP()
			var got error
			u.SetArg("mine")
			u.SetErr(func(arg any, v *UDP, to netip.AddrPort, err error) {
				require.Equal(t, "mine", arg)
				require.Same(t, u, v)
				require.Equal(t, netip.AddrPortFrom(peerIP, 77), to)
				got = err
			})
			if connected {
				require.NoError(t, u.Connect(netip.AddrPortFrom(peerIP, 77)))
			}
			require.NoError(t, u.SendTo(h.data(100), netip.AddrPortFrom(peerIP, 77)))
			sent := h.one()
			h.in(quoteOf(sent, c.typ, c.code, 0, 28)) // RFC 792: header and 8 bytes
			require.ErrorIs(t, got, c.want)
			require.Equal(t, uint64(1), c.in(&h.stats.ICMP))
			got = nil
			u.SetErr(nil)
			h.in(quoteOf(sent, c.typ, c.code, 0, 28))
			require.NoError(t, got)
			u.Close()
			h.in(quoteOf(sent, c.typ, c.code, 0, 28))
			h.dropped(DropICMPIgnored, 1)
		}
	}
}

func TestICMP_BadQuotesAreIgnored(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	u.SetErr(func(any, *UDP, netip.AddrPort, error) { t.Fatal("told of a forgery") })
	require.NoError(t, u.SendTo(h.data(100), netip.AddrPortFrom(peerIP, 77)))
	good := h.one()
	bad := func(change func(b []byte)) {
		f := good
		f.ipb = append([]byte{}, f.ipb...)
		change(f.ipb)
		h.in(quoteOf(f, 3, 3, 0, 28))
	}
	h.in(quoteOf(good, 3, 3, 0, 27))
	h.in(quoteOf(good, 3, 3, 0, 0))
	bad(func(b []byte) { b[0] = 0x65 })
	bad(func(b []byte) { b[0] = 0x44 })
	bad(func(b []byte) { b[0] = 0x4f })
	bad(func(b []byte) { b[7] = 1 })  // not the first fragment
	bad(func(b []byte) { b[15]++ })   // source not ours
	bad(func(b []byte) { b[9] = 99 }) // protocol
	bad(func(b []byte) { b[21]++ })   // port
	h.dropped(DropICMPIgnored, 9)
}

func TestICMP_ErrorsReachTCP(t *testing.T) {
	h := newHost(t, hostConfig{})
	pcb := h.NewTCP()
	var got error
	pcb.SetErr(func(_ any, err error) { got = err })
	require.NoError(t, pcb.Connect(netip.AddrPortFrom(peerIP, 80), nil))
	syn := h.one()
	forged := syn
	forged.ipb = append([]byte{}, syn.ipb...)
	forged.ipb[header.IPv4Len+4] ^= 0x40 // another sequence number
	h.in(quoteOf(forged, 3, 3, 0, 28))
	h.dropped(DropICMPIgnored, 1)
	require.NoError(t, got)
	h.in(quoteOf(syn, 3, 3, 0, 28))
	require.ErrorIs(t, got, ErrRefused)
}

func TestICMP_RFC1191_4_MTUReachesTCP(t *testing.T) {
	h := newHost(t, hostConfig{})
	pcb := h.NewTCP()
	require.NoError(t, pcb.Connect(ap(peerIP, 80), nil))
	syn := h.one().tcp
	f := header.TCPFields{SrcPort: 80, DstPort: syn.SrcPort(), Ack: syn.Seq().Add(1), Flags: header.TCPSyn | header.TCPAck, Window: 60000}
	h.in(ipv4{}.tcp(f, []byte{2, 4, 5, 180}, nil))
	require.NoError(t, pcb.Write(pattern(1400), 0))
	require.NoError(t, pcb.Output())
	fs := h.take()
	require.Len(t, fs, 2) // ACK, data
	h.in(quoteOf(fs[1], header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 800, 28))
	require.Equal(t, 760, pcb.MSS())
	pcb.Abort()
	h.take()
}

func TestICMPError_RFC1122_3_2_1_3_SourceIsTheAddressAsked(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	h.in(ipv4{dst: second.Addr()}.udp(1, 2, nil))
	require.Equal(t, hdr(second.Addr()), h.one().ip.Src())
	h.dropped(DropUDPNoPort, 1)
}

// TestICMPError_RFC1122_3_2_2_WhenNotToSend: no error about …
func TestICMPError_RFC1122_3_2_2_WhenNotToSend(t *testing.T) {
	closed := func(p ipv4) []byte { return p.udp(1, 2, pattern(20)) }
	broadcast := func(b []byte) []byte { return etherTo(header.Broadcast, header.EtherTypeIPv4, b[header.EthernetLen:]) }
	for why, c := range map[string]struct {
		frames [][]byte
		drop   DropReason
	}{
		"a directed broadcast":   {[][]byte{broadcast(closed(ipv4{dst: netip.MustParseAddr("198.18.0.255")}))}, DropUDPNoPort},
		"a broadcast to our MAC": {[][]byte{closed(ipv4{dst: netip.MustParseAddr("198.18.0.255")})}, DropUDPNoPort},
		"a broadcast":            {[][]byte{broadcast(closed(ipv4{dst: netip.MustParseAddr("255.255.255.255")}))}, DropUDPNoPort},
		"no source": {[][]byte{broadcast(closed(ipv4{src: netip.IPv4Unspecified(), dst: netip.MustParseAddr("255.255.255.255")}))},
			DropUDPNoPort},
		"a source of class E": {[][]byte{closed(ipv4{src: netip.MustParseAddr("250.1.1.1")})}, DropUDPNoPort},
	} {
		t.Run(why, func(t *testing.T) {
			h := newHost(t, hostConfig{})
			require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), peerIP, h.nif))
			h.in(c.frames...)
			h.dropped(c.drop, len(c.frames))
			h.none()
		})
	}
	t.Run("an ICMP error", func(t *testing.T) {
		r := newRouter(t, 1500, Hooks{})
		for _, typ := range []uint8{3, 4, 5, 11, 12, 99} {
			r.in(ipv4{dst: beyondIP, ttl: 1}.icmp(typ, 0, 0, nil))
			r.none()
		}
		r.in(ipv4{dst: beyondIP, ttl: 1}.icmp(header.ICMPv4Echo, 0, 0, nil))
		require.Equal(t, header.ICMPv4TimeExceeded, r.one().icmp.Type())
		r.dropped(DropIPTTL, 7)
	})
	t.Run("a later fragment", func(t *testing.T) {
		r := newRouter(t, 1500, Hooks{})
		r.in(ipv4{dst: beyondIP, ttl: 1, proto: testProto, off: 8}.frame(nil))
		r.none()
		r.in(ipv4{dst: beyondIP, ttl: 1, proto: testProto, more: true}.frame(nil))
		require.NotNil(t, r.one().icmp)
		r.dropped(DropIPTTL, 2)
	})
}

func TestICMPError_RFC1812_4_3_2_3_QuoteFillsUpTo576(t *testing.T) {
	for _, n := range []int{0, 8, 520, 521, 1400} {
		h := newHost(t, hostConfig{})
		b := ipv4{}.udp(1, 2, pattern(n))
		h.in(b)
		f := h.one()
		require.Equal(t, header.ICMPv4PortUnreachable, f.icmp.Code())
		require.Len(t, f.ipb, min(576, 28+28+n))
		require.Equal(t, b[header.EthernetLen:][:len(f.body)], f.body)
		h.dropped(DropUDPNoPort, 1)
	}
}

func TestICMPError_RFC1812_4_3_2_8_RateLimit(t *testing.T) {
	h := newHost(t, hostConfig{})
	b := ipv4{}.udp(1, 2, nil)
	for range 200 {
		h.in(b)
	}
	require.Len(t, h.take(), icmpBurst)
	require.Equal(t, uint64(200-icmpBurst), h.stats.ICMP.OutRateLimited)
	h.advance(10 * time.Millisecond)
	for range 200 {
		h.in(b)
	}
	require.Len(t, h.take(), 10, "1000 a second")
	h.advance(time.Hour)
	for range 200 {
		h.in(b)
	}
	require.Len(t, h.take(), icmpBurst, "the bucket does not grow")
	h.dropped(DropUDPNoPort, 600)
}

func TestICMPError_WithoutBuffer(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1}})
	h.in(ipv4{}.udp(1, 2, nil))
	h.dropped(DropUDPNoPort, 1)
	h.dropped(DropNoBuf, 1)
}

func TestICMP_HookSteer(t *testing.T) {
	var hash uint32
	take := true
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{Steer: func(_ *Netif, p *pbuf.Pbuf, v uint32) bool {
		hash = v
		if take {
			require.Equal(t, header.EtherTypeIPv4, (*header.Ethernet)(p.Payload()).Type())
			p.Free()
		}
		return take
	}}}})
	u := h.NewUDP()
	told := 0
	u.SetErr(func(any, *UDP, netip.AddrPort, error) { told++ })
	require.NoError(t, u.SendTo(h.data(1), netip.AddrPortFrom(peerIP, 77)))
	f := h.one()
	h.in(quoteOf(f, 3, 3, 0, 28))
	require.Equal(t, h.hashFlow(hdr(userIP), hdr(peerIP), f.udp.SrcPort(), 77), hash)
	h.dropped(DropHook, 1)
	require.Zero(t, told)
	take = false
	h.in(quoteOf(f, 3, 3, 0, 28))
	require.Equal(t, 1, told)
}
