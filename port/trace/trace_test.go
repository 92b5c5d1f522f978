package trace_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/port/trace"
)

var (
	mac1 = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	mac2 = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func eth(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: mac1, DstMAC: mac2, EthernetType: t}
}

func ip4(p layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: 64, Protocol: p, Id: 5,
		SrcIP: net.IP{198, 18, 0, 1}, DstIP: net.IP{198, 18, 0, 2},
	}
}

func ip6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: p,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2"),
	}
}

func arp(op uint16) *layers.ARP {
	return &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: op, SourceHwAddress: mac1, SourceProtAddress: net.IP{198, 18, 0, 1},
		DstHwAddress: mac2, DstProtAddress: net.IP{198, 18, 0, 2},
	}
}

// build serializes layers, with lengths filled in, and cuts the padding off.
func build(t testing.TB, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, ls...))
	return buf.Bytes()
}

func tcp(set func(*layers.TCP)) *layers.TCP {
	l := &layers.TCP{SrcPort: 1024, DstPort: 80, Seq: 7, Window: 4096}
	set(l)
	return l
}

func option(kind layers.TCPOptionKind, data ...byte) layers.TCPOption {
	return layers.TCPOption{OptionType: kind, OptionLength: uint8(len(data) + 2), OptionData: data}
}

