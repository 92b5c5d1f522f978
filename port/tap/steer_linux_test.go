package tap_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// steerTap makes a device that must be steered by eBPF.
func steerTap(t testing.TB, cfg tap.Config) *tap.Port {
	t.Helper()
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	cfg.Steering = tap.SteerEBPF
	cfg.Netns = testenv.Netns(t)
	p, err := tap.New(cfg)
	require.NoError(t, err)
	return p
}

// frames are frames of all sorts, made by another hand than ours.
func frames(t testing.TB, rng *rand.Rand) (list [][]byte) {
	t.Helper()
	addr := func(n int) net.IP {
		b := make(net.IP, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(rng.Uint32()), DstPort: layers.TCPPort(rng.Uint32()), Window: 9}
	udp := &layers.UDP{SrcPort: layers.UDPPort(rng.Uint32()), DstPort: layers.UDPPort(rng.Uint32())}
	data := gopacket.Payload("some data behind the headers, so that frames are long enough")
	build := func(ls ...gopacket.SerializableLayer) {
		b := gopacket.NewSerializeBuffer()
		require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, ls...))
		list = append(list, append([]byte(nil), b.Bytes()...))
	}
	ip4 := func(p layers.IPProtocol, frag uint16, more bool, options int) *layers.IPv4 {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: p, SrcIP: addr(4), DstIP: addr(4), FragOffset: frag}
		if more {
			ip.Flags = layers.IPv4MoreFragments
		}
		for range options {
			ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1})
		}
		return ip
	}
	ip6 := func(p layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: addr(16), DstIP: addr(16)}
	}
	e4, e6 := *eth, *eth
	e4.EthernetType, e6.EthernetType = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	build(&e4, ip4(layers.IPProtocolTCP, 0, false, 0), tcp, data)
	build(&e4, ip4(layers.IPProtocolUDP, 0, false, 0), udp, data)
	build(&e4, ip4(layers.IPProtocolTCP, 0, false, 8), tcp, data)
	build(&e4, ip4(layers.IPProtocolUDP, 0, true, 0), udp, data)
	build(&e4, ip4(layers.IPProtocolUDP, 4, false, 0), data)
	build(&e4, ip4(layers.IPProtocolOSPF, 0, false, 0), data)
	build(&e6, ip6(layers.IPProtocolTCP), tcp, data)
	build(&e6, ip6(layers.IPProtocolUDP), udp, data)
	build(&e6, ip6(layers.IPProtocolOSPF), data)
	for _, inner := range []struct {
		typ layers.EthernetType
		ls  []gopacket.SerializableLayer
	}{
		{layers.EthernetTypeIPv4, []gopacket.SerializableLayer{ip4(layers.IPProtocolTCP, 0, false, 0), tcp, data}},
		{layers.EthernetTypeIPv6, []gopacket.SerializableLayer{ip6(layers.IPProtocolUDP), udp, data}},
	} {
		et := *eth
		et.EthernetType = layers.EthernetTypeDot1Q
		build(append([]gopacket.SerializableLayer{&et, &layers.Dot1Q{VLANIdentifier: 7, Type: inner.typ}}, inner.ls...)...)
		et.EthernetType = layers.EthernetTypeQinQ
		build(append([]gopacket.SerializableLayer{&et, &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 8, Type: inner.typ}}, inner.ls...)...)
	}
	// IPv6 with extension headers: each next header, then its length in units of 8.
	hop := append([]byte{byte(layers.IPProtocolTCP), 0, 1, 4, 0, 0, 0, 0}, list[6][54:]...)
	chain := append([]byte{60, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, hop...)
	frag := append([]byte{byte(layers.IPProtocolUDP), 0, 0, 1, 0, 0, 0, 9}, list[7][54:]...)
	for next, payload := range map[layers.IPProtocol][]byte{0: chain, 60: hop, layers.IPProtocolIPv6Fragment: frag} {
		build(&e6, ip6(next), gopacket.Payload(payload))
	}
	arp := *eth
	arp.EthernetType = layers.EthernetTypeARP
	build(&arp, data)
	return list
}

// TestKernelHashesAsWeDo asks the kernel's program for the queue of frames of all
// sorts, under several keys and tables.
func TestKernelHashesAsWeDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, key := range []rss.Key{{}, rss.SymmetricKey} {
		p := steerTap(t, tap.Config{Queues: 4, RSSKey: key})
		info := p.Info()
		require.True(t, info.RSS.Enabled())
		require.NoError(t, p.SteeringError())
		h := rss.NewHasher(info.RSS.Key)
		seen := map[int]int{}
		for round := range 40 {
			if round%10 == 9 { // another table
				entries := info.RSS.RETA.Entries()
				for i := range entries {
					entries[i] = uint16(rng.IntN(4))
				}
				table, err := rss.FromEntries(entries)
				require.NoError(t, err)
				require.NoError(t, p.SetRETA(table))
				info = p.Info()
				require.Equal(t, table, info.RSS.RETA)
			}
			for i, f := range frames(t, rng) {
				want, kind := h.HashFrame(f)
				hash, queue, err := p.ProbeHash(f)
				require.NoError(t, err)
				require.Equal(t, want, hash)
				require.EqualValues(t, info.RSS.RETA.Queue(want), queue, "frame %d, %v: % x", i, kind, f[:60])
				seen[queue]++
			}
		}
		require.Len(t, seen, 4)
		short, err := rss.NewRETA(64, 4)
		require.NoError(t, err)
		wide, err := rss.NewRETA(128, 5)
		require.NoError(t, err)
		require.ErrorIs(t, p.SetRETA(short), port.ErrConfig)
		require.ErrorIs(t, p.SetRETA(wide), port.ErrConfig)
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.SetRETA(info.RSS.RETA), port.ErrClosed)
		_, _, err = p.ProbeHash(make([]byte, 60))
		require.ErrorIs(t, err, port.ErrNotSupported)
	}
}

