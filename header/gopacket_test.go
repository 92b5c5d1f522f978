package header

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// The tests below compare with gopacket, which was written by others from the
// same RFCs: what one side encodes the other must read.

// serialize lets gopacket build a packet, with lengths and checksums.
func serialize(t *testing.T, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(buf, opts, parts...))
	return buf.Bytes()
}

// payload has an odd length.
var payload = gopacket.Payload("the quick brown fox jumps over the lazy dog")

func TestAgainstGopacketTCPOverIPv4(t *testing.T) {
	ip := &layers.IPv4{
		Version: 4, TTL: 61, TOS: 0x48, Id: 77, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP,
		SrcIP: net.IPv4(192, 0, 2, 1), DstIP: net.IPv4(198, 51, 100, 2),
	}
	tcp := &layers.TCP{
		SrcPort: 40000, DstPort: 80, Seq: 0xfffffff0, Ack: 0x80000001, ACK: true, PSH: true, ECE: true, Window: 501, Urgent: 3,
		Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 1, 0, 0, 0, 2}},
		},
	}
	require.NoError(t, tcp.SetNetworkLayerForChecksum(ip))
	frame := serialize(t, &layers.Ethernet{
		SrcMAC: macA[:], DstMAC: macB[:], EthernetType: layers.EthernetTypeDot1Q,
	}, &layers.Dot1Q{Priority: 3, VLANIdentifier: 42, Type: layers.EthernetTypeIPv4}, ip, tcp, payload)

	eth, f := ParseEthernet(frame)
	require.Equal(t, OK, f)
	require.Equal(t, []any{macA, macB, EtherTypeVLAN}, []any{eth.Src(), eth.Dst(), eth.Type()})
	tag, f := ParseVLAN(frame[EthernetLen:])
	require.Equal(t, OK, f)
	require.Equal(t, []any{uint8(3), uint16(42), EtherTypeIPv4}, []any{tag.Priority(), tag.ID(), tag.Type()})

	b := frame[EthernetLen+VLANLen:]
	h, hdrLen, total, f := ParseIPv4(b)
	require.Equal(t, OK, f)
	require.Equal(t, len(b), total)
	require.True(t, h.VerifyChecksum(b[:hdrLen]))
	again := make([]byte, IPv4Len)
	(*IPv4)(again).Encode(&IPv4Fields{
		TOS: h.TOS(), TTL: h.TTL(), Protocol: h.Protocol(), DontFragment: h.DontFragment(),
		TotalLen: h.TotalLen(), ID: h.ID(), Src: h.Src(), Dst: h.Dst(),
	})
	require.Equal(t, b[:IPv4Len], again)

	seg := b[hdrLen:total]
	require.Equal(t, uint16(0xffff), Checksum(seg, PseudoHeader(h.Src(), h.Dst(), ProtoTCP, uint32(len(seg)))))
	th, off, f := ParseTCP(seg)
	require.Equal(t, OK, f)
	val, ecr, ok := ParseTimestampFast(seg[TCPLen:off])
	require.True(t, ok)
	require.Equal(t, []uint32{1, 2}, []uint32{val, ecr})
	require.Equal(t, TCPFields{
		40000, 80, 0xfffffff0, 0x80000001, 32, TCPAck | TCPPsh | TCPEce, 501, th.Checksum(), 3,
	}, TCPFields{
		th.SrcPort(), th.DstPort(), th.Seq(), th.Ack(), uint8(off), th.Flags(), th.Window(), th.Checksum(), th.Urgent(),
	})
}

func TestAgainstGopacketUDPOverIPv6(t *testing.T) {
	ip := &layers.IPv6{
		Version: 6, TrafficClass: 0x2e, FlowLabel: 0xabcde, HopLimit: 63, NextHeader: layers.IPProtocolUDP,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2"),
	}
	udp := &layers.UDP{SrcPort: 5353, DstPort: 53}
	require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
	b := serialize(t, ip, udp, payload)
	h, n, f := ParseIPv6(b)
	require.Equal(t, OK, f)
	require.Equal(t, len(b)-IPv6Len, n)
	again := make([]byte, IPv6Len)
	(*IPv6)(again).Encode(&IPv6Fields{
		h.TrafficClass(), h.HopLimit(), h.NextHeader(), h.PayloadLen(), h.FlowLabel(), h.Src(), h.Dst(),
	})
	require.Equal(t, b[:IPv6Len], again)
	require.Equal(t, []any{uint8(0x2e), uint32(0xabcde)}, []any{h.TrafficClass(), h.FlowLabel()})

	uh, length, f := ParseUDP(b[IPv6Len:])
	require.Equal(t, OK, f)
	require.Equal(t, []any{uint16(5353), uint16(53), n}, []any{uh.SrcPort(), uh.DstPort(), length})
	sum := PseudoHeader(h.Src(), h.Dst(), ProtoUDP, uint32(length))
	require.Equal(t, uint16(0xffff), Checksum(b[IPv6Len:], sum))
	want := uh.Checksum()
	uh.SetChecksum(0)
	require.Equal(t, want, UDPChecksum(Checksum(b[IPv6Len:], sum)))
}

