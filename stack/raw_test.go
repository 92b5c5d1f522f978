package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestRaw_PayloadIsAtTheIPHeader(t *testing.T) {
	h := newHost(t, hostConfig{})
	r := h.NewRaw(testProto)
	r.SetArg(7)
	require.Equal(t, 7, r.Arg())
	calls := 0
	r.SetRecv(func(arg any, v *Raw, p *pbuf.Pbuf, from netip.Addr) bool {
		require.Equal(t, 7, arg)
		require.Same(t, r, v)
		require.Equal(t, peerIP, from)
		require.Equal(t, uint8(28), p.L3Len)
		require.Equal(t, byte(0x47), p.Payload()[0])
		calls++
		p.Free()
		return true
	})
	h.in(ipv4{proto: testProto, opts: make([]byte, 8)}.frame(pattern(3)))
	require.Equal(t, 1, calls)
}

func TestRaw_LookersDoNotEat(t *testing.T) {
	h := newHost(t, hostConfig{})
	looks := 0
	look := h.NewRaw(header.ProtoICMP)
	look.SetRecv(func(any, *Raw, *pbuf.Pbuf, netip.Addr) bool { looks++; return false })
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, 1, nil))
	require.NotNil(t, h.one().icmp, "the stack answers all the same")
	require.Equal(t, 1, looks)
	// An unknown protocol that somebody looks at is not unreachable.
	h.NewRaw(testProto).SetRecv(func(any, *Raw, *pbuf.Pbuf, netip.Addr) bool { return false })
	h.in(ipv4{proto: testProto}.frame(nil))
	h.none()
	look.Close()
	look.Close()
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, 1, nil))
	require.Equal(t, 1, looks)
}

func TestRaw_BindAndConnectFilter(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	got := 0
	r := h.NewRaw(testProto)
	r.SetRecv(func(_ any, _ *Raw, p *pbuf.Pbuf, _ netip.Addr) bool { got++; p.Free(); return true })
	require.NoError(t, r.Bind(second.Addr()))
	require.NoError(t, r.Connect(peerIP))
	h.mayDrop(DropIPUnknownProto)
	h.in(ipv4{proto: testProto}.frame(nil))
	h.in(ipv4{proto: testProto, dst: second.Addr(), src: otherIP}.frame(nil))
	h.in(ipv4{proto: testProto + 1, dst: second.Addr()}.frame(nil))
	require.Zero(t, got)
	h.in(ipv4{proto: testProto, dst: second.Addr()}.frame(nil))
	require.Equal(t, 1, got)
	h.take()
	require.NoError(t, r.Send(h.data(4)))
	f := h.one()
	require.Equal(t, hdr(second.Addr()), f.ip.Src())
	require.Equal(t, hdr(peerIP), f.ip.Dst())
	r.Disconnect()
	require.ErrorIs(t, r.Send(h.data(4)), ErrConn)
	require.NoError(t, r.Bind(netip.Addr{}))
	h.in(ipv4{proto: testProto, src: otherIP}.frame(nil))
	require.Equal(t, 2, got)
}

func TestRaw_Errors(t *testing.T) {
	h := newHost(t, hostConfig{})
	r := h.NewRaw(testProto)
	require.ErrorIs(t, r.Bind(peerIP), ErrVal)
	require.ErrorIs(t, r.Connect(netip.IPv6Unspecified()), ErrVal)
	require.ErrorIs(t, r.SendTo(h.data(1), netip.Addr{}), ErrVal)
	r.Close()
	require.ErrorIs(t, r.Bind(userIP), ErrClosed)
	require.ErrorIs(t, r.Connect(peerIP), ErrClosed)
	require.ErrorIs(t, r.SendTo(h.data(1), peerIP), ErrClosed)
	r = h.NewRaw(testProto)
	h.Close()
	require.ErrorIs(t, r.SendTo(h.data(1), peerIP), ErrClosed)
	require.Nil(t, h.NewRaw(testProto))
}

