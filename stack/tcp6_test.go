package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// newPair6 is a pair whose hosts have 2001:db8::1 and 2001:db8::2, too.
func newPair6(t testing.TB, cfg pairConfig) *pair {
	t.Helper()
	cfg.A.IPv6.DADTransmits, cfg.B.IPv6.DADTransmits = -1, -1
	w := newPair(t, cfg)
	require.NoError(t, w.a.nif.AddAddr(netip.PrefixFrom(user6, 64)))
	require.NoError(t, w.b.nif.AddAddr(netip.PrefixFrom(peer6, 64)))
	w.run(3 * time.Second)   // the reports of their groups
	w.a.mayDrop(DropIPGroup) // those go to routers
	w.b.mayDrop(DropIPGroup)
	return w
}

// listen6 listens on port 80 of any address and shows fn what comes.
func listen6(t testing.TB, h *host, fn func(*pbuf.Pbuf)) *TCP {
	t.Helper()
	l := h.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			pcb.Recved(p.TotLen())
			fn(p)
			p.Free()
			return nil
		})
		return nil
	})
	require.NoError(t, l.Listen(0))
	return l
}

func TestTCP6_TransferOverABadLink(t *testing.T) {
	for _, to := range []string{"2001:db8::2", "fe80::2%if", "198.18.0.2"} {
		t.Run(to, func(t *testing.T) {
			bad := linkConfig{Loss: 0.02, Dup: 0.02, Reorder: 0.05, Corrupt: 0.01}
			w := newPair6(t, pairConfig{})
			w.ab.cfg.Loss, w.ab.cfg.Dup, w.ab.cfg.Reorder, w.ab.cfg.Corrupt = bad.Loss, bad.Dup, bad.Reorder, bad.Corrupt
			w.ba.cfg.Loss, w.ba.cfg.Dup, w.ba.cfg.Reorder, w.ba.cfg.Corrupt = bad.Loss, bad.Dup, bad.Reorder, bad.Corrupt
			dst := netip.MustParseAddr(to)
			if dst.IsLinkLocalUnicast() {
				dst = peerLL.WithZone("if")
			}
			var got []byte
			var from netip.AddrPort
			l := listen6(t, w.b, func(p *pbuf.Pbuf) {
				b := make([]byte, p.TotLen())
				p.CopyPartial(b, 0)
				got = append(got, b...)
			})
			accept := l.opened
			l.SetAccept(func(arg any, pcb *TCP, err error) error {
				from = pcb.RemoteAddr()
				return accept(arg, pcb, err)
			})
			c := w.a.NewTCP()
			require.NoError(t, c.Connect(netip.AddrPortFrom(dst, 80), nil))
			require.Equal(t, dst, c.RemoteAddr().Addr())
			want := pattern(100_000)
			rest := want
			w.until(time.Minute, func() bool {
				if c.State() == StateEstablished && len(rest) > 0 {
					n := min(len(rest), c.SndBuf(), 10_000)
					if c.Write(rest[:n], 0) == nil {
						rest = rest[n:]
					}
					_ = c.Output()
				}
				return len(got) == len(want)
			})
			require.Equal(t, want, got)
			require.Equal(t, c.LocalAddr(), from)
			if !dst.Is4() {
				require.Equal(t, nudReachable, w.a.arp.find(w.a.nif, w.a.scoped(dst)).nud)
			}
			require.NoError(t, c.Close())
			w.run(2 * time.Minute)
			w.a.mayDrop()
			w.b.mayDrop()
			if !dst.Is4() {
				require.NotZero(t, w.a.stats.IP6.OutRequests)
			}
		})
	}
}

func TestTCP6_RFC9293_3_7_1_SegmentSizes(t *testing.T) {
	h := newHost6(t, host6Config{})
	listen6(t, h, func(*pbuf.Pbuf) {})
	syn := header.TCPFields{SrcPort: 1000, DstPort: 80, Seq: 1, Flags: header.TCPSyn, Window: 1000}
	h.in(ipv6{}.tcp(syn, nil, nil))
	f := h.one()
	require.Equal(t, header.TCPSyn|header.TCPAck, f.tcp.Flags())
	require.Equal(t, uint16(1440), f.tcpOpts.MSS)
	h.in(ipv6{}.tcp(header.TCPFields{SrcPort: 1000, DstPort: 80, Seq: 2, Ack: f.tcp.Seq().Add(1), Flags: header.TCPAck, Window: 1000}, nil, nil))
	h.EachTCP(func(c *TCP) {
		if c.State() == StateEstablished {
			require.Equal(t, 1220, c.MSS(), "without the option the peer takes 1220 bytes")
		}
	})
	require.Equal(t, uint64(1), h.stats.TCP.CurrEstab)
}