func TestAgainstGopacketICMP(t *testing.T) {
	b := serialize(t, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 7, Seq: 9}, payload)
	h, f := ParseICMPv4(b)
	require.Equal(t, OK, f)
	require.Equal(t, []any{ICMPv4Echo, uint8(0), uint16(7), uint16(9)}, []any{h.Type(), h.Code(), h.EchoID(), h.EchoSeq()})
	want := h.Checksum()
	h.Encode(ICMPv4Echo, 0, 7<<16|9)
	require.Equal(t, want, ^Checksum(b, 0))
}

func TestAgainstGopacketARP(t *testing.T) {
	b := serialize(t, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: 2, SourceHwAddress: macA[:], SourceProtAddress: []byte{192, 0, 2, 1},
		DstHwAddress: macB[:], DstProtAddress: []byte{192, 0, 2, 2},
	})
	h, f := ParseARP(b)
	require.Equal(t, OK, f)
	again := make([]byte, ARPLen)
	(*ARP)(again).Encode(&ARPFields{h.Op(), h.SenderMAC(), h.SenderIP(), h.TargetMAC(), h.TargetIP()})
	require.Equal(t, b, again)
	require.Equal(t, ARPFields{ARPReply, macA, addr(t, "192.0.2.1"), macB, addr(t, "192.0.2.2")},
		ARPFields{h.Op(), h.SenderMAC(), h.SenderIP(), h.TargetMAC(), h.TargetIP()})
}

// TestGopacketReadsOurs encodes a SYN and lets gopacket take it apart.
func TestGopacketReadsOurs(t *testing.T) {
	const optLen = 32
	b := make([]byte, EthernetLen+IPv4Len+TCPLen+optLen+5)
	(*Ethernet)(b).Encode(macB, macA, EtherTypeIPv4)
	ip := b[EthernetLen:]
	src, dst := addr(t, "192.0.2.1"), addr(t, "192.0.2.2")
	(*IPv4)(ip).Encode(&IPv4Fields{TTL: 64, Protocol: ProtoTCP, TotalLen: uint16(len(ip)), Src: src, Dst: dst})
	seg := ip[IPv4Len:]
	h := (*TCP)(seg)
	h.Encode(&TCPFields{SrcPort: 1, DstPort: 2, Seq: 3, HdrLen: TCPLen + optLen, Flags: TCPSyn, Window: 4})
	o := seg[TCPLen:]
	n := PutMSS(o, 1460)
	n += PutSACKPermitted(o[n:])
	n += PutTimestamp(o[n:], 5, 6)
	n += PutSACK(o[n:n+12], []SACKBlock{{7, 8}})
	require.Equal(t, optLen, n)
	copy(o[n:], "hello")
	h.SetChecksum(^Checksum(seg, PseudoHeader4(src, dst, ProtoTCP, uint16(len(seg)))))

	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	tcp := p.TransportLayer().(*layers.TCP)
	require.NoError(t, tcp.SetNetworkLayerForChecksum(p.NetworkLayer()))
	bad, mismatches := p.VerifyChecksums()
	require.NoError(t, bad)
	require.Empty(t, mismatches)
	require.True(t, tcp.SYN && !tcp.ACK)
	require.Equal(t, []byte("hello"), tcp.Payload)
	var kinds []layers.TCPOptionKind
	for _, opt := range tcp.Options {
		kinds = append(kinds, opt.OptionType)
	}
	const nop = layers.TCPOptionKindNop
	require.Equal(t, []layers.TCPOptionKind{
		layers.TCPOptionKindMSS, nop, nop, layers.TCPOptionKindSACKPermitted,
		nop, nop, layers.TCPOptionKindTimestamps, nop, nop, layers.TCPOptionKindSACK,
	}, kinds)
}
