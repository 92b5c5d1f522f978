package shard

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// flowsTo are source ports whose datagrams to 10.0.0.1:2000 belong to a shard.
func flowsTo(g *Group, id, n int) (ports []uint16) {
	for sport := uint16(1); len(ports) < n; sport++ {
		if g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport)) == id {
			ports = append(ports, sport)
		}
	}
	return ports
}

// TestHandoversAreCountedByCauseAndPair gives shard 0 of two what belongs to
// shard 1, for each cause.
func TestHandoversAreCountedByCauseAndPair(t *testing.T) {
	dst := addr4("10.0.0.1")
	type test struct {
		name   string
		why    Cause
		rss    bool
		queues int
		frames func(g *Group) [][]byte // 3 of them
	}
	plain := func(g *Group) (list [][]byte) {
		for _, sport := range flowsTo(g, 1, 3) {
			list = append(list, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
		}
		return list
	}
	byAddrs := func(f func(src string) []byte) func(g *Group) [][]byte {
		return func(g *Group) (list [][]byte) {
			for i := byte(2); len(list) < 3; i++ {
				a := netip.AddrFrom4([4]byte{10, 0, 0, i})
				table := g.Table(0)
				if table.Queue(g.hasher.HashAddrs(header.FromNetip(a), dst)) == 1 {
					list = append(list, f(a.String()))
				}
			}
			return list
		}
	}
	for _, c := range []test{
		{"a port without RSS", CauseNoRSS, false, 1, plain},
		{"fewer queues", CauseFewQueues, true, 1, plain},
		{"another queue than the table says", CauseWrongHash, true, 2, plain},
		{"a tagged frame", CauseTunnel, true, 2, func(g *Group) (list [][]byte) {
			for _, f := range plain(g) {
				list = append(list, tagged(f, 7))
			}
			return list
		}},
		{"fragments", CauseFragment, true, 2, byAddrs(func(from string) []byte {
			return frame4(header.IPv4Fields{Protocol: header.ProtoUDP, Src: addr4(from), Dst: dst, MoreFragments: true}, make([]byte, 64))
		})},
		{"an ICMP error", CauseICMP, true, 2, func(g *Group) (list [][]byte) {
			for _, sport := range flowsTo(g, 1, 3) {
				list = append(list, icmpFrame("10.0.0.9", "10.0.0.1", header.ICMPv4DstUnreachable, 3, 0,
					udpFrame("10.0.0.1", "10.0.0.2", 2000, sport, nil)[header.EthernetLen:]))
			}
			return list
		}},
		{"echo replies", CauseICMP, true, 2, func(*Group) (list [][]byte) {
			for id := range uint32(3) {
				list = append(list, icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4EchoReply, 0, (2*id+1)<<16, nil))
			}
			return list
		}},
		{"a protocol without ports", CauseProtocol, true, 2, byAddrs(func(from string) []byte {
			return frame4(header.IPv4Fields{Protocol: 89, Src: addr4(from), Dst: dst}, make([]byte, 32))
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFakePort(c.queues)
			if c.rss {
				p.info.RSS = rssInfo(t, rss.DefaultKey, c.queues).RSS
			}
			g := newGroup(t, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24"), VLAN: map[bool]uint16{true: 7}[c.why == CauseTunnel]}))
			p.inject(0, c.frames(g)...)
			step(t, g, 5)
			want := Handover{From: 0, To: 1}
			want.Packets[c.why] = 3
			hs := g.Handovers()
			require.NotEmpty(t, hs)
			require.Equal(t, want, hs[0])
			require.Contains(t, hs[0].String(), "0 → 1: "+c.why.String()+" 3, lost 0")
			require.EqualValues(t, 3, g.Stats().Shards[0].Loop.HandedFor[c.why])
			require.NoError(t, g.Stop())
			require.Equal(t, want, g.Handovers()[0], "after Stop, too")
		})
	}
	require.Equal(t, "invalid", numCauses.String())
}

// IPv6 is not in the stack yet, but its frames are steered: TCP by ports, all
// fragments of a packet to one shard.
func TestIPv6FramesAreSteered(t *testing.T) {
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 4), rss.DefaultKey, 4)
	p := newFakePort(1)
	g := newGroup(t, manual(1, PortConfig{Port: p}))
	for n := range 20 {
		var b [probeLen]byte
		for _, kind := range []rss.Kind{rss.KindTCP6, rss.KindUDP6} {
			frame := b[:probeFrame(b[:], kind, n)]
			home, _ := homeOf(t, st, g.shards[0].pool, frame, 0, 0)
			hash, _ := st.hasher.HashFrame(frame)
			require.EqualValues(t, st.table.Queue(hash), home)
		}
		(*header.IPv6)(b[header.EthernetLen:]).SetNextHeader(header.ProtoFragment)
		frame := b[:]
		q := g.shards[0].pool.Alloc(pbuf.LayerLink, len(frame), pbuf.KindRAM)
		copy(q.Payload(), frame)
		home, why := st.home(q, 2)
		ip := (*header.IPv6)(frame[header.EthernetLen:])
		require.EqualValues(t, st.table.Queue(st.hasher.Hash6Addr(ip.Src(), ip.Dst())), home)
		require.Equal(t, CauseFragment, why)
		q.Free()
	}
}