func TestRaw_ClosingInTheCallback(t *testing.T) {
	h := newHost(t, hostConfig{})
	got := make([]int, 3)
	for i := range got {
		h.NewRaw(testProto).SetRecv(func(_ any, r *Raw, _ *pbuf.Pbuf, _ netip.Addr) bool {
			got[i]++
			r.Close()
			return false
		})
	}
	h.in(ipv4{proto: testProto}.frame(nil))
	require.Equal(t, []int{1, 1, 1}, got)
	require.Empty(t, h.raw)
}

func TestRaw_SendsWhatItDoesNotOwnAlone(t *testing.T) {
	h := newHost(t, hostConfig{})
	reg, err := pbuf.NewRegion(4096)
	require.NoError(t, err)
	copy(reg.Bytes(), pattern(4096))
	r := h.NewRaw(testProto)
	require.NoError(t, r.SendTo(h.pool.AllocRef(reg, 8, 1000), peerIP))
	require.Equal(t, pattern(4096)[8:1008], h.one().body)
	p := h.data(50)
	for range 3 {
		p.Ref()
		require.NoError(t, r.SendTo(p, peerIP))
	}
	require.Equal(t, 50, p.TotLen())
	p.Free()
	for _, f := range h.take() {
		require.Equal(t, pattern(50), f.body)
	}
	require.NoError(t, reg.Close())
}

func TestPing_RFC792_RoundTrip(t *testing.T) {
	h := newHost(t, hostConfig{})
	var got []PingReply
	g, err := h.NewPing(peerIP, "arg", func(arg any, _ *Ping, r PingReply) {
		require.Equal(t, "arg", arg)
		got = append(got, r)
	})
	require.NoError(t, err)
	g.Raw().SetTTL(44)
	for i, n := range []int{56, 0, 5000} {
		seq, err := g.Send(n)
		require.NoError(t, err)
		require.Equal(t, uint16(i), seq)
		fs := h.take()
		var msg []byte
		if n > 1472 {
			msg = join(t, fs, 1500)
		} else {
			msg = fs[0].ipb[header.IPv4Len:]
		}
		require.Equal(t, uint8(44), fs[0].ip.TTL())
		m := (*header.ICMPv4)(msg)
		require.Equal(t, header.ICMPv4Echo, m.Type())
		require.Equal(t, seq, m.EchoSeq())
		require.Len(t, msg, n+header.ICMPv4Len)
		require.Equal(t, uint16(0xffff), header.Checksum(msg, 0))
		h.advance(time.Duration(i+1) * time.Millisecond)
		answer := ipv4{ttl: 50}.icmp(header.ICMPv4EchoReply, 0, m.Rest(), msg[header.ICMPv4Len:])
		h.in(answer)
		require.Equal(t, PingReply{Seq: seq, RTT: time.Duration(i+1) * time.Millisecond, Bytes: n, TTL: 50, From: peerIP}, got[len(got)-1])
		h.in(answer)
		require.Equal(t, PingReply{Seq: seq, Bytes: n, TTL: 50, From: peerIP, Duplicate: true}, got[len(got)-1])
	}
	require.Equal(t, 3, g.Sent())
	require.Equal(t, uint64(6), h.stats.ICMP.InEchoReps)
	require.Equal(t, uint64(3), h.stats.ICMP.OutEchos)
}

func TestPing_OthersRepliesAreNotOurs(t *testing.T) {
	h := newHost(t, hostConfig{})
	g, err := h.NewPing(peerIP, nil, func(any, *Ping, PingReply) { t.Fatal("not ours") })
	require.NoError(t, err)
	_, err = g.Send(8)
	require.NoError(t, err)
	f := h.one()
	reply := func(src netip.Addr, rest uint32) []byte {
		return ipv4{src: src}.icmp(header.ICMPv4EchoReply, 0, rest, f.body)
	}
	h.in(reply(otherIP, f.icmp.Rest()), reply(peerIP, f.icmp.Rest()^0x10000), reply(peerIP, f.icmp.Rest()+1))
	h.in(ipv4{proto: header.ProtoICMP}.frame(pattern(5)))
	h.dropped(DropICMPIgnored, 3)
	h.dropped(DropICMPMalformed, 1)
	b := reply(peerIP, f.icmp.Rest())
	b[len(b)-1] ^= 1
	h.in(b)
	h.dropped(DropICMPChecksum, 1)
	g.Close()
	g.Close()
	_, err = g.Send(8)
	require.ErrorIs(t, err, ErrClosed)
	h.in(reply(peerIP, f.icmp.Rest()))
	h.dropped(DropICMPIgnored, 4)
}

