package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRFC792_Layout(t *testing.T) {
	b := make([]byte, ICMPv4Len)
	h := (*ICMPv4)(b)
	h.SetChecksum(0xffff)
	h.Encode(ICMPv4Echo, 0, 0x01020304)
	require.Equal(t, []byte{8, 0, 0, 0, 1, 2, 3, 4}, b)
	require.Equal(t, uint16(0x0102), h.EchoID())
	require.Equal(t, uint16(0x0304), h.EchoSeq())
	require.Equal(t, uint32(0x01020304), h.Rest())
	require.Equal(t, uint8(1), h.Pointer())
	require.Equal(t, "1.2.3.4", h.Gateway().String())
	h.SetChecksum(^Checksum(b, 0))
	require.Equal(t, uint16(0xffff), Checksum(b, 0))
	h.SetType(ICMPv4DstUnreachable)
	h.SetCode(ICMPv4FragNeeded)
	h.SetRest(1400)
	require.Equal(t, []byte{3, 4}, b[:2])
	require.Equal(t, ICMPv4DstUnreachable, h.Type())
	require.Equal(t, ICMPv4FragNeeded, h.Code())
	require.Equal(t, uint16(0xf3f9), h.Checksum())
}

func TestRFC1191_4_NextHopMTU(t *testing.T) {
	h := &ICMPv4{3, 4, 0, 0, 0, 0, 0x05, 0x78}
	require.Equal(t, uint16(1400), h.MTU())
}

// TestRFC1122_3_2_2_ErrorTypes: these are never answered with an error.
func TestRFC1122_3_2_2_ErrorTypes(t *testing.T) {
	errs := map[uint8]bool{3: true, 4: true, 5: true, 11: true, 12: true}
	for typ := range 256 {
		require.Equal(t, errs[uint8(typ)], (&ICMPv4{uint8(typ)}).IsError(), typ)
	}
}

func TestRFC4443_2_1_Layout(t *testing.T) {
	b := make([]byte, ICMPv6Len)
	h := (*ICMPv6)(b)
	h.Encode(ICMPv6EchoReply, 0, 0x01020304)
	require.Equal(t, []byte{129, 0, 0, 0, 1, 2, 3, 4}, b)
	require.Equal(t, uint16(0x0102), h.EchoID())
	require.Equal(t, uint16(0x0304), h.EchoSeq())
	h.SetType(ICMPv6PacketTooBig)
	h.SetCode(1)
	h.SetChecksum(0xabcd)
	h.SetRest(1280)
	require.Equal(t, []byte{2, 1, 0xab, 0xcd, 0, 0, 5, 0}, b)
	require.Equal(t, ICMPv6PacketTooBig, h.Type())
	require.Equal(t, uint8(1), h.Code())
	require.Equal(t, uint16(0xabcd), h.Checksum())
	require.Equal(t, uint32(1280), h.MTU())
	require.Equal(t, uint32(1280), h.Pointer())
	require.Equal(t, uint32(1280), h.Rest())
}

func TestRFC4443_2_1_ErrorTypes(t *testing.T) {
	for typ := range 256 {
		require.Equal(t, typ < 128, (&ICMPv6{uint8(typ)}).IsError())
	}
}

func TestProtocolNames(t *testing.T) {
	for p, want := range map[Protocol]string{
		ProtoICMP: "ICMP", ProtoIGMP: "IGMP", ProtoTCP: "TCP", ProtoUDP: "UDP", ProtoICMPv6: "ICMPv6",
		ProtoNone: "none", ProtoHopByHop: "hop-by-hop", ProtoRouting: "routing", ProtoFragment: "fragment",
		ProtoESP: "ESP", ProtoAH: "AH", ProtoDestOpts: "destination options", 132: "132",
	} {
		require.Equal(t, want, p.String())
	}
}
