package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// newNet makes a network that is closed, and must not have leaked, at the end.
func newNet(t testing.TB, seed uint64) *Network {
	t.Helper()
	n, err := New(Config{Seed: seed})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// two makes hosts 198.18.0.1 and 198.18.0.2 with a link between them.
func two(t testing.TB, n *Network, ab, ba netem.Config) (a, b *Host, l *Link) {
	t.Helper()
	a, err := n.AddHost(HostConfig{Name: "a"})
	require.NoError(t, err)
	b, err = n.AddHost(HostConfig{Name: "b"})
	require.NoError(t, err)
	l, err = n.Connect(LinkConfig{A: end(a, "198.18.0.1/24"), B: end(b, "198.18.0.2/24"), AB: ab, BA: ba})
	require.NoError(t, err)
	return a, b, l
}

func end(n Node, addrs ...string) End {
	e := End{Node: n}
	for _, a := range addrs {
		e.Addrs = append(e.Addrs, netip.MustParsePrefix(a))
	}
	return e
}

const ms = time.Millisecond

// ping gives the round trips of n echo requests, one a second.
func ping(t testing.TB, n *Network, from *Host, to netip.Addr, count int) (rtts []time.Duration) {
	t.Helper()
	p, err := from.Stack().NewPing(to, nil, func(_ any, _ *stack.Ping, r stack.PingReply) { rtts = append(rtts, r.RTT) })
	require.NoError(t, err)
	for range count {
		_, err := p.Send(56)
		require.NoError(t, err)
		n.Run(time.Second)
	}
	p.Close()
	return rtts
}

// TestTimeIsTheLinks: a round trip takes what the link takes, to the nanosecond,
// and a run ends when it should.
func TestTimeIsTheLinks(t *testing.T) {
	n := newNet(t, 1)
	a, b, _ := two(t, n, netem.Config{Rate: 1e6, Delay: 3 * ms}, netem.Config{Delay: 4 * ms})
	rtts := ping(t, n, a, b.Addr(), 3)
	require.Len(t, rtts, 3)
	require.Equal(t, 7*ms+(56+8+20+14)*8*time.Microsecond, rtts[2])
	require.Equal(t, Start+int64(3*time.Second), n.Now())
	require.Equal(t, n.Now(), b.Stack().Now())
}

// TestSameSeedSamePackets: captures of two runs are the same, byte by byte, with
// every impairment there is; another seed gives other packets.
func TestSameSeedSamePackets(t *testing.T) {
	run := func(seed uint64) (sum string, size int) {
		n, err := New(Config{Seed: seed})
		require.NoError(t, err)
		bad := netem.Config{Rate: 50e6, Delay: 5 * ms, Jitter: ms / 2, Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, Corrupt: 0.002,
			Burst: netem.GilbertElliott{ToBad: 0.001, ToGood: 0.3}, Queue: netem.Queue{Kind: netem.RED, Bytes: 60_000}}
		d, err := n.AddDumbbell(DumbbellConfig{Pairs: 3, Forth: bad, Back: bad, Access: netem.Config{Rate: 1e9, Delay: ms, Jitter: ms / 4}})
		require.NoError(t, err)
		h := sha256.New()
		var count countingWriter
		for _, l := range n.Links() {
			_, err := l.Capture(multi{h, &count}, 0)
			require.NoError(t, err)
		}
		var flows []*Flow
		for i := range 3 {
			f, err := n.AddFlow(FlowConfig{From: d.Left[i], To: d.Right[i], Port: 80, Bytes: 300_000})
			require.NoError(t, err)
			flows = append(flows, f)
		}
		require.True(t, n.Until(10*time.Minute, func() bool { return flows[0].Ended() && flows[1].Ended() && flows[2].Ended() }))
		for _, f := range flows {
			require.NoError(t, f.Err())
			require.Equal(t, uint64(300_000), f.Received())
		}
		require.NoError(t, n.Close())
		return hex.EncodeToString(h.Sum(nil)), int(count)
	}
	first, size := run(1)
	again, _ := run(1)
	other, _ := run(2)
	require.Equal(t, first, again)
	require.NotEqual(t, first, other)
	require.Greater(t, size, 3*3*300_000, "three links see each flow's data")
}

type countingWriter int

func (c *countingWriter) Write(b []byte) (int, error) {
	*c += countingWriter(len(b))
	return len(b), nil
}

type multi [2]interface{ Write([]byte) (int, error) }

func (m multi) Write(b []byte) (int, error) {
	_, _ = m[0].Write(b)
	return m[1].Write(b)
}

// TestCaptureIsWhatWasSeen: another implementation reads the file; it has each
// end's frames, with the times at which they were there.
func TestCaptureIsWhatWasSeen(t *testing.T) {
	n := newNet(t, 1)
	a, b, l := two(t, n, netem.Config{Delay: 3 * ms, Loss: 0.3}, netem.Config{Delay: 4 * ms})
	var file bytes.Buffer
	c, err := l.Capture(&file, 0)
	require.NoError(t, err)
	_, err = l.Capture(&file, 0)
	require.ErrorIs(t, err, ErrConfig, "one capture a link")
	ping(t, n, a, b.Addr(), 10)
	require.NoError(t, c.Err())
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	seen := map[string]int{}
	var first map[string]time.Time
	for {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			break
		}
		p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
		require.Nil(t, p.ErrorLayer())
		icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		if !ok {
			continue
		}
		iface, err := r.Interface(ci.InterfaceIndex)
		require.NoError(t, err)
		what := fmt.Sprint(iface.Name, " ", icmp.TypeCode.Type())
		if seen[what]++; first == nil {
			first = map[string]time.Time{}
		}
		if icmp.Seq == 5 {
			first[what] = ci.Timestamp
		}
	}
	st := l.A().Stats()
	require.Positive(t, st.Lost)
	require.Equal(t, 10, seen["a-b 8"], "requests sent, those that got lost too")
	require.Equal(t, seen["b-a 8"], seen["b-a 0"], "each that arrived is answered")
	require.Equal(t, seen["b-a 0"], seen["a-b 0"])
	require.Less(t, seen["b-a 8"], 10)
	if at, ok := first["b-a 8"]; ok {
		require.Equal(t, 3*ms, at.Sub(first["a-b 8"]))
		require.Equal(t, 7*ms, first["a-b 0"].Sub(first["a-b 8"]))
		require.Equal(t, 1970, at.Year())
	}
}

