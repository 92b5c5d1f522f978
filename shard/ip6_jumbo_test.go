package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/stack"
)

// jumboBed is a host, a router and another host, joined by two in-memory wires that
// take packets whole, those of BIG TCP among them.
type jumboBed struct {
	groups []*Group // client, router, server
	now    int64
}

var (
	jumboServer = netip.MustParseAddrPort("[2001:db8:2::1]:9")
	jumboCaps   = offload.TxCsum | offload.RxCsum | offload.TSO | offload.LRO | offload.BigTCP
)

func newJumboBed(t *testing.T) *jumboBed {
	t.Helper()
	bd := &jumboBed{now: 1e9}
	end := mem.EndConfig{Caps: jumboCaps, QueueLen: 1024}
	one := mem.Config{A: end, B: end, Pause: true}
	one.A.MAC, one.B.MAC = header.MAC{2, 0, 0, 0, 1, 1}, header.MAC{2, 0, 0, 0, 1, 2}
	two := one
	two.A.MAC, two.B.MAC = header.MAC{2, 0, 0, 0, 2, 2}, header.MAC{2, 0, 0, 0, 2, 1}
	a, r1, err := mem.New(one)
	require.NoError(t, err)
	r2, b, err := mem.New(two)
	require.NoError(t, err)
	at := func(p port.Port, addr, to, via string) PortConfig {
		cfg := PortConfig{Port: p, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
		if to != "" {
			cfg.Routes = []RouteConfig{{Prefix: netip.MustParsePrefix(to), Gateway: netip.MustParseAddr(via)}}
		}
		return cfg
	}
	for _, ports := range [][]PortConfig{
		{at(a, "2001:db8:1::1/64", "2001:db8:2::/64", "2001:db8:1::2")},
		{at(r1, "2001:db8:1::2/64", "", ""), at(r2, "2001:db8:2::2/64", "", "")},
		{at(b, "2001:db8:2::1/64", "2001:db8:1::/64", "2001:db8:2::2")},
	} {
		cfg := manual(1, ports...)
		cfg.Pool = pbuf.Config{Buffers: 16384, Jumbo: 128}
		cfg.Stack.IPv6.DADTransmits = -1
		cfg.Stack.Forward = len(ports) == 2
		tcp := &cfg.Stack.TCP
		tcp.GSOMax, tcp.SendBuf, tcp.RecvBuf = offload.MaxBig, 4<<20, 4<<20
		bd.groups = append(bd.groups, newGroup(t, cfg))
	}
	return bd
}

// step runs rounds until done says so.
func (bd *jumboBed) step(t *testing.T, what string, done func() bool) {
	t.Helper()
	for i := 0; !done(); i++ {
		require.Less(t, i, 200_000, what)
		for _, g := range bd.groups {
			_, err := g.Step(bd.now)
			require.NoError(t, err)
		}
		bd.now += 10_000
	}
}

func (bd *jumboBed) stack(i int) *stack.Stack { return bd.groups[i].Shards()[0].Stack() }

// TestBigTCPForward_RFC2675_2: jumbograms of TCP cross a router whole, their headers
// right at the other end, and all bytes arrive.
func TestBigTCPForward_RFC2675_2(t *testing.T) {
	bd := newJumboBed(t)
	const n = 8 << 20
	data := make([]byte, n)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	bd.step(t, "start", func() bool { return bd.now > 2e9 })
	hash, got, longest := sha256.New(), 0, 0
	l := bd.stack(2).NewTCP()
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			longest = max(longest, p.TotLen())
			for q := p; q != nil; q = q.Next() {
				hash.Write(q.Payload())
			}
			got += p.TotLen()
			pcb.Recved(p.TotLen())
			p.Free()
			return nil
		})
		return nil
	})
	require.NoError(t, l.Bind(jumboServer))
	require.NoError(t, l.Listen(4))
	c := bd.stack(0).NewTCP()
	require.NoError(t, c.Connect(jumboServer, nil))
	sent := 0
	bd.step(t, "the transfer", func() bool {
		for c.State() == stack.StateEstablished && sent < n {
			k := min(n-sent, c.SndBuf(), 400_000)
			if k == 0 || c.Write(data[sent:sent+k], 0) != nil {
				break
			}
			sent += k
			require.NoError(t, c.Output())
		}
		return got == n
	})
	want := sha256.Sum256(data)
	require.Equal(t, want[:], hash.Sum(nil))
	require.Greater(t, longest, 3*offload.MaxTSO, "segments came whole, as jumbograms")
	router := bd.stack(1).Stats()
	require.Less(t, router.IP6.ForwDatagrams, uint64(n/offload.MaxTSO+1000), "few packets for so much data")
	require.Zero(t, router.Drops[stack.DropIPMalformed]+router.Drops[stack.DropIPNeedsFrag]+router.Drops[stack.DropIPExtension])
	require.Zero(t, bd.stack(0).Stats().TCP.RetransSegs)
	require.NoError(t, c.Close())
	bd.step(t, "the end", func() bool { return bd.stack(0).Stats().TCP.CurrEstab == 0 })
}

// TestJumboForward_RFC2675_3_Errors: a router drops what is no jumbogram but has the
// option, counts it, and tells the sender.
func TestJumboForward_RFC2675_3_Errors(t *testing.T) {
	bd := newJumboBed(t)
	bd.step(t, "start", func() bool { return bd.now > 2e9 })
	router := bd.stack(1)
	for i, c := range []struct {
		length  uint32 // of the option
		payload uint16 // length field of the IPv6 header
		fault   bool
	}{
		{70000, 108, true},  // both lengths
		{0xffff, 0, true},   // less than 64 KiB
		{1 << 20, 0, false}, // more than there is: nobody to blame, but dropped
	} {
		b := make([]byte, header.EthernetLen+header.IPv6Len+header.IPv6JumboLen+100)
		(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 1, 2}, header.MAC{2, 0, 0, 0, 1, 1}, header.EtherTypeIPv6)
		src, dst := netip.MustParseAddr("2001:db8:1::1"), jumboServer.Addr()
		(*header.IPv6)(b[header.EthernetLen:]).Encode(&header.IPv6Fields{
			HopLimit: 9, NextHeader: header.ProtoHopByHop, PayloadLen: c.payload, Src: header.FromNetip(src), Dst: header.FromNetip(dst),
		})
		(*header.IPv6Jumbo)(b[header.EthernetLen+header.IPv6Len:]).Encode(header.ProtoTCP, c.length)
		was := *router.Stats()
		p := bd.groups[1].Shards()[0].Pool().Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
		require.NoError(t, p.Take(b))
		router.Input(router.Netifs()[0], bd.now, []*pbuf.Pbuf{p})
		now := router.Stats()
		require.Equal(t, was.Drops[stack.DropIPMalformed]+1, now.Drops[stack.DropIPMalformed], "case %d", i)
		require.Equal(t, was.IP6.ForwDatagrams, now.IP6.ForwDatagrams)
		sent := now.ICMP6.OutMsgs - was.ICMP6.OutMsgs
		require.Equal(t, c.fault, sent != 0, "case %d: %d messages", i, sent)
		bd.now += 1e9
		bd.step(t, "the error", func() bool { bd.now += 1e6; return bd.now%1e9 < 2e6 })
	}
}