func TestTCP6_ResetOfNoConnection(t *testing.T) {
	h := newHost6(t, host6Config{})
	h.in(ipv6{}.tcp(header.TCPFields{SrcPort: 1000, DstPort: 81, Seq: 1, Flags: header.TCPSyn, Window: 1000}, nil, nil))
	f := h.one()
	require.Equal(t, header.TCPRst|header.TCPAck, f.tcp.Flags())
	require.Equal(t, []header.Addr{hdr(user6), hdr(peer6)}, []header.Addr{f.ip6.Src(), f.ip6.Dst()})
	h.dropped(DropTCPNoConn, 1)
}

func TestTCP6_RFC4443_2_4_d_ErrorsReachConnections(t *testing.T) {
	for code, want := range map[uint8]error{header.ICMPv6PortUnreachable: ErrRefused, header.ICMPv6AddrUnreachable: nil} {
		h := newHost6(t, host6Config{})
		c := h.NewTCP()
		var got error
		c.SetErr(func(_ any, err error) { got = err })
		require.NoError(t, c.Connect(ap(peer6, 80), nil))
		h.in(ipv6{}.icmp(header.ICMPv6DstUnreachable, code, 0, h.one().ipb))
		require.Equal(t, want, got)
		if want == nil {
			require.NotZero(t, c.flags&tfSoftError)
		}
	}
}

func TestTCP_BindFamilies(t *testing.T) {
	h := newHost6(t, host6Config{})
	any, four, six := netip.Addr{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()
	listen := func(a netip.Addr) (*TCP, error) {
		l := h.NewTCP()
		err := l.Bind(ap(a, 80))
		if err == nil {
			err = l.Listen(0)
		}
		if err != nil {
			_ = l.Close()
		}
		return l, err
	}
	for _, c := range []struct {
		first, second netip.Addr
		clash         bool
	}{
		{any, four, true}, {any, six, true}, {any, any, true}, {four, six, false}, {six, four, false}, {six, any, true},
		{six, user6, true}, {six, userIP, false}, {four, user6, false}, {user6, userIP, false}, {any, user6, true}, {user6, six, true},
	} {
		a, err := listen(c.first)
		require.NoError(t, err)
		b, err := listen(c.second)
		if c.clash {
			require.ErrorIs(t, err, ErrUse, "%v, %v", c.first, c.second)
		} else {
			require.NoError(t, err, "%v, %v", c.first, c.second)
			require.NoError(t, b.Close())
		}
		require.NoError(t, a.Close())
	}
	syn := header.TCPFields{SrcPort: 1000, DstPort: 80, Flags: header.TCPSyn, Window: 1000}
	for _, a := range []netip.Addr{any, four, six} {
		l, err := listen(a)
		require.NoError(t, err)
		h.in(ipv6{}.tcp(syn, nil, nil), ipv4{}.tcp(syn, nil, nil))
		fs := h.take()
		require.Equal(t, a != four, fs[0].tcp.Flags()&header.TCPRst == 0, "%v, IPv6", a)
		require.Equal(t, a != six, fs[1].tcp.Flags()&header.TCPRst == 0, "%v, IPv4", a)
		if a == six {
			require.Equal(t, ap(six, 80), l.LocalAddr())
		}
		require.NoError(t, l.Close())
		h.take()
	}
	c := h.NewTCP()
	require.NoError(t, c.Bind(ap(six, 0)))
	require.ErrorIs(t, c.Connect(ap(peerIP, 80), nil), ErrVal, "the other family")
	require.NoError(t, c.Close())
	h.mayDrop()
}

func TestUDP6_EchoBothFamilies(t *testing.T) {
	h := newHost6(t, host6Config{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(netip.Addr{}, 7)))
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
		require.NoError(t, u.SendFrom(p, h.RecvDst(), from))
	})
	h.in(ipv6{}.udp(4000, 7, pattern(100)))
	f := h.one()
	require.Equal(t, pattern(100), f.body)
	require.Equal(t, []any{hdr(user6), hdr(peer6), uint16(7), uint16(4000)}, []any{f.ip6.Src(), f.ip6.Dst(), f.udp.SrcPort(), f.udp.DstPort()})
	h.in(ipv4{}.udp(4000, 7, pattern(100)))
	require.Equal(t, pattern(100), h.one().body)
	require.NoError(t, h.AddNeighbor(h.nif, peerLL, scriptPeer))
	h.in(ipv6{src: peerLL, dst: userLL}.udp(4000, 7, pattern(9)))
	f = h.one()
	require.Equal(t, []any{hdr(userLL), hdr(peerLL)}, []any{f.ip6.Src(), f.ip6.Dst()})
}