// TestCaptureSnap: frames are cut, and their length is still told.
func TestCaptureSnap(t *testing.T) {
	n := newNet(t, 1)
	a, b, l := two(t, n, netem.Config{}, netem.Config{})
	var file bytes.Buffer
	_, err := l.Capture(&file, 20)
	require.NoError(t, err)
	ping(t, n, a, b.Addr(), 1)
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	longest := 0
	for {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			break
		}
		require.LessOrEqual(t, len(data), 20)
		longest = max(longest, ci.Length)
	}
	require.Equal(t, 14+20+8+56, longest)
}

var errDisk = errors.New("disk full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestCaptureErrorIsKept(t *testing.T) {
	n, err := New(Config{})
	require.NoError(t, err)
	a, b, l := two(t, n, netem.Config{}, netem.Config{})
	c, err := l.Capture(brokenWriter{}, 0)
	require.NoError(t, err)
	ping(t, n, a, b.Addr(), 1)
	require.ErrorIs(t, c.Err(), errDisk)
	require.ErrorIs(t, n.Close(), errDisk)
	require.NoError(t, n.Close(), "a second time does nothing")
}

// TestFiltersAndPlug: a filter loses the frames that it wants, a link that is
// down all of them.
func TestFiltersAndPlug(t *testing.T) {
	n := newNet(t, 1)
	a, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	b, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	icmp := 0
	l, err := n.Connect(LinkConfig{A: end(a, "198.18.0.1/24"), B: end(b, "198.18.0.2/24"),
		FilterAB: func(now int64, f *pbuf.Pbuf) bool {
			require.Equal(t, n.Now(), now)
			if b := f.Payload(); b[12] == 8 && b[13] == 0 {
				icmp++
				return icmp != 2
			}
			return true
		}})
	require.NoError(t, err)
	require.Len(t, ping(t, n, a, b.Addr(), 4), 3)
	require.Equal(t, uint64(1), l.A().Cut())
	l.SetDown(true)
	require.Empty(t, ping(t, n, a, b.Addr(), 2))
	l.SetDown(false)
	require.Len(t, ping(t, n, a, b.Addr(), 2), 2)
	require.Positive(t, l.A().Cut())
}

// TestSwitchLearns: the first frame to a host goes everywhere, the others don't.
func TestSwitchLearns(t *testing.T) {
	n := newNet(t, 1)
	s := n.AddSwitch("s")
	var hosts []*Host
	var links []*Link
	for i := range 4 {
		h, err := n.AddHost(HostConfig{})
		require.NoError(t, err)
		l, err := n.Connect(LinkConfig{A: end(h, fmt.Sprintf("198.18.0.%d/24", i+1)), B: End{Node: s}, AB: netem.Config{Delay: ms}})
		require.NoError(t, err)
		hosts, links = append(hosts, h), append(links, l)
	}
	n.Run(time.Second) // announcements
	before := links[3].B().Stats().Offered
	require.Len(t, ping(t, n, hosts[0], hosts[1].Addr(), 5), 5)
	require.Equal(t, uint64(1), links[3].B().Stats().Offered-before, "the ARP request")
}