// A broadcast goes to the shard of its flow, if anybody there takes it: the parts
// of a socket that all shards have get it once. Else it goes to each shard where
// somebody does.
func TestBroadcastsReachWhoTakesThem(t *testing.T) {
	for _, c := range []struct {
		name    string
		takers  []int
		want    int // deliveries of each datagram, whatever its flow; -1: by home
		perHome func(home int) int
	}{
		{"all", []int{0, 1, 2, 3}, 1, nil},
		{"one", []int{2}, 1, nil},
		{"two", []int{1, 3}, -1, func(home int) int {
			if home == 1 || home == 3 {
				return 1
			}
			return 2
		}},
		{"nobody", nil, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFakePort(1)
			g := newGroup(t, manual(4, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
			got := 0
			for _, id := range c.takers {
				u := g.shards[id].stack.NewUDP()
				u.SetRecv(func(_ any, _ *stack.UDP, q *pbuf.Pbuf, _ addrPort) { got++; q.Free() })
				require.NoError(t, u.Bind(ap("0.0.0.0:2000")))
			}
			for sport := uint16(1); sport <= 40; sport++ {
				f := udpFrame("10.0.0.2", "10.0.0.255", sport, 2000, []byte("all"))
				copy(f, header.Broadcast[:])
				p.inject(0, f)
				got = 0
				step(t, g, 4)
				want := c.want
				if want < 0 {
					want = c.perHome(g.Home(ap("10.0.0.255:2000"), addrPortFrom("10.0.0.2", sport)))
				}
				require.Equal(t, want, got)
			}
			n := g.Stats().Total
			require.Equal(t, len(c.takers) < 4, n.Loop.HandedFor[CauseGroup] != 0)
			if c.want >= 0 {
				require.EqualValues(t, 40*c.want, n.Stack.UDP.InDatagrams)
			}
		})
	}
}

// TestHandOverKeepsTheOrderOfAFlow: with threads, from a port with one queue.
func TestHandOverKeepsTheOrderOfAFlow(t *testing.T) {
	p := newFakePort(1)
	cfg := config(3, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.MaxSleep = time.Millisecond
	g := start(t, cfg)
	const flows, each = 30, 200
	var mu sync.Mutex
	next := map[uint16]uint32{}
	wrong := 0
	require.NoError(t, g.Do(func(s *Shard) error {
		u := s.stack.NewUDP()
		u.SetRecv(func(_ any, _ *stack.UDP, q *pbuf.Pbuf, from addrPort) {
			n := binary.BigEndian.Uint32(q.Payload())
			q.Free()
			mu.Lock()
			if next[from.Port()] != n {
				wrong++
			}
			next[from.Port()] = n + 1
			mu.Unlock()
		})
		return u.Bind(ap("10.0.0.1:2000"))
	}))
	for n := range uint32(each) {
		for sport := uint16(1); sport <= flows; sport++ {
			p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, binary.BigEndian.AppendUint32(nil, n)))
		}
		eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.in[0]) < 300 }, "taken")
	}
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for sport := uint16(1); sport <= flows; sport++ {
			if next[sport] != each {
				return false
			}
		}
		return true
	}, "all arrive")
	mu.Lock()
	defer mu.Unlock()
	require.Zero(t, wrong)
	require.Zero(t, g.Stats().Total.Loop.MeshFull)
}

