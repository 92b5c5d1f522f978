package offload_test

import (
	"math/rand/v2"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// shape is a frame to be built: family, protocol, payload bytes, options.
type shape struct {
	name    string
	v6, udp bool
	vlan    bool
	ipOpts  bool
	payload int
}

// frame builds the frame with gopacket, checksums and all, and gives where its
// network and transport headers are.
func (s shape) frame(t testing.TB, rng *rand.Rand) (b []byte, l2, l3 int) {
	t.Helper()
	eth := &layers.Ethernet{
		SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2},
		EthernetType: layers.EthernetTypeIPv4,
	}
	stack := []gopacket.SerializableLayer{eth}
	inner := layers.EthernetTypeIPv4
	if s.v6 {
		inner = layers.EthernetTypeIPv6
	}
	eth.EthernetType = inner
	l2, l3 = header.EthernetLen, header.IPv4Len
	if s.vlan {
		eth.EthernetType = layers.EthernetTypeDot1Q
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: 7, Type: inner})
		l2 += header.VLANLen
	}
	proto := layers.IPProtocolTCP
	if s.udp {
		proto = layers.IPProtocolUDP
	}
	var network gopacket.NetworkLayer
	if s.v6 {
		l3 = header.IPv6Len
		ip := &layers.IPv6{
			Version: 6, HopLimit: 64, NextHeader: proto,
			SrcIP: addr16(rng), DstIP: addr16(rng),
		}
		network, stack = ip, append(stack, ip)
	} else {
		ip := &layers.IPv4{
			Version: 4, TTL: 64, Protocol: proto, Id: uint16(rng.Uint32()),
			SrcIP: []byte{198, 18, 0, byte(rng.Uint32())}, DstIP: []byte{198, 19, 0, byte(rng.Uint32())},
		}
		if s.ipOpts {
			ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
			l3 += 4
		}
		network, stack = ip, append(stack, ip)
	}
	payload := make([]byte, s.payload)
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	if s.udp {
		l4 := &layers.UDP{SrcPort: 1024, DstPort: layers.UDPPort(rng.Uint32())}
		require.NoError(t, l4.SetNetworkLayerForChecksum(network))
		stack = append(stack, l4)
	} else {
		l4 := &layers.TCP{SrcPort: 1024, DstPort: 80, Seq: rng.Uint32(), Ack: rng.Uint32(), ACK: true, Window: 4096}
		require.NoError(t, l4.SetNetworkLayerForChecksum(network))
		stack = append(stack, l4)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(buf, opts, append(stack, gopacket.Payload(payload))...))
	// gopacket pads short frames; what the stack hands over has no padding.
	return buf.Bytes()[:l2+l3+s.l4Len()+s.payload], l2, l3
}

// l4Len is the length of the transport header.
func (s shape) l4Len() int {
	if s.udp {
		return header.UDPLen
	}
	return header.TCPLen
}

func addr16(rng *rand.Rand) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	b[0] = 0x20
	return b
}

// pseudo gives the sum of the frame's pseudo-header.
func pseudo(t testing.TB, b []byte, l2, l3 int) uint16 {
	t.Helper()
	n := uint32(len(b) - l2 - l3)
	if b[l2]>>4 == 4 {
		ip := (*header.IPv4)(b[l2:])
		return header.PseudoHeader(ip.Src(), ip.Dst(), ip.Protocol(), n)
	}
	ip := (*header.IPv6)(b[l2:])
	return header.PseudoHeader(ip.Src(), ip.Dst(), ip.NextHeader(), n)
}

// chain makes a packet of b cut at random places; a first buffer holds at least
// head bytes, and pieces of length 0 and 1 occur.
func chain(t testing.TB, pool *pbuf.Pool, b []byte, head int, rng *rand.Rand) *pbuf.Pbuf {
	t.Helper()
	n := len(b)
	if rng != nil {
		n = head + rng.IntN(len(b)-head+1)
	}
	p := pool.Alloc(pbuf.LayerRaw, n, pbuf.KindRAM)
	require.NotNil(t, p)
	require.NoError(t, p.Take(b[:n]))
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(rng.IntN(4)*rng.IntN(300)+rng.IntN(2), len(b))
		q := pool.Alloc(pbuf.LayerRaw, n, pbuf.KindRAM)
		require.NotNil(t, q)
		require.NoError(t, q.Take(b[:n]))
		p.Cat(q)
	}
	return p
}

// content gives all bytes of a chain.
func content(p *pbuf.Pbuf) []byte {
	b := make([]byte, p.TotLen())
	return b[:p.CopyPartial(b, 0)]
}
