package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// sink is what a raw PCB of a test has received.
type sink struct {
	got  [][]byte // IP packets
	from []netip.Addr
}

// listenRaw eats the packets of a protocol.
func (h *host) listenRaw(proto header.Protocol) *sink {
	k := &sink{}
	h.NewRaw(proto).SetRecv(func(_ any, _ *Raw, p *pbuf.Pbuf, from netip.Addr) bool {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		k.got, k.from = append(k.got, b), append(k.from, from)
		return true
	})
	return k
}

const testProto header.Protocol = 253 // RFC 3692: for experiments

// refill brings a changed IP header's checksum up to date.
func refill(b []byte) []byte {
	ip := (*header.IPv4)(b[header.EthernetLen:])
	n := min(max(ip.HdrLen(), header.IPv4Len), len(b)-header.EthernetLen)
	ip.FillChecksum(b[header.EthernetLen : header.EthernetLen+n])
	return b
}

func TestIP4_RFC791_3_1_Gate(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	good := ipv4{proto: testProto}.frame(bytes.Repeat([]byte{0x44}, 100))
	change := func(at int, v byte) []byte {
		b := append([]byte{}, good...)
		b[header.EthernetLen+at] = v
		return refill(b)
	}
	bad := [][]byte{
		good[:header.EthernetLen+19],     // short
		change(0, 0x65),                  // version 6
		change(0, 0x44),                  // header of 16 bytes
		change(0, 0x4f),                  // options of 40 bytes that are data: malformed
		change(3, 19),                    // total length below the header's
		change(2, 1),                     // total length beyond the frame
		good[:len(good)-1],               // the same, by one byte
		ether(header.EtherTypeIPv4, nil), // nothing at all
	}
	for i, b := range bad {
		h.in(b)
		require.Equal(t, uint64(i+1), h.stats.IP.InHdrErrors, "case %d", i)
	}
	h.dropped(DropIPMalformed, len(bad))
	h.in(good)
	require.Len(t, k.got, 1)
	require.Equal(t, uint64(len(bad)+1), h.stats.IP.InReceives)
	require.Equal(t, uint64(1), h.stats.IP.InDelivers)
	h.take() // the parameter problem
}

func TestIP4_RFC1122_3_2_1_2_ChecksumIsVerified(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	b := ipv4{proto: testProto}.frame(pattern(10))
	b[header.EthernetLen+8]-- // TTL
	h.in(b)
	h.dropped(DropIPChecksum, 1)
	require.Empty(t, k.got)
	h.none()
}

func TestIP4_RxChecksumFlags(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	good := ipv4{proto: testProto}.frame(pattern(10))
	bad := append([]byte{}, good...)
	bad[header.EthernetLen+8]--
	p := h.packet(bad)
	p.Flags |= pbuf.RxIPCsumGood // the NIC's word is taken
	h.inPackets(p)
	require.Len(t, k.got, 1)
	p = h.packet(good)
	p.Flags |= pbuf.RxIPCsumBad
	h.inPackets(p)
	require.Len(t, k.got, 1)
	h.dropped(DropIPChecksum, 1)
}

func TestIP4_RFC894_PaddingIsCutOff(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	h.in(append(ipv4{proto: testProto}.frame(pattern(3)), make([]byte, 23)...))
	require.Len(t, k.got[0], header.IPv4Len+3)
}

func TestIP4_PacketInChain(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	b := ipv4{proto: testProto}.frame(pattern(3000))
	h.inPackets(h.chain(b, 64), h.chain(append(b, 1, 2, 3), 1000), h.packet(b))
	require.Len(t, k.got, 3)
	for _, got := range k.got {
		require.Equal(t, b[header.EthernetLen:], got)
	}
	h.inPackets(h.chain(b[:len(b)-1], 1000))
	h.dropped(DropIPMalformed, 1)
}