// A device that is not steered says so, and why.
func TestKernelSteersInItsOwnWay(t *testing.T) {
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	for _, cfg := range []tap.Config{{Queues: 2, Steering: tap.SteerKernel}, {Queues: 1}} {
		cfg.Netns = testenv.Netns(t)
		p, err := tap.New(cfg)
		require.NoError(t, err)
		require.Zero(t, p.Info().RSS)
		require.NoError(t, p.SteeringError())
		reta, err := rss.NewRETA(128, 1)
		require.NoError(t, err)
		require.ErrorIs(t, p.SetRETA(reta), port.ErrNotSupported)
		require.NoError(t, p.Close())
	}
	require.ErrorIs(t, tap.Config{Steering: tap.SteerKernel, RSSKey: rss.DefaultKey}.Validate(), port.ErrConfig)
	require.ErrorIs(t, tap.Config{Steering: 9}.Validate(), port.ErrConfig)
}

// echoConn sends back what a connection brings.
func echoConn(_ *shard.Shard, pcb *stack.TCP) error {
	pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			return pcb.Close()
		}
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		pcb.Recved(len(b))
		if err := pcb.Write(b, 0); err != nil {
			return err
		}
		return pcb.Output()
	})
	return nil
}

// dialAll opens n connections of the kernel's.
func dialAll(t testing.TB, ns, to string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	within(t, ns, func() (err error) {
		for i := range conns {
			if conns[i], err = net.Dial("tcp4", to); err != nil {
				return err
			}
		}
		return nil
	})
	return conns
}

// connectAll opens n connections of the group's to the kernel, spread over its
// shards, and waits until they stand.
func connectAll(t testing.TB, g *shard.Group, ns string, n int) {
	t.Helper()
	var l net.Listener
	within(t, ns, func() (err error) {
		l, err = net.Listen("tcp4", kernelNet.Addr().String()+":8")
		return err
	})
	defer l.Close()
	up := make(chan struct{}, n)
	to := netip.AddrPortFrom(kernelNet.Addr(), 8)
	require.NoError(t, g.Do(func(s *shard.Shard) error {
		for range n / len(g.Shards()) {
			err := s.Stack().NewTCP().Connect(to, func(_ any, pcb *stack.TCP, _ error) error {
				up <- struct{}{}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	for range n {
		c, err := l.Accept()
		require.NoError(t, err)
		defer c.Close()
		<-up
	}
}

// TestKernelsConnectionsLandAtHome: the kernel has 200 connections with a group of
// four shards, and the group connects 100 times to it. With eBPF no packet is
// handed over; without, all works as well.
func TestKernelsConnectionsLandAtHome(t *testing.T) {
	for _, steering := range []tap.Steering{tap.SteerEBPF, tap.SteerKernel} {
		t.Run(fmt.Sprint(steering), func(t *testing.T) {
			testenv.Root(t)
			testenv.Device(t, "/dev/net/tun")
			ns, server := testenv.Netns(t), netip.AddrPortFrom(ourAddr.Netip(), 7)
			// What the kernel asks of IPv6 routers would be handed over: it is shard 0's.
			out, err := exec.Command("ip", "netns", "exec", ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6").CombinedOutput()
			require.NoError(t, err, string(out))
			p, err := tap.New(tap.Config{Netns: ns, Queues: 4, Steering: steering, Up: true, Addrs: []netip.Prefix{kernelNet}})
			require.NoError(t, err)
			g, err := shard.NewGroup(shard.Config{NoPin: true, Shards: 4, Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{netip.PrefixFrom(ourAddr.Netip(), 24)}}},
				Pool: pbuf.Config{HugePages: pbuf.HugeNever}})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, g.Stop()) })
			require.NoError(t, g.Start())
			for _, w := range g.Warnings() {
				require.NotEqual(t, shard.WarnHash, w.Kind, w.Text)
			}
			_, err = g.ListenTCP(server, 300, echoConn)
			require.NoError(t, err)
			before := g.Stats().Total.Loop
			for _, c := range dialAll(t, ns, server.String(), 200) {
				echo(t, c, []byte("from the kernel"))
				require.NoError(t, c.Close())
			}
			connectAll(t, g, ns, 100)
			st := g.Stats()
			for _, s := range st.Shards {
				require.Positive(t, s.Stack.TCP.PassiveOpens, "shard %d", s.Shard)
			}
			handed := st.Total.Loop.HandedOut - before.HandedOut
			if steering == tap.SteerEBPF {
				require.Zero(t, handed, "%v", g.Handovers())
			} else {
				require.Positive(t, handed)
			}
			require.Zero(t, st.Total.Stack.TCP.OutRsts)
		})
	}
}
