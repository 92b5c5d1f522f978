//go:build dpdk

package dpdk_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/port/dpdk/dpdktest"
)

// What no virtual device can do is asked of a card that says it can: all of it, no
// more, and what is left out in the configuration is not asked for.
func TestOffloadsOfCardsAreNegotiated(t *testing.T) {
	noLeak(t)
	t.Cleanup(func() { dpdktest.Pretend(0) })
	const sums = dpdktest.TxIPCsum | dpdktest.TxTCPCsum | dpdktest.TxUDPCsum
	for _, c := range []struct {
		name    string
		card    dpdktest.Offload
		cfg     dpdk.Config
		asked   dpdktest.Offload
		has     offload.Caps
		without offload.Caps
	}{
		{"all", dpdktest.AllOffloads, dpdk.Config{}, dpdktest.AllOffloads &^ dpdktest.FastFree,
			offload.TxCsum | offload.RxCsum | offload.TSO4 | offload.TSO6 | offload.TSOECN | offload.USO | offload.LRO |
				offload.VLANInsert | offload.VLANStrip | offload.MultiSeg, offload.RxTime},
		{"fast free", dpdktest.AllOffloads, dpdk.Config{FastFree: true}, dpdktest.AllOffloads, offload.USO | offload.LRO, 0},
		{"without LRO and tags", dpdktest.AllOffloads, dpdk.Config{Without: offload.LRO | offload.VLANStrip},
			dpdktest.AllOffloads &^ (dpdktest.FastFree | dpdktest.LRO | dpdktest.VLANStrip), offload.USO, offload.LRO | offload.VLANStrip},
		{"none", dpdktest.AllOffloads, dpdk.Config{Without: offload.All}, dpdktest.MultiSeg, 0, offload.All},
		// A driver cuts only what it can sum.
		{"no sums", dpdktest.AllOffloads &^ sums, dpdk.Config{},
			dpdktest.AllOffloads &^ (dpdktest.FastFree | sums | dpdktest.TSO | dpdktest.USO), offload.RxCsum, offload.TxCsum | offload.TSO | offload.USO},
	} {
		dpdktest.Pretend(c.card)
		c.cfg.Device, c.cfg.Polled = unique("net_null"), true
		p := open(t, c.cfg)
		require.Equal(t, c.asked, dpdktest.Asked(), c.name)
		caps := p.Info().Caps
		require.True(t, caps.Has(c.has), "%s: %v", c.name, caps)
		require.Zero(t, caps&c.without, "%s: %v", c.name, caps)
		dpdktest.Pretend(0)
		require.NoError(t, p.Close())
	}
}

// tcpFrame is a TCP segment of IPv4 with 12 bytes of options and 40 of data.
func tcpFrame() []byte {
	b := make([]byte, tcpOffset+32+40)
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 0, 1}, header.MAC{2, 0, 0, 0, 0, 2}, header.EtherTypeIPv4)
	(*header.IPv4)(b[header.EthernetLen:]).Encode(&header.IPv4Fields{
		TotalLen: uint16(len(b) - header.EthernetLen), TTL: 64, Protocol: header.ProtoTCP,
		Src: header.AddrFrom4Uint(0xc6120001), Dst: header.AddrFrom4Uint(0xc6120002),
	})
	(*header.TCP)(b[tcpOffset:]).Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, Flags: header.TCPAck, HdrLen: 32})
	return b
}