func TestIP4_RFC1122_3_2_1_3_BadSources(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	bad := []string{"224.0.0.1", "255.255.255.255", "198.18.0.255", "127.0.0.1", "198.18.0.1", "0.0.0.0"}
	for _, a := range bad {
		h.in(ipv4{src: netip.MustParseAddr(a), proto: testProto}.frame(nil))
	}
	h.dropped(DropIPBadSource, len(bad))
	require.Empty(t, k.got)
	h.none()
	require.Equal(t, uint64(len(bad)), h.stats.IP.InAddrErrors)
}

func TestIP4_RFC1122_3_2_1_3_UnspecifiedSourceOfABroadcast(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	pk := ipv4{src: netip.IPv4Unspecified(), dst: netip.MustParseAddr("255.255.255.255"), proto: testProto}
	h.in(etherTo(header.Broadcast, header.EtherTypeIPv4, pk.packet(nil)))
	require.Len(t, k.got, 1, "a host that does not know its address yet")
}

func TestIP4_RFC1122_3_2_1_3_OtherDestinationsAreDiscardedSilently(t *testing.T) {
	h := newHost(t, hostConfig{})
	for _, a := range []string{"198.18.0.7", "203.0.113.1", "127.0.0.1", "224.0.0.1"} {
		h.in(ipv4{dst: netip.MustParseAddr(a), proto: header.ProtoUDP}.frame(nil))
	}
	h.dropped(DropIPNotForUs, 3)
	h.dropped(DropIPGroup, 1)
	h.none()
}

func TestIP4_RFC1122_3_3_4_2_AnyAddressOnAnyInterface(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	nif2, err := h.AddNetif(NetifConfig{Name: "two", MAC: header.MAC{2, 0, 0, 0, 1, 1}, Output: h.output})
	require.NoError(t, err)
	require.NoError(t, nif2.AddAddr(netip.MustParsePrefix("203.0.113.1/24")))
	h.take()
	h.in(ipv4{dst: netip.MustParseAddr("203.0.113.1"), proto: testProto}.frame(nil))
	require.Len(t, k.got, 1)
}

func TestIP4_RFC1122_3_3_6_Broadcasts(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	for i, a := range []string{"255.255.255.255", "198.18.0.255", "0.0.0.0"} {
		h.in(etherTo(header.Broadcast, header.EtherTypeIPv4, ipv4{dst: netip.MustParseAddr(a), proto: testProto}.packet(nil)))
		require.Len(t, k.got, i+1, a)
	}
	// A unicast packet in a broadcast frame was not meant for us.
	for _, mac := range []header.MAC{header.Broadcast, {1, 0, 0x5e, 0, 0, 1}} {
		h.in(etherTo(mac, header.EtherTypeIPv4, ipv4{proto: testProto}.packet(nil)))
	}
	h.dropped(DropIPLinkGroup, 2)
	require.Len(t, k.got, 3)
}

func TestIP4_RFC3021_NoBroadcastOn31(t *testing.T) {
	h := newHost(t, hostConfig{Prefix: netip.MustParsePrefix("198.18.0.2/31"), ARP: true})
	require.NoError(t, h.sendUDP(netip.MustParseAddr("198.18.0.3"), 1))
	require.NotNil(t, h.one().arp, "the other end is a host")
	h.dropped(DropUDPBadDest, 0)
}

func TestIP4_RFC1122_3_2_2_1_ProtocolUnreachable(t *testing.T) {
	h := newHost(t, hostConfig{})
	b := ipv4{proto: testProto, id: 7}.frame(pattern(100))
	h.in(b)
	f := h.one()
	require.Equal(t, header.ICMPv4DstUnreachable, f.icmp.Type())
	require.Equal(t, header.ICMPv4ProtoUnreachable, f.icmp.Code())
	require.Equal(t, b[header.EthernetLen:], f.body, "the packet is quoted as it came")
	require.Equal(t, hdr(userIP), f.ip.Src())
	require.Equal(t, hdr(peerIP), f.ip.Dst())
	h.dropped(DropIPUnknownProto, 1)
	require.Equal(t, uint64(1), h.stats.IP.InUnknownProtos)
}