func TestUDP6_RFC8200_8_1_ChecksumIsNotOptional(t *testing.T) {
	h := newHost6(t, host6Config{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(user6, 7)))
	b := ipv6{}.udp(4000, 7, pattern(10))
	b[header.EthernetLen+header.IPv6Len+6], b[header.EthernetLen+header.IPv6Len+7] = 0, 0
	h.in(b)
	h.dropped(DropUDPChecksum, 1)
	require.NoError(t, u.SendTo(h.data(0), ap(peer6, 9)))
	require.NotZero(t, h.one().udp.Checksum())
}

func TestUDP6_RFC4443_3_1_PortUnreachable(t *testing.T) {
	h := newHost6(t, host6Config{})
	b := ipv6{}.udp(4000, 9, pattern(1400))
	h.in(b)
	h.error6(header.ICMPv6DstUnreachable, header.ICMPv6PortUnreachable, 0, b[header.EthernetLen:])
	h.in(ipv6{dst: all6}.udp(4000, 9, nil))
	h.none()
	h.dropped(DropUDPNoPort, 2)
	u := h.NewUDP()
	var got error
	u.SetErr(func(_ any, _ *UDP, to netip.AddrPort, err error) {
		require.Equal(t, ap(peer6, 9), to)
		got = err
	})
	require.NoError(t, u.Connect(ap(peer6, 9)))
	require.NoError(t, u.Send(h.data(10)))
	h.in(ipv6{}.icmp(header.ICMPv6DstUnreachable, header.ICMPv6PortUnreachable, 0, h.one().ipb))
	require.ErrorIs(t, got, ErrRefused)
}

func TestUDP6_Groups(t *testing.T) {
	h := newHost6(t, host6Config{})
	group := netip.MustParseAddr("ff02::fb")
	require.NoError(t, h.nif.JoinGroup(group))
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(group, 5353)))
	got := 0
	u.SetRecv(func(_ any, _ *UDP, p *pbuf.Pbuf, _ netip.AddrPort) { got++; p.Free() })
	h.in(ipv6{dst: group}.udp(5353, 5353, nil))
	require.Equal(t, 1, got)
	v := h.NewUDP()
	require.NoError(t, v.SendTo(h.data(5), netip.AddrPortFrom(group.WithZone("if"), 5353)))
	require.Equal(t, header.MAC{0x33, 0x33, 0, 0, 0, 0xfb}, h.one().dst)
}

func TestUDP_BindFamilies(t *testing.T) {
	h := newHost6(t, host6Config{})
	any, four, six := netip.Addr{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()
	for _, c := range []struct {
		first, second netip.Addr
		clash         bool
	}{
		{any, four, true}, {any, six, true}, {four, six, false}, {six, four, false}, {six, any, true}, {four, any, true},
		{six, user6, true}, {six, userIP, false}, {four, user6, false}, {user6, userIP, false}, {any, user6, true}, {user6, six, true},
		{user6, four, false}, {userIP, any, true},
	} {
		u, v := h.NewUDP(), h.NewUDP()
		require.NoError(t, u.Bind(ap(c.first, 53)))
		if err := v.Bind(ap(c.second, 53)); c.clash {
			require.ErrorIs(t, err, ErrUse, "%v, %v", c.first, c.second)
		} else {
			require.NoError(t, err, "%v, %v", c.first, c.second)
		}
		u.Close()
		v.Close()
		require.Zero(t, h.udp.count(53))
	}
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(six, 53)))
	require.Equal(t, ap(six, 53), u.LocalAddr())
	require.ErrorIs(t, u.SendTo(h.data(1), ap(peerIP, 9)), ErrVal)
	require.ErrorIs(t, u.Connect(ap(peerIP, 9)), ErrVal)
	h.in(ipv4{}.udp(4000, 53, nil))
	h.take()
	h.dropped(DropUDPNoPort, 1)
	h.dropped(DropUDPBadDest, 1)
}