// What a card says of a packet reaches the stack in the words of package pbuf.
func TestReceivedFlags(t *testing.T) {
	noLeak(t)
	p, pools := opened(t, dpdk.Config{Device: unique("net_null"), Polled: true}, pbuf.Config{Small: 64, Buffers: 64})
	d := named(t, p)
	bytes := tcpFrame()
	joined := pbuf.Meta{Flags: pbuf.RxLRO, SegSize: 1448, L2Len: 14, L3Len: 20, L4Len: 32}
	for _, c := range []struct {
		name string
		card dpdktest.Received
		want pbuf.Meta
	}{
		{"nothing", dpdktest.Received{Hash: 5, VLAN: 6, SegmentSize: 7, Type: dpdktest.L4TCP}, pbuf.Meta{}},
		{"good", dpdktest.Received{IP: dpdktest.SumGood, Data: dpdktest.SumGood}, pbuf.Meta{Flags: pbuf.RxIPCsumGood | pbuf.RxL4CsumGood}},
		{"bad", dpdktest.Received{IP: dpdktest.SumBad, Data: dpdktest.SumBad}, pbuf.Meta{Flags: pbuf.RxIPCsumBad | pbuf.RxL4CsumBad}},
		{"not made", dpdktest.Received{IP: dpdktest.SumNone, Data: dpdktest.SumNone},
			pbuf.Meta{Flags: pbuf.RxIPCsumGood | pbuf.RxL4CsumGood | pbuf.RxL4Partial}},
		{"hash", dpdktest.Received{Hashed: true, Hash: 0x12345678, Type: dpdktest.L4TCP}, pbuf.Meta{Flags: pbuf.RxHash, Hash: 0x12345678}},
		{"hash of UDP", dpdktest.Received{Hashed: true, Hash: 9, Type: dpdktest.L4UDP}, pbuf.Meta{Flags: pbuf.RxHash, Hash: 9}},
		{"hash of what it can't name", dpdktest.Received{Hashed: true, Hash: 9}, pbuf.Meta{Flags: pbuf.RxHash, Hash: 9}},
		{"hash without ports", dpdktest.Received{Hashed: true, Hash: 9, Type: dpdktest.L4Frag}, pbuf.Meta{}},
		{"hash of ICMP", dpdktest.Received{Hashed: true, Hash: 9, Type: dpdktest.L4ICMP}, pbuf.Meta{}},
		{"tag", dpdktest.Received{Stripped: true, VLAN: 0x6123}, pbuf.Meta{Flags: pbuf.RxVLAN, VLAN: 0x6123}},
		{"LRO", dpdktest.Received{LRO: true, SegmentSize: 1448}, joined},
	} {
		c.card.Bytes = bytes
		require.NoError(t, d.Dress(c.card))
		dst := make([]*pbuf.Pbuf, 2)
		require.Equal(t, 2, p.RxBurst(0, 0, dst))
		for _, got := range dst {
			if got.Flags&pbuf.RxHash == 0 {
				got.Hash = 0 // nobody looks at it
			}
			require.Equal(t, c.want, got.Meta, c.name)
			require.Equal(t, bytes, bytesOf(got), c.name)
			got.Free()
		}
	}
	require.True(t, pools[0].Full())
}

// A rule reaches the device with the items, masks and queue that it stands for, and
// is taken back.
func TestRulesReachTheDevice(t *testing.T) {
	p, _, _, _ := newPair(t, dpdk.PairConfig{Queues: 2})
	dpdktest.TakeRules(true)
	t.Cleanup(func() { dpdktest.TakeRules(false) })
	addr := netip.MustParseAddr
	none4, none6 := addr("0.0.0.0"), addr("::")
	all4, all6 := addr("255.255.255.255"), addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	for _, c := range []struct {
		rule dpdk.Rule
		want dpdktest.Rule
	}{
		{dpdk.Rule{EtherType: header.EtherTypeARP, Queue: 1}, dpdktest.Rule{
			EtherType: 0x0806, EtherTypeMask: 0xffff, Src: none6, SrcMask: none6, Dst: none6, DstMask: none6,
		}},
		{dpdk.Rule{Src: netip.MustParsePrefix("198.18.0.0/20"), Queue: 1}, dpdktest.Rule{
			IP4: 1, Src: addr("198.18.0.0"), SrcMask: addr("255.255.240.0"), Dst: none4, DstMask: none4,
		}},
		{dpdk.Rule{
			Src: netip.MustParsePrefix("198.18.0.1/32"), Dst: netip.MustParsePrefix("198.18.0.2/32"), Proto: header.ProtoTCP, SrcPort: 80, DstPort: 5001, Queue: 1,
		}, dpdktest.Rule{
			IP4: 1, TCP: 1, Src: addr("198.18.0.1"), SrcMask: all4, Dst: addr("198.18.0.2"), DstMask: all4,
			Proto: 6, ProtoMask: 0xff, SrcPort: 80, SrcPortMask: 0xffff, DstPort: 5001, DstPortMask: 0xffff,
		}},
		{dpdk.Rule{Dst: netip.MustParsePrefix("2001:db8::1/128"), Proto: header.ProtoUDP, DstPort: 53, Queue: 1}, dpdktest.Rule{
			IP6: 1, UDP: 1, Src: none6, SrcMask: none6, Dst: addr("2001:db8::1"), DstMask: all6,
			Proto: 17, ProtoMask: 0xff, DstPort: 53, DstPortMask: 0xffff,
		}},
	} {
		f, err := p.AddFlow(c.rule)
		require.NoError(t, err, "%+v", c.rule)
		c.want.Ingress, c.want.Queue, c.want.Ether = true, 1, 1
		got, n := dpdktest.LastRule()
		require.Equal(t, c.want, got, "%+v", c.rule)
		require.Equal(t, 1, n)
		require.NoError(t, f.Remove())
		_, n = dpdktest.LastRule()
		require.Zero(t, n)
	}
}

