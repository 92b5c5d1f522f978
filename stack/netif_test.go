package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

func TestNetifConfig_Validate(t *testing.T) {
	out := func([]*pbuf.Pbuf) int { return 0 }
	good := NetifConfig{Output: out}
	require.NoError(t, good.Validate())
	for _, bad := range []NetifConfig{
		{}, {Output: out, MTU: 575}, {Output: out, MTU: 65536}, {Output: out, VLAN: 4095}, {Output: out, TxQueue: -1},
	} {
		require.ErrorIs(t, bad.Validate(), ErrVal)
	}
	h := newHost(t, hostConfig{})
	_, err := h.AddNetif(NetifConfig{})
	require.ErrorIs(t, err, ErrVal)
}

func TestNetif_Defaults(t *testing.T) {
	h := newHost(t, hostConfig{Netif: NetifConfig{Caps: offload.RxCsum}})
	require.Equal(t, "if", h.nif.Name())
	require.Equal(t, 1500, h.nif.MTU())
	require.Equal(t, uint8(1), h.nif.Index())
	require.Equal(t, scriptMAC, h.nif.MAC())
	require.Equal(t, offload.RxCsum, h.nif.Caps())
	require.True(t, h.nif.Up())
	require.Equal(t, []*Netif{h.nif}, h.Netifs())
}

func TestNetif_IndexIsAByte(t *testing.T) {
	h := newHost(t, hostConfig{})
	for i := 2; i <= 255; i++ {
		nif, err := h.AddNetif(NetifConfig{TxQueue: 1, Output: h.output})
		require.NoError(t, err)
		require.Equal(t, uint8(i), nif.Index())
	}
	_, err := h.AddNetif(NetifConfig{Output: h.output})
	require.ErrorIs(t, err, ErrMem)
}

func TestNetif_Addresses(t *testing.T) {
	h := newHost(t, hostConfig{})
	second := netip.MustParsePrefix("198.18.0.50/25")
	gen := h.pathGen
	require.NoError(t, h.nif.AddAddr(second))
	require.NotEqual(t, gen, h.pathGen)
	h.take()
	require.Equal(t, []netip.Prefix{h.prefix, second}, h.nif.Addrs())
	require.ErrorIs(t, h.nif.AddAddr(second), ErrUse)
	require.ErrorIs(t, h.nif.AddAddr(netip.MustParsePrefix("198.18.0.50/24")), ErrUse)
	for _, bad := range []string{"0.0.0.0/0", "224.0.0.1/4", "::/0", "ff02::1/64", "::1/128", "fe80:1::1/64"} {
		require.ErrorIs(t, h.nif.AddAddr(netip.MustParsePrefix(bad)), ErrVal, bad)
	}
	require.ErrorIs(t, h.nif.AddAddr(netip.Prefix{}), ErrVal)
	require.True(t, h.nif.isBroadcast(mustAddr("198.18.0.127")))
	require.True(t, h.nif.isBroadcast(mustAddr("198.18.0.255")))
	require.False(t, h.nif.isBroadcast(mustAddr("198.18.0.126")))
	require.False(t, h.nif.isBroadcast(mustAddr("2001:db8::ffff")))
	require.ErrorIs(t, h.nif.DelAddr(netip.MustParsePrefix("198.18.0.50/24")), ErrVal)
	require.NoError(t, h.nif.DelAddr(second))
	require.Equal(t, []netip.Prefix{h.prefix}, h.nif.Addrs())
	require.False(t, h.nif.isBroadcast(mustAddr("198.18.0.127")))
	require.False(t, h.isLocal(mustAddr("198.18.0.50")))
	require.True(t, h.isLocal(mustAddr("198.18.0.1")))
}

func TestNetif_ThousandsOfAddresses(t *testing.T) {
	h := newHost(t, hostConfig{Prefix: netip.MustParsePrefix("10.0.0.1/8"), ARP: true})
	for i := range 3000 {
		require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 8)))
		h.take()
	}
	k := h.listenRaw(testProto)
	src := netip.MustParseAddr("10.0.0.2")
	for i := 0; i < 3000; i += 7 {
		h.in(ipv4{src: src, dst: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), proto: testProto}.frame(nil))
	}
	require.Len(t, k.got, 429)
	for i := 0; i < 3000; i += 2 {
		require.NoError(t, h.nif.DelAddr(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 8)))
	}
	for i := range 3000 {
		a := header.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		require.Equal(t, i%2 == 1, h.isLocal(a))
	}
}

func TestNetif_OutputTakesAPart(t *testing.T) {
	take := 0
	var got []*pbuf.Pbuf
	h := newHost(t, hostConfig{ARP: true})
	h.nif.output = func(ps []*pbuf.Pbuf) int {
		n := min(take, len(ps))
		got = append(got, ps[:n]...)
		take -= n
		return n
	}
	for i := range 10 {
		h.ethernetOutput(h.nif, h.data(i+1), scriptPeer, 0x1234)
	}
	for _, want := range []int{0, 3, 3, 3, 1, 0} {
		take = want
		h.Flush(h.now)
		require.Zero(t, take)
	}
	require.Len(t, got, 10)
	for i, p := range got {
		require.Equal(t, header.EthernetLen+i+1, p.TotLen(), "in order")
		p.Free()
	}
}

