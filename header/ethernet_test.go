package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	macA = MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0a}
	macB = MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0b}
)

func TestMAC(t *testing.T) {
	require.Equal(t, "02:00:00:00:00:0a", macA.String())
	require.Equal(t, "ff:ff:ff:ff:ff:ff", Broadcast.String())
	require.True(t, Broadcast.IsBroadcast() && Broadcast.IsMulticast())
	require.True(t, MAC{1, 0, 0x5e}.IsMulticast())
	require.False(t, MAC{1, 0, 0x5e}.IsBroadcast() || macA.IsMulticast() || macA.IsZero())
	require.True(t, MAC{}.IsZero())
}

// TestRFC894_EthernetLayout writes a header and reads its bytes.
func TestRFC894_EthernetLayout(t *testing.T) {
	b := make([]byte, EthernetLen)
	(*Ethernet)(b).Encode(macB, macA, EtherTypeIPv4)
	require.Equal(t, []byte{2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 0x08, 0x00}, b)
	h, f := ParseEthernet(b)
	require.Equal(t, OK, f)
	require.Equal(t, macB, h.Dst())
	require.Equal(t, macA, h.Src())
	require.Equal(t, EtherTypeIPv4, h.Type())
}

// TestGatesWantWholeHeaders cuts the headers that have no other rule.
func TestGatesWantWholeHeaders(t *testing.T) {
	gates := []struct {
		size  int
		short Fault
		parse func(b []byte) (any, Fault)
	}{
		{EthernetLen, FaultEthShort, func(b []byte) (any, Fault) { h, f := ParseEthernet(b); return h != nil, f }},
		{VLANLen, FaultVLANShort, func(b []byte) (any, Fault) { h, f := ParseVLAN(b); return h != nil, f }},
		{ICMPv4Len, FaultICMPv4Short, func(b []byte) (any, Fault) { h, f := ParseICMPv4(b); return h != nil, f }},
		{ICMPv6Len, FaultICMPv6Short, func(b []byte) (any, Fault) { h, f := ParseICMPv6(b); return h != nil, f }},
	}
	for _, g := range gates {
		for n := range g.size + 10 {
			found, f := g.parse(make([]byte, n))
			if n < g.size {
				require.Equal(t, g.short, f)
				require.Equal(t, false, found)
			} else {
				require.Equal(t, OK, f)
				require.Equal(t, true, found)
			}
		}
	}
}

func TestEtherTypeNames(t *testing.T) {
	for typ, want := range map[EtherType]string{
		EtherTypeIPv4: "IPv4", EtherTypeIPv6: "IPv6", EtherTypeARP: "ARP",
		EtherTypeVLAN: "VLAN", EtherTypeQinQ: "QinQ", 0x88cc: "0x88cc",
	} {
		require.Equal(t, want, typ.String())
	}
}

// TestIEEE8021Q_TagLayout takes a tag apart.
func TestIEEE8021Q_TagLayout(t *testing.T) {
	b := make([]byte, VLANLen)
	h := (*VLAN)(b)
	h.Encode(5<<13|1<<12|0xabc, EtherTypeIPv6)
	require.Equal(t, []byte{0xba, 0xbc, 0x86, 0xdd}, b)
	require.Equal(t, uint16(0xabc), h.ID())
	require.Equal(t, uint8(5), h.Priority())
	require.True(t, h.DropEligible())
	require.Equal(t, uint16(0xbabc), h.TCI())
	require.Equal(t, EtherTypeIPv6, h.Type())
	h.SetTCI(VLANIDMask)
	require.False(t, h.DropEligible())
	require.Zero(t, h.Priority())
}

// TestRFC826_PacketLayout writes a request and reads its bytes.
func TestRFC826_PacketLayout(t *testing.T) {
	b := make([]byte, ARPLen)
	want := ARPFields{
		Op: ARPRequest, SenderMAC: macA, SenderIP: addr(t, "192.0.2.1"), TargetIP: addr(t, "192.0.2.2"),
	}
	(*ARP)(b).Encode(&want)
	require.Equal(t, []byte{
		0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 0xa, 192, 0, 2, 1,
		0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
	}, b)
	h, f := ParseARP(b)
	require.Equal(t, OK, f)
	got := ARPFields{h.Op(), h.SenderMAC(), h.SenderIP(), h.TargetMAC(), h.TargetIP()}
	require.Equal(t, want, got)
	h.SetOp(ARPReply)
	require.Equal(t, ARPReply, h.Op())
}

// TestRFC826_OnlyIPv4OverEthernet spoils each byte that says what the addresses
// are.
func TestRFC826_OnlyIPv4OverEthernet(t *testing.T) {
	b := make([]byte, ARPLen)
	(*ARP)(b).Encode(&ARPFields{Op: ARPReply})
	for i := range 6 {
		b[i] ^= 0x10
		_, f := ParseARP(b)
		require.Equal(t, FaultARPKind, f)
		b[i] ^= 0x10
	}
	for n := range ARPLen {
		_, f := ParseARP(b[:n])
		require.Equal(t, FaultARPShort, f)
	}
	b[6] = 0x7f // the operation is no business of the gate
	_, f := ParseARP(append(b, make([]byte, 18)...))
	require.Equal(t, OK, f)
}