// Addresses of emulated hosts come and go, and groups replace those before.
func TestAddressesReachTheDevice(t *testing.T) {
	p, _, _, _ := newPair(t, dpdk.PairConfig{})
	dpdktest.TakeAddresses(true)
	t.Cleanup(func() { dpdktest.TakeAddresses(false) })
	host := func(i byte) header.MAC { return header.MAC{2, 0, 0, 0, 1, i} }
	for i := range byte(3) {
		require.NoError(t, p.AddMAC(host(i)))
	}
	require.NoError(t, p.RemoveMAC(host(1)))
	hosts, groups := dpdktest.Addresses()
	require.Equal(t, [][6]byte{host(0), host(2)}, hosts)
	require.Empty(t, groups)
	a, b := header.MAC{1, 0, 0x5e, 0, 0, 1}, header.MAC{0x33, 0x33, 0, 0, 0, 1}
	for _, list := range [][]header.MAC{{a, b}, {b}, nil} {
		require.NoError(t, p.SetGroups(list))
		_, groups = dpdktest.Addresses()
		require.Len(t, groups, len(list))
		for i := range list {
			require.Equal(t, [6]byte(list[i]), groups[i])
		}
	}
	for range 70 {
		if err := p.AddMAC(host(9)); err != nil {
			require.ErrorContains(t, err, "no space", "what the device has no room for")
			return
		}
	}
	t.Fatal("the device had no end of room")
}

// A shard that has nothing to do sleeps until a frame comes.
func TestInterrupts(t *testing.T) {
	driver, device, pd, pv := vhostPair(t, 1)
	for _, way := range []struct {
		from, to *dpdk.Port
		pool     *pbuf.Pool
	}{{driver, device, pd[0]}, {device, driver, pv[0]}} {
		w := way.to.Waiter(0)
		require.NotNil(t, w, way.to.Driver())
		wakes := func(patience time.Duration) bool {
			fds := []unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}
			n, err := unix.Poll(fds, int(patience.Milliseconds()))
			require.NoError(t, err)
			return n != 0
		}
		require.True(t, w.Arm(), "no frames yet")
		for wakes(5 * time.Millisecond) { // for what the device told when it was set up
			require.Zero(t, way.to.RxBurst(0, 0, make([]*pbuf.Pbuf, 1)))
			require.True(t, w.Arm())
		}
		for range 20 {
			require.True(t, w.Arm())
			require.False(t, wakes(2*time.Millisecond), "it does not wake for nothing")
			require.Equal(t, 1, way.from.TxBurst(0, 0, []*pbuf.Pbuf{segment(t, way.pool, 100)}))
			require.True(t, wakes(10*time.Second), "it wakes up")
			receive(t, way.to, 0, 1)[0].Free()
			way.from.RxBurst(0, 1e12, nil)
		}
	}
}
