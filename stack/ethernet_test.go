package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestEthernet_ForUs(t *testing.T) {
	for _, promisc := range []bool{false, true} {
		h := newHost(t, hostConfig{Netif: NetifConfig{Promiscuous: promisc}})
		k := h.listenRaw(testProto)
		pk := ipv4{proto: testProto}.packet(nil)
		h.in(etherTo(scriptMAC, header.EtherTypeIPv4, pk))
		require.Len(t, k.got, 1)
		h.in(etherTo(otherMAC, header.EtherTypeIPv4, pk))
		if promisc {
			require.Len(t, k.got, 2)
		} else {
			h.dropped(DropEthNotForUs, 1)
		}
	}
}

func TestEthernet_Short(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(nil, pattern(1), pattern(13))
	h.dropped(DropEthShort, 3)
}

func TestEthernet_RFC1122_2_3_3_UnknownTypes(t *testing.T) {
	eat := false
	var seen []header.EtherType
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{UnknownEthProtocol: func(_ *Netif, p *pbuf.Pbuf) bool {
		seen = append(seen, (*header.Ethernet)(p.Payload()).Type())
		if eat {
			p.Free()
		}
		return eat
	}}}})
	types := []header.EtherType{100, 0x8847, header.EtherTypeQinQ, 0x88cc} // 100: an IEEE 802.3 length
	for _, typ := range types {
		h.in(ether(typ, pattern(50)))
	}
	h.dropped(DropEthUnknownProto, 4)
	eat = true
	h.in(ether(types[0], nil))
	h.dropped(DropHook, 1)
	require.Equal(t, append(types, types[0]), seen)
}

func TestEthernet_NoHookDropsUnknownTypes(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ether(0x88cc, nil))
	h.dropped(DropEthUnknownProto, 1)
}

// TestVLAN_8021Q: which frames are for an interface on which VLAN.
func TestVLAN_8021Q(t *testing.T) {
	plain := ipv4{}.icmp(header.ICMPv4Echo, 0, 0, pattern(10))
	for _, c := range []struct {
		vlan, tci int // tci -1: no tag
		want      bool
	}{
		{0, -1, true}, {0, 0, true}, {0, 0xe000, true}, {0, 5, false},
		{5, 5, true}, {5, 0xe005, true}, {5, 6, false}, {5, 0, false}, {5, -1, false},
	} {
		for _, stripped := range []bool{false, true} {
			if stripped && c.tci < 0 {
				continue
			}
			h := newHost(t, hostConfig{Netif: NetifConfig{VLAN: uint16(c.vlan)}})
			b := plain
			if c.tci >= 0 && !stripped {
				b = tagged(plain, uint16(c.tci))
			}
			p := h.packet(b)
			if stripped { // by the NIC
				p.Flags |= pbuf.RxVLAN
				p.VLAN = uint16(c.tci)
			}
			h.inPackets(p)
			if !c.want {
				h.dropped(DropVLAN, 1)
				h.none()
				continue
			}
			f := h.one()
			require.Equal(t, header.ICMPv4EchoReply, f.icmp.Type(), "%+v", c)
			if c.vlan == 0 {
				require.Equal(t, -1, f.tci)
			} else {
				require.Equal(t, c.vlan, f.tci)
			}
		}
	}
}

func TestVLAN_ARPAndUDP(t *testing.T) {
	h := newHost(t, hostConfig{Netif: NetifConfig{VLAN: 7}, ARP: true})
	require.NoError(t, h.sendUDP(peerIP, 100))
	f := h.one()
	require.NotNil(t, f.arp)
	require.Equal(t, 7, f.tci)
	h.in(tagged(arpReply(peerIP, scriptPeer, userIP, scriptMAC), 7))
	f = h.one()
	require.Equal(t, 7, f.tci)
	require.Equal(t, pattern(100), f.body) // with a right checksum: L2Len counts the tag
}

func TestVLAN_ShortTag(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ether(header.EtherTypeVLAN, pattern(3)))
	h.dropped(DropVLAN, 1)
}

func TestVLAN_Hooks(t *testing.T) {
	h := newHost(t, hostConfig{})
	var checked []uint16
	h.hooks.VLANCheck = func(_ *Netif, tci uint16) bool {
		checked = append(checked, tci)
		return tci&0xfff == 9
	}
	tag := int32(0x6009)
	h.hooks.VLANSet = func(_ *Netif, _ *pbuf.Pbuf, dst header.MAC, typ header.EtherType) int32 {
		require.Equal(t, scriptPeer, dst)
		require.Equal(t, header.EtherTypeIPv4, typ)
		return tag
	}
	plain := ipv4{}.icmp(header.ICMPv4Echo, 0, 0, nil)
	h.in(tagged(plain, 0x2009))
	require.Equal(t, 0x6009, h.one().tci)
	h.in(tagged(plain, 8))
	h.dropped(DropVLAN, 1)
	require.Equal(t, []uint16{0x2009, 8}, checked)
	tag = -1
	h.in(tagged(plain, 9))
	require.Equal(t, -1, h.one().tci)
}

func TestEthernet_NoHeadroom(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.pool.Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
	h.ethernetOutput(h.nif, p, scriptPeer, header.EtherTypeIPv4)
	h.dropped(DropNoBuf, 1)
}
