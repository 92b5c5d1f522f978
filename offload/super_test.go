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

// super is a packet that is to be cut.
type super struct {
	eth    layers.Ethernet
	tags   []layers.Dot1Q
	ip4    *layers.IPv4
	ip6    *layers.IPv6
	tcp    *layers.TCP
	udp    *layers.UDP
	data   []byte
	mss    int
	noCsum bool // UDP without
}

// randomSuper makes a packet with n bytes of payload.
func randomSuper(rng *rand.Rand, v6, udp bool, n, mss int) *super {
	s := &super{mss: mss, data: randomBytes(rng, n)}
	s.eth = layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}}
	for range max(0, rng.IntN(4)-1) {
		s.tags = append(s.tags, layers.Dot1Q{Priority: uint8(rng.IntN(8)), VLANIdentifier: uint16(rng.IntN(4095))})
	}
	if v6 {
		s.ip6 = &layers.IPv6{
			Version: 6, TrafficClass: uint8(rng.Uint32()), FlowLabel: rng.Uint32() & 0xfffff,
			HopLimit: uint8(1 + rng.IntN(255)), SrcIP: addr16(rng), DstIP: addr16(rng),
		}
	} else {
		s.ip4 = &layers.IPv4{
			Version: 4, TOS: uint8(rng.Uint32()), Id: uint16(rng.Uint32()), TTL: uint8(1 + rng.IntN(255)),
			SrcIP: []byte{198, 18, byte(rng.Uint32()), 1}, DstIP: []byte{198, 19, byte(rng.Uint32()), 2},
		}
		if rng.IntN(2) == 0 {
			s.ip4.Flags = layers.IPv4DontFragment
		}
		if rng.IntN(4) == 0 {
			s.ip4.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		}
	}
	if udp {
		s.udp = &layers.UDP{SrcPort: layers.UDPPort(rng.Uint32()), DstPort: layers.UDPPort(rng.Uint32())}
		return s
	}
	s.tcp = &layers.TCP{
		SrcPort: layers.TCPPort(rng.Uint32()), DstPort: layers.TCPPort(rng.Uint32()),
		Seq: rng.Uint32(), Ack: rng.Uint32(), Window: uint16(rng.Uint32()), ACK: true,
		PSH: rng.IntN(2) == 0, FIN: rng.IntN(3) == 0, CWR: rng.IntN(3) == 0, ECE: rng.IntN(3) == 0,
	}
	if rng.IntN(2) == 0 {
		nop := layers.TCPOption{OptionType: layers.TCPOptionKindNop}
		ts := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: randomBytes(rng, 8)}
		s.tcp.Options = []layers.TCPOption{nop, nop, ts}
	}
	return s
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// lens are the lengths of the headers.
func (s *super) lens() (l2, l3, l4 int) {
	l2, l3, l4 = header.EthernetLen+len(s.tags)*header.VLANLen, header.IPv6Len, header.UDPLen
	if s.ip4 != nil {
		l3 = header.IPv4Len + 4*len(s.ip4.Options)
	}
	if s.tcp != nil {
		l4 = header.TCPLen + 12*len(s.tcp.Options)/3
	}
	return l2, l3, l4
}

// serialize makes the frame of headers and data, with lengths and checksums.
func (s *super) serialize(t testing.TB, data []byte) []byte {
	t.Helper()
	eth, stack := s.eth, []gopacket.SerializableLayer{}
	next, proto := layers.EthernetTypeIPv4, layers.IPProtocolTCP
	if s.ip6 != nil {
		next = layers.EthernetTypeIPv6
	}
	if s.udp != nil {
		proto = layers.IPProtocolUDP
	}
	eth.EthernetType = next
	if len(s.tags) > 0 {
		eth.EthernetType = layers.EthernetTypeDot1Q
	}
	stack = append(stack, &eth)
	for i := range s.tags {
		tag := s.tags[i]
		tag.Type = layers.EthernetTypeDot1Q
		if i == len(s.tags)-1 {
			tag.Type = next
		}
		stack = append(stack, &tag)
	}
	var network gopacket.NetworkLayer
	if s.ip6 != nil {
		s.ip6.NextHeader = proto
		network, stack = s.ip6, append(stack, s.ip6)
	} else {
		s.ip4.Protocol = proto
		network, stack = s.ip4, append(stack, s.ip4)
	}
	if s.udp != nil {
		require.NoError(t, s.udp.SetNetworkLayerForChecksum(network))
		stack = append(stack, s.udp)
	} else {
		require.NoError(t, s.tcp.SetNetworkLayerForChecksum(network))
		stack = append(stack, s.tcp)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(buf, opts, append(stack, gopacket.Payload(data))...))
	l2, l3, l4 := s.lens()
	b := buf.Bytes()[:l2+l3+l4+len(data)] // without gopacket's padding
	if s.noCsum {
		b[l2+l3+6], b[l2+l3+7] = 0, 0
	}
	return b
}

// segments are the frames that cutting must give, as gopacket makes them.
func (s *super) segments(t testing.TB) [][]byte {
	t.Helper()
	var list [][]byte
	part := *s
	for off := 0; off == 0 || off < len(s.data); off += s.mss {
		data := s.data[off:min(len(s.data), off+s.mss)]
		if s.ip4 != nil {
			ip := *s.ip4
			ip.Id += uint16(off / s.mss)
			part.ip4 = &ip
		}
		if s.tcp != nil {
			tcp := *s.tcp
			last := off+s.mss >= len(s.data)
			tcp.Seq += uint32(off)
			tcp.FIN, tcp.PSH = tcp.FIN && last, tcp.PSH && last
			tcp.CWR = tcp.CWR && off == 0
			part.tcp = &tcp
		}
		list = append(list, part.serialize(t, data))
	}
	return list
}

// packet is the super packet as the stack hands it over, cut into buffers at
// random places if rng is not nil.
func (s *super) packet(t testing.TB, pool *pbuf.Pool, rng *rand.Rand) *pbuf.Pbuf {
	t.Helper()
	b := s.serialize(t, s.data)
	l2, l3, _ := s.lens()
	field := l2 + l3 + 16
	if s.udp != nil {
		field = l2 + l3 + 6
	}
	sum := uint16(0)
	if !s.noCsum {
		sum = pseudo(t, b, l2, l3)
	}
	b[field], b[field+1] = byte(sum>>8), byte(sum)
	if s.ip4 != nil {
		(*header.IPv4)(b[l2:]).SetChecksum(0xdead)
	}
	p := chain(t, pool, b, 1, rng)
	s.order(p)
	return p
}

// order sets what the stack asks for.
func (s *super) order(p *pbuf.Pbuf) {
	l2, l3, l4 := s.lens()
	p.L2Len, p.L3Len, p.L4Len, p.SegSize = uint8(l2), uint8(l3), uint8(l4), uint16(s.mss)
	switch {
	case s.tcp != nil:
		p.Flags |= pbuf.TxTSO | pbuf.TxTCPCsum
	case s.noCsum:
		p.Flags |= pbuf.TxUSO
	default:
		p.Flags |= pbuf.TxUSO | pbuf.TxUDPCsum
	}
	if s.ip4 != nil {
		p.Flags |= pbuf.TxIPCsum
	}
}
