package shard

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// portsBed is eight shards that connect to a server on one, over a wire with
// RSS. The server takes whatever comes and never closes.
func portsBed(t testing.TB, edit func(c *Config)) *bed {
	wire := mem.Config{Pause: true, A: mem.EndConfig{Queues: 8}}
	bd := newBed(t, bedConfig{wire: wire, shardsA: 8, edit: func(c *Config, side byte) {
		c.Pool.Small, c.Pool.Buffers = 4096, 3072
		c.Stack.TCP.RecvBuf, c.Stack.TCP.SendBuf = 2048, 2048
		c.Stack.TCP.PortMin = 1024
		peer := addrB
		if side == 'b' {
			peer = addrA
		}
		mac := header.MAC{2, 0, 0, 0, 0, 0xa + 'b' - side}
		c.Ports[0].Neighbors = []NeighborConfig{{Addr: netip.MustParseAddr(peer), MAC: mac}}
		if edit != nil {
			edit(c)
		}
	}})
	require.NoError(t, bd.b.Do(func(s *Shard) error {
		l := s.Stack().NewTCP()
		l.SetAccept(func(any, *stack.TCP, error) error { return nil })
		if err := l.Bind(echoAddr); err != nil {
			return err
		}
		return l.Listen(1 << 16)
	}))
	bd.step(t) // both ends are there before anything is sent
	return bd
}

// connect opens a connection on shard s, which counts in n once it stands.
func connect(s *Shard, n *int) (*stack.TCP, error) {
	t := s.Stack().NewTCP()
	return t, t.Connect(echoAddr, func(any, *stack.TCP, error) error { *n++; return nil })
}

// TestSixtyThousandConnectionsToOneRemote: from one local address to one remote
// end, over eight shards, each on a port of its own, all at home.
func TestSixtyThousandConnectionsToOneRemote(t *testing.T) {
	const total, wave = 60_000, 800
	bd := portsBed(t, nil)
	seen := make(map[uint16]bool, total)
	up := 0
	for n := 0; n < total; n += wave {
		for i := range wave {
			s := bd.a.shards[i%8]
			pcb, err := connect(s, &up)
			require.NoError(t, err, "connection %d", n+i)
			local := pcb.LocalAddr()
			require.False(t, seen[local.Port()])
			seen[local.Port()] = true
			require.Equal(t, s.id, bd.a.Home(local, echoAddr))
		}
		bd.run(t, func() bool { return up == n+wave }, "all connect")
	}
	bd.run(t, func() bool { return bd.b.Stats().Total.Stack.TCP.CurrEstab == total }, "all are accepted")
	a, b := bd.a.Stats().Total, bd.b.Stats().Total
	require.EqualValues(t, total, a.Stack.TCP.CurrEstab)
	require.Zero(t, a.Loop.HandedOut, "all at home")
	require.Zero(t, a.Stack.TCP.RetransSegs+b.Stack.TCP.RetransSegs)
	require.Empty(t, bd.a.Handovers())
}

// The same for IPv6, which the stack does not have yet, at the solver: the shards'
// ports are 64,512 different ones, and each leads home.
func TestSixtyThousandPortsOfIPv6(t *testing.T) {
	reta, err := rss.NewRETA(128, 8)
	require.NoError(t, err)
	h := rss.NewHasher(rss.DefaultKey)
	local := header.FromNetip(netip.MustParseAddr("2001:db8::1"))
	remote := header.FromNetip(netip.MustParseAddr("2001:db8::2"))
	seen := make([]bool, 65536)
	total := 0
	for shard := range uint16(8) {
		v, err := rss.NewSolver(h, reta, shard, 1024, 65535)
		require.NoError(t, err)
		ports := v.Ports(remote, local, 443)
		total += int(ports.Count())
		for i := range ports.Count() {
			p := ports.Port(i)
			require.False(t, seen[p])
			seen[p] = true
			require.Equal(t, shard, reta.Queue(h.Hash6(remote, local, 443, p)))
		}
	}
	require.Equal(t, 65536-1024, total)
}