// lines are frames and what is to be said of them.
func lines(t testing.TB) map[string][]byte {
	frag := ip4(layers.IPProtocolUDP)
	frag.Flags, frag.FragOffset = layers.IPv4MoreFragments, 185
	last := ip4(layers.IPProtocolUDP)
	last.FragOffset = 370
	data := func(n int) gopacket.SerializableLayer { return gopacket.Payload(make([]byte, n)) }
	v4, v6 := layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	return map[string][]byte{
		"198.18.0.1:1024 > 198.18.0.2:80 TCP S seq 7 win 4096 mss 1460 wscale 7 sackOK ts 1/2 len 0": build(t, eth(v4), ip4(layers.IPProtocolTCP), tcp(func(l *layers.TCP) {
			l.SYN = true
			l.Options = []layers.TCPOption{
				option(layers.TCPOptionKindMSS, 5, 180), option(layers.TCPOptionKindWindowScale, 7),
				option(layers.TCPOptionKindSACKPermitted), option(layers.TCPOptionKindTimestamps, 0, 0, 0, 1, 0, 0, 0, 2),
			}
		})),
		"198.18.0.1:1024 > 198.18.0.2:80 TCP PA seq 7 ack 9 win 4096 ts 1/2 len 100": build(t, eth(v4), ip4(layers.IPProtocolTCP), tcp(func(l *layers.TCP) {
			l.PSH, l.ACK, l.Ack = true, true, 9
			l.Options = []layers.TCPOption{
				{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
				option(layers.TCPOptionKindTimestamps, 0, 0, 0, 1, 0, 0, 0, 2),
			}
		}), data(100)),
		"198.18.0.1:1024 > 198.18.0.2:80 TCP A seq 7 ack 9 win 4096 sack 1-2 len 0": build(t, eth(v4), ip4(layers.IPProtocolTCP), tcp(func(l *layers.TCP) {
			l.ACK, l.Ack = true, 9
			l.Options = []layers.TCPOption{option(layers.TCPOptionKindSACK, 0, 0, 0, 1, 0, 0, 0, 2)}
		})),
		"[2001:db8::1]:1024 > [2001:db8::2]:80 TCP FRAUEC seq 7 ack 0 win 4096 urg 3 len 0": build(t, eth(v6), ip6(layers.IPProtocolTCP), tcp(func(l *layers.TCP) {
			l.FIN, l.RST, l.ACK, l.URG, l.ECE, l.CWR, l.Urgent = true, true, true, true, true, true, 3
		})),
		"198.18.0.1:1024 > 198.18.0.2:80 TCP . seq 7 win 4096 len 0": build(t, eth(v4), ip4(layers.IPProtocolTCP), tcp(func(*layers.TCP) {})),
		"vlan 9 198.18.0.1:5 > 198.18.0.2:6 UDP len 10": build(t, eth(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 9, Type: v4},
			ip4(layers.IPProtocolUDP), &layers.UDP{SrcPort: 5, DstPort: 6}, data(10)),
		"[2001:db8::1]:5 > [2001:db8::2]:6 UDP len 0":              build(t, eth(v6), ip6(layers.IPProtocolUDP), &layers.UDP{SrcPort: 5, DstPort: 6}),
		"198.18.0.1 > 198.18.0.2 UDP id 5 frag 1480+8+":            build(t, eth(v4), frag, data(8)),
		"198.18.0.1 > 198.18.0.2 UDP id 5 frag 2960+8":             build(t, eth(v4), last, data(8)),
		"[2001:db8::1]:5 > [2001:db8::2]:6 UDP len 20":             build(t, eth(v6), ip6(44), data8(17, 0, 0, 0, 0, 0, 0, 1), &layers.UDP{SrcPort: 5, DstPort: 6}, data(20)),
		"2001:db8::1 > 2001:db8::2 UDP id 1 frag 8+16":             build(t, eth(v6), ip6(44), data8(17, 0, 0, 8, 0, 0, 0, 1), data(16)),
		"2001:db8::1 > 2001:db8::2 hop-by-hop bad: ipv6_ext":       build(t, eth(v6), ip6(0), data8(17, 9, 0, 0, 0, 0, 0, 0)),
		"198.18.0.1 > 198.18.0.2 ICMP echo id 3 seq 4 len 56":      build(t, eth(v4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: 8 << 8, Id: 3, Seq: 4}, data(56)),
		"198.18.0.1 > 198.18.0.2 ICMP echo-reply id 3 seq 4 len 0": build(t, eth(v4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{Id: 3, Seq: 4}),
		"198.18.0.1 > 198.18.0.2 ICMP type 3 code 1 len 36":        build(t, eth(v4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: 3<<8 | 1}, data(28)),
		"2001:db8::1 > 2001:db8::2 ICMPv6 echo id 1 seq 2 len 4":   build(t, eth(v6), ip6(layers.IPProtocolICMPv6), data8(128, 0, 0, 0, 0, 1, 0, 2), data(4)),
		"2001:db8::1 > 2001:db8::2 ICMPv6 type 135 code 0 len 24":  build(t, eth(v6), ip6(layers.IPProtocolICMPv6), data8(135, 0, 0, 0, 0, 0, 0, 0), data(16)),
		"198.18.0.1 > 198.18.0.2 proto 99 len 12":                  build(t, eth(v4), ip4(99), data(12)),
		"ARP who-has 198.18.0.2 tell 198.18.0.1":                   build(t, eth(layers.EthernetTypeARP), arp(1)),
		"ARP 198.18.0.1 is-at 02:00:00:00:00:01":                   build(t, eth(layers.EthernetTypeARP), arp(2)),
		"ARP op 3":                                                 build(t, eth(layers.EthernetTypeARP), arp(3)),
		"02:00:00:00:00:01 > 02:00:00:00:00:02 type 0x88cc":        build(t, eth(0x88cc), data(46)),
		"bad: eth_short":    make([]byte, 13),
		"bad: vlan_short":   build(t, eth(layers.EthernetTypeDot1Q))[:14],
		"bad: ipv4_version": build(t, eth(v4), data(46)),
		"bad: ipv6_short":   build(t, eth(v6))[:14],
		"bad: arp_kind":     build(t, eth(layers.EthernetTypeARP), data(46)),
		"198.18.0.1 > 198.18.0.2 TCP bad: tcp_short":     build(t, eth(v4), ip4(layers.IPProtocolTCP), data(8)),
		"198.18.0.1 > 198.18.0.2 UDP bad: udp_length":    build(t, eth(v4), ip4(layers.IPProtocolUDP), data(12)),
		"198.18.0.1 > 198.18.0.2 ICMP bad: icmpv4_short": build(t, eth(v4), ip4(layers.IPProtocolICMPv4), data(3)),
	}
}

func data8(b ...byte) gopacket.Payload { return gopacket.Payload(b) }

func TestAppendFrame(t *testing.T) {
	for want, b := range lines(t) {
		require.Equal(t, want, string(trace.AppendFrame(nil, b)))
		require.Equal(t, "x "+want, string(trace.AppendFrame([]byte("x "), b)), "appends")
	}
}

// Frames of which only the start is at hand give the same line.
func TestAppendFrameOfTheStart(t *testing.T) {
	for _, ls := range [][]gopacket.SerializableLayer{
		{eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolTCP), tcp(func(*layers.TCP) {}), gopacket.Payload(make([]byte, 1000))},
		{eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolUDP), &layers.UDP{}, gopacket.Payload(make([]byte, 1000))},
		{eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{}, gopacket.Payload(make([]byte, 1000))},
	} {
		b := build(t, ls...)
		require.Equal(t, string(trace.AppendFrame(nil, b)), string(trace.AppendFrame(nil, b[:100])))
		require.Contains(t, string(trace.AppendFrame(nil, b[:100])), "len 1000")
	}
}