func TestIP4_RFC1122_3_2_1_8_OptionsAreSkipped(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	for i, opts := range [][]byte{
		{1, 1, 1, 0},
		{94, 4, 0, 0}, // unknown
		{7, 7, 4, 0, 0, 0, 0, 0},
		{148, 4, 0, 0}, // router alert
	} {
		h.in(ipv4{proto: testProto, opts: opts}.frame(pattern(8)))
		require.Len(t, k.got, i+1)
		require.Equal(t, pattern(8), k.got[i][header.IPv4Len+len(opts):])
	}
}

func TestIP4_RFC1122_3_2_2_5_ParameterProblem(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.in(ipv4{proto: testProto, opts: []byte{1, 7, 9, 4}}.frame(nil))
	f := h.one()
	require.Equal(t, header.ICMPv4ParamProblem, f.icmp.Type())
	require.Equal(t, uint8(22), f.icmp.Pointer(), "the length of the second option")
	h.dropped(DropIPMalformed, 1)
}

func TestIP4_RFC7126_4_3_SourceRoutesAreRefused(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	h.in(ipv4{proto: testProto, opts: []byte{131, 7, 4, 198, 18, 0, 9, 0}}.frame(nil))
	h.in(ipv4{proto: testProto, opts: []byte{137, 7, 8, 198, 18, 0, 9, 0}}.frame(nil))
	h.dropped(DropIPSourceRoute, 2)
	require.Empty(t, k.got)
	h.none()
}

func TestIP4_RFC791_OutputHeader(t *testing.T) {
	h := newHost(t, hostConfig{})
	r := h.NewRaw(testProto)
	require.NoError(t, r.SendTo(h.data(33), peerIP))
	f := h.one()
	require.Equal(t, uint8(64), f.ip.TTL(), "RFC 1700")
	require.Zero(t, f.ip.TOS())
	require.Equal(t, testProto, f.ip.Protocol())
	require.Equal(t, hdr(userIP), f.ip.Src())
	require.Equal(t, hdr(peerIP), f.ip.Dst())
	require.Equal(t, uint16(53), f.ip.TotalLen())
	require.False(t, f.ip.DontFragment())
	require.Equal(t, scriptPeer, f.dst)
	require.Equal(t, pattern(33), f.body)
	r.SetTTL(3)
	r.SetTOS(0xb8)
	require.NoError(t, r.SendTo(h.data(1), peerIP))
	f = h.one()
	require.Equal(t, uint8(3), f.ip.TTL())
	require.Equal(t, uint8(0xb8), f.ip.TOS())
}

func TestIP4_RFC6864_4_IDs(t *testing.T) {
	h := newHost(t, hostConfig{})
	r := h.NewRaw(testProto)
	seen := map[uint16]bool{}
	for range 1000 {
		require.NoError(t, r.SendTo(h.data(1), peerIP))
		id := h.one().ip.ID()
		require.False(t, seen[id], "repeats too soon")
		seen[id] = true
	}
	require.NoError(t, h.ip4Output(h.data(20), header.Addr{}, hdr(peerIP), header.ProtoTCP, 0, 0))
	require.True(t, parseIPOnly(t, h.lastRaw()).DontFragment(), "TCP finds the path MTU (RFC 1191)")
}

// lastRaw makes the port keep a frame that is no valid segment, and returns it.
func (h *host) lastRaw() (b []byte) {
	h.wire = func(raw []byte) { b = raw }
	h.Flush(h.now)
	h.wire = nil
	return b
}

func parseIPOnly(t testing.TB, b []byte) *header.IPv4 {
	t.Helper()
	ip, _, _, fault := header.ParseIPv4(b[header.EthernetLen:])
	require.Zero(t, fault)
	return ip
}

