package stack

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// decode has another implementation read a frame; it must understand all of it.
func decode(t testing.TB, b []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	return p
}

// again has gopacket write the frame's layers anew, lengths and checksums
// included, and asserts that the bytes are the same.
func again(t testing.TB, b []byte) {
	t.Helper()
	p := decode(t, b)
	var ls []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		if u, ok := l.(*layers.UDP); ok {
			require.NoError(t, u.SetNetworkLayerForChecksum(p.NetworkLayer()))
		}
		if u, ok := l.(*layers.TCP); ok {
			require.NoError(t, u.SetNetworkLayerForChecksum(p.NetworkLayer()))
		}
		ls = append(ls, l.(gopacket.SerializableLayer))
	}
	buf := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
	got := buf.Bytes()
	require.Equal(t, got[:len(b)], b)
	for _, pad := range got[len(b):] {
		require.Zero(t, pad, "Ethernet's padding")
	}
}

// TestWire_GopacketAgrees: every kind of frame that we send is, byte by byte,
// what gopacket makes of the same fields.
func TestWire_GopacketAgrees(t *testing.T) {
	h := newHost(t, hostConfig{ARP: true})
	h.mayDrop()
	h.nif.SetUp(false)
	h.nif.SetUp(true) // announcement
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.NoError(t, h.sendUDP(otherIP, 1)) // ARP request
	require.NoError(t, h.sendUDP(peerIP, 33))
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, echoRest, pattern(40)))
	h.in(ipv4{}.udp(1, 2, pattern(9)))
	require.NoError(t, h.NewTCP().Connect(ap(peerIP, 80), nil))
	h.in(ipv4{}.tcp(header.TCPFields{SrcPort: 9, DstPort: 10, Flags: header.TCPSyn}, nil, nil))
	g, err := h.NewPing(peerIP, nil, nil)
	require.NoError(t, err)
	_, err = g.Send(17)
	require.NoError(t, err)
	fs := h.take()
	require.Len(t, fs, 9)
	for _, f := range fs {
		again(t, f.raw)
	}
}

// TestWire_GopacketTalksToUs: frames that gopacket makes are understood.
func TestWire_GopacketTalksToUs(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, box := h.bound(53)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: peerIP.AsSlice(), DstIP: userIP.AsSlice(),
		Options: []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}}
	udp := &layers.UDP{SrcPort: 4000, DstPort: 53}
	require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
	buf := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: scriptPeer[:], DstMAC: scriptMAC[:], EthernetType: layers.EthernetTypeIPv4},
		ip, udp, gopacket.Payload("query")))
	h.in(buf.Bytes()) // padded to 60 bytes
	require.Equal(t, "query", string(box.got[0]))
	require.Equal(t, netip.AddrPortFrom(peerIP, 4000), box.from[0])
}