// TestRouter: a host that forwards joins two networks.
func TestRouter(t *testing.T) {
	n := newNet(t, 1)
	a, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	r, err := n.AddHost(HostConfig{Stack: stack.Config{Forward: true}})
	require.NoError(t, err)
	b, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	_, err = n.Connect(LinkConfig{A: end(a, "198.18.0.1/24"), B: end(r, "198.18.0.254/24"), AB: netem.Config{Delay: ms}})
	require.NoError(t, err)
	_, err = n.Connect(LinkConfig{A: end(b, "198.18.1.1/24"), B: end(r, "198.18.1.254/24"), AB: netem.Config{Delay: ms}})
	require.NoError(t, err)
	all := netip.MustParsePrefix("0.0.0.0/0")
	require.NoError(t, a.Stack().AddRoute(all, netip.MustParseAddr("198.18.0.254"), a.Stack().Netifs()[0]))
	require.NoError(t, b.Stack().AddRoute(all, netip.MustParseAddr("198.18.1.254"), b.Stack().Netifs()[0]))
	rtts := ping(t, n, a, b.Addr(), 3)
	require.Len(t, rtts, 3)
	require.Equal(t, 2*ms, rtts[2])
	f, err := n.AddFlow(FlowConfig{From: a, To: b, Port: 80, Bytes: 100_000})
	require.NoError(t, err)
	require.True(t, n.Until(time.Minute, f.Ended))
	require.NoError(t, f.Err())
}

// TestOwnPool: a host with a pool of its own; what it has no buffer for is
// counted.
func TestOwnPool(t *testing.T) {
	n := newNet(t, 1)
	pool, err := pbuf.NewPool(pbuf.Config{Small: 8, Buffers: 8, Jumbo: -1, HugePages: pbuf.HugeNever})
	require.NoError(t, err)
	a, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	b, err := n.AddHost(HostConfig{Stack: stack.Config{Pool: pool}})
	require.NoError(t, err)
	_, err = n.Connect(LinkConfig{A: end(a, "198.18.0.1/24"), B: end(b, "198.18.0.2/24")})
	require.NoError(t, err)
	require.Len(t, ping(t, n, a, b.Addr(), 2), 2)
	var held []*pbuf.Pbuf
	u := b.Stack().NewUDP()
	require.NoError(t, u.Bind(netip.AddrPortFrom(netip.Addr{}, 9)))
	u.SetRecv(func(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ netip.AddrPort) { held = append(held, p) })
	v := a.Stack().NewUDP()
	for range 20 {
		p := n.Pool().Alloc(pbuf.LayerTransport, 1000, pbuf.KindPool)
		require.NoError(t, v.SendTo(p, netip.AddrPortFrom(b.Addr(), 9)))
	}
	n.Run(time.Second)
	require.Equal(t, 20, len(held)+int(b.Missed()))
	require.Positive(t, b.Missed())
	for _, p := range held {
		p.Free()
	}
	b.Stack().Close()
	require.NoError(t, pool.Close())
}

// TestStation: frames of the test's own making, and what is answered.
func TestStation(t *testing.T) {
	n := newNet(t, 1)
	var got [][]byte
	s := n.AddStation("s", func(_ int64, f *pbuf.Pbuf) { got = append(got, append([]byte(nil), f.Payload()...)) })
	h, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	l, err := n.Connect(LinkConfig{A: End{Node: s}, B: end(h, "198.18.0.2/24"), AB: netem.Config{Delay: ms}})
	require.NoError(t, err)
	n.Run(time.Second)
	got = nil
	req := make([]byte, 42)
	(*header.Ethernet)(req[:14]).Encode(header.Broadcast, l.A().MAC(), header.EtherTypeARP)
	copy(req[14:], []byte{0, 1, 8, 0, 6, 4, 0, 1})
	mac := l.A().MAC()
	copy(req[22:], mac[:])
	copy(req[28:], []byte{198, 18, 0, 1})
	copy(req[38:], []byte{198, 18, 0, 2})
	require.NoError(t, s.Send(0, req))
	require.ErrorIs(t, s.Send(1, req), ErrConfig)
	n.Run(time.Second)
	require.Len(t, got, 1)
	require.Equal(t, byte(2), got[0][21], "a reply")
	require.Nil(t, l.A().Netif())
	require.NotNil(t, l.B().Netif())
}