func TestIP4_NoRoute(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.ErrorIs(t, h.NewRaw(testProto).SendTo(h.data(1), netip.MustParseAddr("203.0.113.1")), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
	require.Equal(t, uint64(1), h.stats.IP.OutNoRoutes)
	require.Equal(t, uint64(1), h.stats.IP.OutRequests)
}

func TestIP4_TooLong(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.ErrorIs(t, h.NewRaw(testProto).SendTo(h.data(65516), peerIP), ErrTooLong)
	h.dropped(DropIPTooLong, 1)
	require.NoError(t, h.NewRaw(testProto).SendTo(h.data(65515), peerIP))
	require.Len(t, h.take(), 45)
}

func TestIP4_RFC1122_3_2_1_7_TTLIsNeverZero(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{TTL: 5}})
	require.NoError(t, h.ip4Output(h.data(1), header.Addr{}, hdr(peerIP), testProto, 0, 0))
	require.Equal(t, uint8(5), h.one().ip.TTL())
}

func TestIP4_Loop(t *testing.T) {
	h := newHost(t, hostConfig{})
	k := h.listenRaw(testProto)
	p := h.data(5000) // longer than the MTU: it never leaves memory
	p.Ref()
	require.NoError(t, h.NewRaw(testProto).SendTo(p, userIP))
	require.Equal(t, h.now, h.NextTimeout())
	h.none()
	h.settle()
	require.Len(t, k.got, 1)
	require.Equal(t, pattern(5000), k.got[0][header.IPv4Len:])
	require.Equal(t, userIP, k.from[0])
	p.Free()
	// The address goes while the packet is under way.
	second := netip.MustParsePrefix("198.18.0.99/24")
	require.NoError(t, h.nif.AddAddr(second))
	h.take()
	require.NoError(t, h.NewRaw(testProto).SendTo(h.data(1), second.Addr()))
	require.NoError(t, h.nif.DelAddr(second))
	h.settle()
	h.dropped(DropIPNotForUs, 1)
}

// TestIP4_LoopDoesNotStarve: two PCBs that answer each other by the loop get one
// turn a Poll.
func TestIP4_LoopDoesNotStarve(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(netip.AddrPortFrom(userIP, 1)))
	turns := 0
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
		turns++
		require.NoError(t, u.SendTo(p, from))
	})
	require.NoError(t, u.SendTo(h.data(10), netip.AddrPortFrom(userIP, 1)))
	for i := range 10 {
		require.Equal(t, i, turns)
		h.Poll(h.now)
	}
	u.Close()
	h.settle()
	h.dropped(DropUDPNoPort, 1)
	h.dropped(DropICMPIgnored, 1)
}

func TestIP4_HookInput(t *testing.T) {
	eat := false
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{IP4Input: func(nif *Netif, p *pbuf.Pbuf) bool {
		require.Equal(t, byte(0x45), p.Payload()[0], "payload at the IP header")
		if eat {
			p.Free()
		}
		return eat
	}}}})
	k := h.listenRaw(testProto)
	h.in(ipv4{proto: testProto}.frame(nil))
	eat = true
	h.in(ipv4{proto: testProto}.frame(nil))
	require.Len(t, k.got, 1)
	h.dropped(DropHook, 1)
}

func TestIP4_LinkLayerDownDropsBothWays(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.nif.SetUp(false)
	h.in(ipv4{proto: testProto}.frame(nil))
	h.dropped(DropNetifDown, 1)
	require.ErrorIs(t, h.sendUDP(peerIP, 1), ErrRoute)
	h.dropped(DropIPNoRoute, 1)
	p := h.data(1)
	h.ethernetOutput(h.nif, p, scriptPeer, header.EtherTypeIPv4)
	h.dropped(DropNetifDown, 2)
}

func TestIP4_RFC9293_3_9_2_3_SegmentsToGroups(t *testing.T) {
	h := newHost(t, hostConfig{})
	syn := header.TCPFields{SrcPort: 1, DstPort: 80, Flags: header.TCPSyn}
	for _, dst := range []string{"198.18.0.255", "255.255.255.255"} {
		h.in(ipv4{dst: netip.MustParseAddr(dst)}.tcp(syn, nil, nil))
	}
	h.dropped(DropTCPBadDest, 2)
	h.none()
}
