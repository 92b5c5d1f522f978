package shard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// addrPort shortens the callbacks of the tests.
type addrPort = netip.AddrPort

func addrPortFrom(addr string, port uint16) addrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// arpCount are the ARP requests for target among frames.
func arpCount(frames [][]byte, target string) (n int) {
	for _, f := range frames {
		if (*header.Ethernet)(f).Type() != header.EtherTypeARP {
			continue
		}
		a := (*header.ARP)(f[header.EthernetLen:])
		if a.Op() == header.ARPRequest && a.TargetIP() == addr4(target) {
			n++
		}
	}
	return n
}

// TestNeighborsAreTold: the shard that asks is not the one that hears the
// answer, and all get to know it.
func TestNeighborsAreTold(t *testing.T) {
	p := newFakePort(4)
	var heard []int
	cfg := manual(4, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
	cfg.Stack.Hooks.NeighborLearned = func(*stack.Netif, header.Addr, header.MAC) { heard = append(heard, 1) }
	g := newGroup(t, cfg)
	step(t, g, 2)
	p.take()
	require.NoError(t, g.shards[3].Stack().NewTCP().Connect(ap("10.0.0.2:80"), nil))
	step(t, g, 2)
	frames, _ := p.take()
	require.Equal(t, 1, arpCount(frames, "10.0.0.2"))

	p.inject(1, arpFrame(header.ARPReply, "10.0.0.2", "10.0.0.1"))
	step(t, g, 3)
	frames, queues := p.take()
	require.Len(t, frames, 1, "the SYN that waited")
	require.Equal(t, []int{3}, queues)
	require.Equal(t, header.EtherTypeIPv4, (*header.Ethernet)(frames[0]).Type())
	for _, s := range g.shards {
		ns := s.Stack().Neighbors()
		require.Len(t, ns, 1)
		require.Equal(t, peerMAC, ns[0].MAC)
		require.True(t, ns[0].Resolved)
	}
	st := g.Stats()
	require.EqualValues(t, 3, st.Shards[1].Loop.LearnedOut)
	require.EqualValues(t, 3, st.Total.Loop.LearnedOut)
	require.EqualValues(t, 3, st.Total.Loop.LearnedIn)
	require.Len(t, heard, 1, "the caller's hook is told by the shard that heard it")
}

// TestNeighborsStayFresh: an entry in use is asked for again before it ages out,
// by the shard that uses it; the answer, no news to the shard that hears it, is
// told all the same.
func TestNeighborsStayFresh(t *testing.T) {
	p := newFakePort(2)
	g := newGroup(t, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	now := int64(1000)
	stepAt := func(at int64) [][]byte {
		now = at
		for range 3 {
			_, err := g.Step(now)
			require.NoError(t, err)
		}
		frames, _ := p.take()
		return frames
	}
	stepAt(now)
	p.inject(0, arpFrame(header.ARPRequest, "10.0.0.2", "10.0.0.1"))
	stepAt(now)
	u := g.shards[1].Stack().NewUDP()
	defer u.Close()
	asked := 0
	for range 3 * 3600 { // three hours, a datagram a second
		frames := stepAt(now + int64(time.Second))
		if n := arpCount(frames, "10.0.0.2"); n > 0 {
			asked += n
			p.inject(0, arpFrame(header.ARPReply, "10.0.0.2", "10.0.0.1"))
			stepAt(now)
		}
		q := g.shards[1].Pool().Alloc(pbuf.LayerTransport, 1, pbuf.KindRAM)
		require.NotNil(t, q)
		require.NoError(t, u.SendTo(q, ap("10.0.0.2:9")))
		stepAt(now)
	}
	require.Greater(t, asked, 3*3600/300-1, "every five minutes at least")
	require.Less(t, asked, 3*3600/300*3, "and one answer is enough")
	require.EqualValues(t, 3*3600, g.Stats().Total.Stack.UDP.OutDatagrams)
	st := g.Stats()
	require.Zero(t, st.Total.Stack.Dropped())
}

// TestNeighborsThatDoNotFitWait: more neighbours at once than the ring holds
// are told over some rounds.
func TestNeighborsThatDoNotFitWait(t *testing.T) {
	p := newFakePort(1)
	cfg := manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/16")})
	cfg.Burst = MaxBurst
	g := newGroup(t, cfg)
	require.NoError(t, g.begin(1000))
	for i := range 3 * learnDepth {
		a := netip.AddrFrom4([4]byte{10, 0, 1 + byte(i/200), 1 + byte(i%200)})
		p.inject(0, arpFrame(header.ARPRequest, a.String(), "10.0.0.1"))
	}
	s := g.shards[0]
	s.round(1000)
	require.EqualValues(t, learnDepth, s.n.LearnedOut)
	require.True(t, s.blocked(), "no long sleep while some wait")
	step(t, g, 4)
	require.False(t, s.blocked())
	require.Len(t, g.shards[1].Stack().Neighbors(), 3*learnDepth)
}