// TestAtAndUntil: functions run at their time, in order.
func TestAtAndUntil(t *testing.T) {
	n := newNet(t, 1)
	var order []string
	for i, d := range []time.Duration{3 * ms, ms, 2 * ms, ms} {
		n.After(d, func() {
			order = append(order, fmt.Sprint(i, "@", time.Duration(n.Now()-Start)))
			if i == 1 {
				n.At(0, func() { order = append(order, "now") }) // the past is now
			}
		})
	}
	require.True(t, n.Until(time.Second, func() bool { return len(order) == 3 }))
	require.Equal(t, Start+int64(ms), n.Now())
	require.False(t, n.Until(time.Second, func() bool { return len(order) == 9 }))
	require.Equal(t, []string{"1@1ms", "3@1ms", "now", "2@2ms", "0@3ms"}, order)
	require.Equal(t, Start+int64(ms+time.Second), n.Now())
}

func TestBadConfigs(t *testing.T) {
	n := newNet(t, 1)
	h, err := n.AddHost(HostConfig{})
	require.NoError(t, err)
	_, err = n.Connect(LinkConfig{A: End{Node: h}})
	require.ErrorIs(t, err, ErrConfig)
	_, err = n.Connect(LinkConfig{A: End{Node: h}, B: End{Node: n.AddSwitch("s")}, AB: netem.Config{Loss: 2}})
	require.ErrorIs(t, err, netem.ErrConfig)
	_, err = n.Connect(LinkConfig{A: End{Node: h, MTU: 5}, B: End{Node: n.AddSwitch("s")}})
	require.ErrorIs(t, err, stack.ErrVal)
	_, err = n.AddDumbbell(DumbbellConfig{Pairs: 1001})
	require.ErrorIs(t, err, ErrConfig)
	_, err = n.AddHost(HostConfig{Stack: stack.Config{TCP: stack.TCPConfig{MSS: 5}}})
	require.ErrorIs(t, err, stack.ErrVal)
}

// TestFlowFindsWrongData: a flow's receiver looks at every byte.
func TestFlowFindsWrongData(t *testing.T) {
	n := newNet(t, 1)
	a, b, _ := two(t, n, netem.Config{}, netem.Config{})
	f, err := n.AddFlow(FlowConfig{From: a, To: b, Port: 80, Bytes: 10_000})
	require.NoError(t, err)
	sent := false
	require.True(t, n.Until(time.Minute, func() bool {
		if f.sent > 0 && !sent {
			sent = true
			f.block[100]++ // what was written was another byte
		}
		return f.Ended()
	}))
	require.ErrorIs(t, f.Err(), ErrData)
}

// TestLeakIsReported: Close says which buffers did not come back.
func TestLeakIsReported(t *testing.T) {
	n, err := New(Config{})
	require.NoError(t, err)
	p := n.Pool().Alloc(pbuf.LayerRaw, 10, pbuf.KindRAM)
	require.ErrorIs(t, n.Close(), pbuf.ErrLeak)
	p.Free()
}

// TestIPv6: addresses of both families, neighbours found through a switch.
func TestIPv6(t *testing.T) {
	n := newNet(t, 1)
	s := n.AddSwitch("s")
	var hosts []*Host
	for _, a := range []string{"2001:db8::1/64", "2001:db8::2/64"} {
		h, err := n.AddHost(HostConfig{})
		require.NoError(t, err)
		_, err = n.Connect(LinkConfig{A: end(h, a), B: End{Node: s}, AB: netem.Config{Delay: ms, Loss: 0.01}})
		require.NoError(t, err)
		hosts = append(hosts, h)
	}
	n.Run(5 * time.Second) // duplicate address detection
	f, err := n.AddFlow(FlowConfig{From: hosts[0], To: hosts[1], Port: 80, Bytes: 100_000})
	require.NoError(t, err)
	require.True(t, n.Until(time.Minute, f.Ended))
	require.NoError(t, f.Err())
	require.Equal(t, uint64(100_000), f.Received())
}

// TestLeaveSums: frames without checksums are taken, damaged ones are not.
func TestLeaveSums(t *testing.T) {
	n := newNet(t, 1)
	d, err := n.AddDumbbell(DumbbellConfig{Forth: netem.Config{Delay: ms, Corrupt: 0.05}, LeaveSums: true})
	require.NoError(t, err)
	f, err := n.AddFlow(FlowConfig{From: d.Left[0], To: d.Right[0], Port: 80, Bytes: 1_000_000})
	require.NoError(t, err)
	require.True(t, n.Until(time.Minute, f.Ended))
	require.NoError(t, f.Err())
	require.Positive(t, d.Right[0].Stack().Stats().Drops[stack.DropTCPChecksum])
}