func TestNetif_QueueIsBounded(t *testing.T) {
	h := newHost(t, hostConfig{Netif: NetifConfig{TxQueue: 100}})
	h.stall = true
	for range 150 {
		h.ethernetOutput(h.nif, h.data(1), scriptPeer, 0x1234)
	}
	h.dropped(DropTxQueueFull, 50)
	require.Len(t, h.nif.txq, 100)
	h.stall = false
	require.Len(t, h.take(), 100)
	h.stall = true
	h.ethernetOutput(h.nif, h.data(1), scriptPeer, 0x1234)
	h.nif.SetUp(false)
	h.dropped(DropTxQueueFull, 51)
	h.nif.SetUp(true)
	h.stall = false
	require.NotNil(t, h.one().arp)
}

func TestNetif_BurstsGoOutAtOnce(t *testing.T) {
	var bursts []int
	h := newHost(t, hostConfig{})
	h.nif.output = func(ps []*pbuf.Pbuf) int {
		bursts = append(bursts, len(ps))
		return h.output(ps)
	}
	for range 2*txBurst + 5 {
		h.ethernetOutput(h.nif, h.data(1), scriptPeer, 0x1234)
	}
	h.Flush(h.now)
	h.Flush(h.now)
	require.Equal(t, []int{txBurst, txBurst, 5}, bursts)
}

func TestNetif_RFC2863_Counters(t *testing.T) {
	h := newHost(t, hostConfig{})
	before := h.nif.Stats()
	h.in(ipv4{}.icmp(header.ICMPv4Echo, 0, 0, pattern(100)))
	n := uint64(header.EthernetLen + header.IPv4Len + header.ICMPv4Len + 100)
	st := h.nif.Stats()
	require.Equal(t, LinkStats{1, n, 1, n}, h.stats.Link)
	require.Equal(t, uint64(1), st.InFrames-before.InFrames)
	require.Equal(t, n, st.OutOctets-before.OutOctets)
}

func TestNetif_ChecksumsByCaps(t *testing.T) {
	for _, caps := range []offload.Caps{0, offload.TxUDPCsum} {
		h := newHost(t, hostConfig{Netif: NetifConfig{Caps: caps}})
		var flags []pbuf.Flags
		h.nif.output = func(ps []*pbuf.Pbuf) int {
			for _, p := range ps {
				flags = append(flags, p.Flags)
				require.Equal(t, [3]uint8{14, 20, 8}, [3]uint8{p.L2Len, p.L3Len, p.L4Len})
				offload.FinishTx(p, 0)
			}
			return h.output(ps)
		}
		require.NoError(t, h.sendUDP(peerIP, 101))
		h.one()
		require.Equal(t, caps != 0, flags[0]&pbuf.TxUDPCsum != 0)
	}
}

func TestLocalTable_Grows(t *testing.T) {
	var tab localTable
	tab.slots = make([]localEntry, 16)
	for i := range uint32(1000) {
		tab.add(header.AddrFrom4Uint(i << 8)).broadcast = i%2 == 0
		require.LessOrEqual(t, 2*tab.n, len(tab.slots))
	}
	require.Equal(t, 1000, tab.n)
	for i := range uint32(1000) {
		require.Equal(t, i%2 == 0, tab.find(header.AddrFrom4Uint(i<<8)).broadcast)
		require.Nil(t, tab.find(header.AddrFrom4Uint(i<<8|1)))
	}
	require.Same(t, tab.add(header.AddrFrom4Uint(0)), tab.add(header.AddrFrom4Uint(0)))
	require.Equal(t, 1000, tab.n)
}

// TestLocal_BroadcastOfAnotherInterface: 198.18.0.255 is a broadcast on the
// interface of that network only.
func TestLocal_BroadcastOfAnotherInterface(t *testing.T) {
	h, two := twoNets(t, Hooks{})
	k := h.listenRaw(testProto)
	b := ipv4{src: farIP, dst: netip.MustParseAddr("198.18.0.255"), proto: testProto}.frame(nil)
	(*header.Ethernet)(b).SetDst(two.mac)
	h.Input(two, h.now, []*pbuf.Pbuf{h.packet(b)})
	require.Empty(t, k.got)
	h.dropped(DropIPNotForUs, 1)
}

func TestNetif_NothingIsQueuedAfterClose(t *testing.T) {
	h := newHost(t, hostConfig{})
	h.Close()
	require.False(t, h.nif.Up())
	h.ethernetOutput(h.nif, h.data(1), scriptPeer, header.EtherTypeIPv4)
	h.dropped(DropNetifDown, 1)
	require.True(t, h.pool.Full())
}