// TestStalledShardIsFoundAndTheOthersGoOn: a callback that does not return keeps
// its shard from coming round. What others hand it is lost and counted, their own
// goes on, and the watchdog tells; then it comes back.
func TestStalledShardIsFoundAndTheOthersGoOn(t *testing.T) {
	p := newFakePort(1)
	cfg := config(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.MeshDepth = 16
	cfg.Watchdog = 50 * time.Millisecond
	told := make(chan Warning, 100)
	cfg.OnWarning = func(w Warning) {
		if w.Kind == WarnStall {
			told <- w
		}
	}
	g := start(t, cfg)
	got := make([]int, 2)
	require.NoError(t, g.Do(func(s *Shard) error {
		u := s.stack.NewUDP()
		u.SetRecv(func(_ any, _ *stack.UDP, q *pbuf.Pbuf, _ addrPort) { got[s.id]++; q.Free() })
		return u.Bind(ap("10.0.0.1:2000"))
	}))
	count := func(id int) (n int) {
		require.NoError(t, g.shards[id].Call(func(*Shard) error { n = got[id]; return nil }))
		return n
	}
	send := func(id, n int) {
		for _, sport := range flowsTo(g, id, n) {
			p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil))
		}
	}
	stall, stalled := make(chan struct{}), make(chan struct{})
	require.NoError(t, g.shards[1].Do(func(*Shard) { close(stalled); <-stall }))
	<-stalled
	send(1, 100)
	send(0, 100)
	eventually(t, func() bool { return count(0) == 100 }, "the other goes on")
	w := <-told
	for w.Shard != 1 { // on a busy machine any shard may be late
		w = <-told
	}
	require.Contains(t, w.Text, "shard 1 has not come round")
	require.Contains(t, string(w.Stack), "TestStalledShardIsFoundAndTheOthersGoOn")
	require.Positive(t, g.shards[1].Snapshot().Loop.Stalls)
	require.Positive(t, g.Stats().Total.Loop.Stalls)
	send(0, 100)
	eventually(t, func() bool { return count(0) == 200 }, "the other goes on")

	close(stall)
	eventually(t, func() bool { return count(1) == 16 }, "the ring's is there, the rest is lost")
	hs := g.Handovers()[:1] // 1 → 0 is its announcement
	require.Equal(t, []Handover{{From: 0, To: 1, Packets: [NumCauses]uint64{CauseNoRSS: 100}, Lost: 84}}, hs)
	send(1, 10)
	eventually(t, func() bool { return count(1) == 26 }, "it is back")
}

// A shard that sleeps shows that it is alive, and is no stall, however long the
// watchdog has not heard of it.
func TestWatchdogLetsShardsSleep(t *testing.T) {
	cfg := config(2, PortConfig{Port: newFakePort(1)})
	cfg.Idle, cfg.MaxSleep, cfg.Watchdog = Park, time.Hour, -1
	g := start(t, cfg)
	w := newWatchdog(g, time.Minute)
	for range 3 {
		asleep := Now()
		time.Sleep(12 * time.Millisecond) // what a shard has published is good for 10 ms
		w.look(asleep + int64(time.Hour)) // wakes them
		eventually(t, func() bool {
			return g.shards[0].Snapshot().At > asleep && g.shards[1].Snapshot().At > asleep
		}, "they have come round")
		w.look(Now())
	}
	require.Zero(t, g.Stats().Total.Loop.Stalls)
	now := Now() + int64(time.Hour)
	w.look(now)
	w.look(now) // nobody can have come round by this clock
	w.look(now)
	require.EqualValues(t, 2, g.Stats().Total.Loop.Stalls, "once each")
}

func TestAdviceOnCores(t *testing.T) {
	well := footing{shards: 2, allowed: 4, quota: 8, procs: 3}
	require.Empty(t, well.advise())
	for _, c := range []struct {
		change func(f *footing)
		want   string
	}{
		{func(f *footing) { f.allowed = 1 }, "2 shards on 1 cores"},
		{func(f *footing) { f.allowed, f.spin = 2, true }, "spin on all 2 cores"},
		{func(f *footing) { f.quota = 1.5 }, "gives 1.5 cores to 2 shards"},
		{func(f *footing) { f.procs = 1 }, "GOMAXPROCS is 1 for 2 shards: they take turns; set it to 3"},
		{func(f *footing) { f.procs, f.spin = 2, true }, "as many shards that spin"},
	} {
		f := well
		c.change(&f)
		list := f.advise()
		require.Len(t, list, 1)
		require.Contains(t, list[0], c.want)
	}
	f := well
	f.allowed, f.spin = 2, false
	require.Empty(t, f.advise(), "shards that sleep leave room")
	f.allowed = 0
	require.Empty(t, f.advise(), "not known")
}

// More shards than there are cores are warned of at the start.
func TestStartWarnsOfSharedCores(t *testing.T) {
	g := start(t, config(40, PortConfig{Port: newFakePort(1)}))
	list := g.Warnings()
	require.NotEmpty(t, list)
	require.Equal(t, WarnCores, list[0].Kind)
	require.Contains(t, list[0].String(), "cores: 40 shards on")
}