// TestRFC9293_3_6_1_PortsComeBackAfterTimeWait: a shard whose ports are used up
// says so, and has them again when TIME-WAIT is over, not before.
func TestRFC9293_3_6_1_PortsComeBackAfterTimeWait(t *testing.T) {
	bd := portsBed(t, func(c *Config) {
		c.Stack.TCP.PortMin, c.Stack.TCP.PortMax = 50000, 50255 // 32 a shard
		c.Stack.TCP.TimeWait = 10 * time.Second
	})
	var all []*stack.TCP
	up := 0
	for _, s := range bd.a.shards {
		for range 32 {
			pcb, err := connect(s, &up)
			require.NoError(t, err)
			pcb.SetErr(func(any, error) {})
			all = append(all, pcb)
		}
		for range 3 { // the second time it knows without looking
			pcb, err := connect(s, &up)
			require.ErrorIs(t, err, stack.ErrNoPort, "shard %d", s.id)
			require.NoError(t, pcb.Close())
		}
	}
	bd.run(t, func() bool { return up == 256 }, "all connect")
	require.NoError(t, bd.b.Do(func(s *Shard) error {
		s.Stack().EachTCP(func(t *stack.TCP) {
			t.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
				if p != nil {
					p.Free()
					return nil
				}
				return pcb.Close()
			})
		})
		return nil
	}))
	for _, pcb := range all {
		require.NoError(t, pcb.Close())
	}
	bd.run(t, func() bool { return bd.b.Stats().Total.Stack.TCP.CurrPCBs == 1 }, "all close")
	pcb, err := connect(bd.a.shards[3], &up)
	require.ErrorIs(t, err, stack.ErrNoPort, "all are in TIME-WAIT")
	require.NoError(t, pcb.Close())
	bd.now += 10e9
	bd.run(t, func() bool { return bd.a.Stats().Total.Stack.TCP.CurrPCBs == 0 }, "TIME-WAIT ends")
	up = 0
	for _, s := range bd.a.shards {
		for range 32 {
			_, err := connect(s, &up)
			require.NoError(t, err)
		}
	}
	bd.run(t, func() bool { return up == 256 }, "all connect again")
	require.Zero(t, bd.a.Stats().Total.Loop.HandedOut)
}

// A UDP PCB that connects says so, too, when its shard's ports are used up, and
// ports are free again at once: there is no TIME-WAIT (RFC 768).
func TestRFC768_OwnPortsOfUDPComeBackAtOnce(t *testing.T) {
	bd := portsBed(t, func(c *Config) { c.Stack.TCP.PortMin, c.Stack.TCP.PortMax = 50000, 50255 })
	for _, s := range bd.a.shards {
		var us []*stack.UDP
		for range 32 {
			u := s.Stack().NewUDP()
			require.NoError(t, u.Connect(echoAddr))
			require.Equal(t, s.id, bd.a.Home(u.LocalAddr(), echoAddr))
			us = append(us, u)
		}
		u := s.Stack().NewUDP()
		require.ErrorIs(t, u.Connect(echoAddr), stack.ErrNoPort)
		port := us[7].LocalAddr().Port()
		us[7].Close()
		require.NoError(t, u.Connect(echoAddr))
		require.Equal(t, port, u.LocalAddr().Port())
	}
}

// BenchmarkOwnPort is opening and aborting a connection on a shard of eight, by
// how many of its 8,064 ports are taken: the oldest connection ends, a new one
// begins.
func BenchmarkOwnPort(b *testing.B) {
	for _, taken := range []int{0, 4000, 8000, 8063} {
		b.Run(strconv.Itoa(taken), func(b *testing.B) {
			bd := portsBed(b, nil)
			s := bd.a.shards[5]
			up := 0
			old := make([]*stack.TCP, 0, taken+1)
			for range taken {
				pcb, err := connect(s, &up)
				require.NoError(b, err)
				old = append(old, pcb)
				if len(old)%500 == 0 {
					bd.run(b, func() bool { return up == len(old) }, "")
				}
			}
			old = append(old, nil)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				pcb, err := connect(s, &up)
				if err != nil {
					b.Fatal(err)
				}
				at := (taken + i) % len(old)
				old[at] = pcb
				if o := old[(at+1)%len(old)]; o != nil {
					o.Abort()
				}
				if i%16 == 0 { // what was sent must be taken, or buffers run out
					bd.step(b)
					bd.step(b)
					bd.now += 10e3
				}
			}
		})
	}
}