func newWire(t *testing.T, tr *trace.Tracer) (a, b port.Port, pool *pbuf.Pool) {
	t.Helper()
	ea, eb, err := mem.New(mem.Config{})
	require.NoError(t, err)
	pool = pbuftest.NewPool(t, pbuf.Config{})
	a, b = tr.Wrap(ea), tr.Wrap(eb)
	for _, p := range []port.Port{a, b} {
		require.NoError(t, p.Attach(0, pool))
		require.NoError(t, p.Start())
	}
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	return a, b, pool
}

func chain(t *testing.T, pool *pbuf.Pool, b []byte, cut int) *pbuf.Pbuf {
	t.Helper()
	p := pool.Alloc(pbuf.LayerRaw, cut, pbuf.KindRAM)
	require.NoError(t, p.Take(b[:cut]))
	q := pool.Alloc(pbuf.LayerRaw, len(b)-cut, pbuf.KindRAM)
	require.NoError(t, q.Take(b[cut:]))
	p.Cat(q)
	return p
}

func TestLinesOfAWire(t *testing.T) {
	var out bytes.Buffer
	tr := trace.New(&out)
	a, b, pool := newWire(t, tr)
	f := build(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolUDP), &layers.UDP{SrcPort: 5, DstPort: 6}, gopacket.Payload(make([]byte, 22)))
	require.Equal(t, 1, a.TxBurst(0, 1_000_000_002, []*pbuf.Pbuf{chain(t, pool, f, 20)}))
	dst := make([]*pbuf.Pbuf, 1)
	require.Equal(t, 1, b.RxBurst(0, -5, dst))
	dst[0].Free()
	require.Equal(t, strings.Join([]string{
		"1.000000002 a/0 > 64 198.18.0.1:5 > 198.18.0.2:6 UDP len 22",
		"-0.000000005 b/0 < 64 198.18.0.1:5 > 198.18.0.2:6 UDP len 22",
		"",
	}, "\n"), out.String())
	require.NoError(t, tr.Err())
}

type broken struct{ calls int }

var errPipe = errors.New("broken pipe")

func (b *broken) Write([]byte) (int, error) { b.calls++; return 0, errPipe }

func TestWriteErrors(t *testing.T) {
	var w broken
	tr := trace.New(&w)
	a, _, pool := newWire(t, tr)
	for range 3 {
		require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{chain(t, pool, make([]byte, 60), 14)}))
	}
	require.ErrorIs(t, tr.Err(), errPipe)
	require.Equal(t, 1, w.calls, "not tried again")
}

func TestAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for want, b := range lines(t) {
		require.Zero(t, testing.AllocsPerRun(10, func() { buf = trace.AppendFrame(buf[:0], b) }), want)
	}
}

// FuzzAppendFrame: any bytes give one line of printable characters.
func FuzzAppendFrame(f *testing.F) {
	for _, b := range lines(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line := trace.AppendFrame(nil, b)
		require.NotEmpty(t, line)
		for _, c := range line {
			require.True(t, c >= ' ' && c < 0x7f, "%q", line)
		}
	})
}