func TestPing_ICMPError(t *testing.T) {
	h := newHost(t, hostConfig{})
	var got PingReply
	g, err := h.NewPing(peerIP, nil, func(_ any, _ *Ping, r PingReply) { got = r })
	require.NoError(t, err)
	seq, err := g.Send(8)
	require.NoError(t, err)
	e := ipv4{src: otherIP}.icmp(header.ICMPv4TimeExceeded, 0, 0, h.one().ipb[:28])
	h.in(e)
	require.ErrorIs(t, got.Err, ErrUnreachable)
	require.Equal(t, seq, got.Seq)
	require.Equal(t, otherIP, got.From, "who said so")
	h.in(e)
	h.dropped(DropICMPIgnored, 1)
}

func TestPing_Errors(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: 4, Buffers: 1, Jumbo: -1}})
	_, err := h.NewPing(netip.IPv6Unspecified(), nil, nil)
	require.ErrorIs(t, err, ErrVal)
	require.Empty(t, h.raw)
	g, err := h.NewPing(peerIP, nil, nil)
	require.NoError(t, err)
	_, err = g.Send(-1)
	require.ErrorIs(t, err, ErrVal)
	_, err = g.Send(65508)
	require.ErrorIs(t, err, ErrVal)
	_, err = g.Send(5000)
	require.ErrorIs(t, err, ErrMem)
	h.dropped(DropNoBuf, 1)
	far, err := h.NewPing(netip.MustParseAddr("203.0.113.1"), nil, nil)
	require.NoError(t, err)
	_, err = far.Send(1)
	require.ErrorIs(t, err, ErrRoute)
	h.dropped(DropIPNoRoute, 1)
	require.Zero(t, far.Sent())
	h.Close()
	_, err = h.NewPing(peerIP, nil, nil)
	require.ErrorIs(t, err, ErrClosed)
}

func TestPing_Ourselves(t *testing.T) {
	h := newHost(t, hostConfig{})
	n := 0
	g, err := h.NewPing(userIP, nil, func(_ any, g *Ping, r PingReply) {
		if n++; n < 5 {
			_, err := g.Send(10)
			require.NoError(t, err)
		}
	})
	require.NoError(t, err)
	_, err = g.Send(10)
	require.NoError(t, err)
	h.settle()
	require.Equal(t, 5, n)
}

func TestPing_Window(t *testing.T) {
	h := newHost(t, hostConfig{})
	n := 0
	g, err := h.NewPing(peerIP, nil, func(any, *Ping, PingReply) { n++ })
	require.NoError(t, err)
	var fs []frame
	for range pingWindow + 1 {
		_, err := g.Send(0)
		require.NoError(t, err)
		fs = append(fs, h.take()...)
	}
	answer := func(i int) { h.in(ipv4{}.icmp(header.ICMPv4EchoReply, 0, fs[i].icmp.Rest(), nil)) }
	answer(0) // too old to be remembered
	require.Zero(t, n)
	h.dropped(DropICMPIgnored, 1)
	answer(1)
	answer(pingWindow)
	require.Equal(t, 2, n)
}

func TestPing_HookChoosesTheIdentifier(t *testing.T) {
	h := newHost(t, hostConfig{})
	plain, err := h.NewPing(peerIP, nil, nil)
	require.NoError(t, err)
	var asked uint16
	h.hooks.PingID = func(id uint16) uint16 {
		asked = id
		return 77
	}
	g, err := h.NewPing(peerIP, nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, 77, g.id)
	require.NotEqual(t, plain.id, asked, "identifiers are random")
}
