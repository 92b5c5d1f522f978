package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// silentPath is a network of two hosts whose interfaces take mtu bytes and whose
// path, without a word, *most.
func silentPath(t *testing.T, v6 bool, mtu int, most *int, cfg stack.TCPConfig) (n *Network, a, b *Host) {
	n = newNet(t, 7)
	cfg.RecvBuf, cfg.RecvBufMax = 1<<17, 1<<17
	host := func(name string) *Host {
		h, err := n.AddHost(HostConfig{Name: name, Stack: stack.Config{TCP: cfg}})
		require.NoError(t, err)
		return h
	}
	a, b = host("a"), host("b")
	cut := func(_ int64, f *pbuf.Pbuf) bool { return f.TotLen() <= header.EthernetLen+*most }
	ends := [2]End{end(a, "198.18.0.1/24"), end(b, "198.18.0.2/24")}
	if v6 {
		ends = [2]End{end(a, "2001:db8::1/64"), end(b, "2001:db8::2/64")}
	}
	ends[0].MTU, ends[1].MTU = mtu, mtu
	// The queue takes all that the receiver's window does: nothing is lost but for its
	// length.
	dir := netem.Config{Rate: 8e6, Delay: 5 * ms, Queue: netem.Queue{Bytes: 1 << 18}}
	_, err := n.Connect(LinkConfig{A: ends[0], B: ends[1], AB: dir, BA: dir, FilterAB: cut, FilterBA: cut})
	require.NoError(t, err)
	n.Run(3 * time.Second) // duplicate address detection
	return n, a, b
}

// TestPMTU_RFC4821_7_SearchFindsWhatThePathTakes: whatever the path drops without a
// word, the data arrives, and full segments are as long as the path takes, less the
// threshold. Where the search goes on all the time no timeout is needed for that.
func TestPMTU_RFC4821_7_SearchFindsWhatThePathTakes(t *testing.T) {
	for _, c := range []struct {
		mtu, path int
		cfg       stack.TCPConfig
		v6        bool
	}{
		{mtu: 1500, path: 1500},
		{mtu: 1500, path: 1400},
		{mtu: 1500, path: 1280},
		{mtu: 1500, path: 1492, cfg: stack.TCPConfig{NoSACK: true}},
		{mtu: 1500, path: 1400, cfg: stack.TCPConfig{NoTimestamps: true}},
		{mtu: 9000, path: 9000},
		{mtu: 9000, path: 4000},
		{mtu: 1500, path: 1350, cfg: stack.TCPConfig{Congestion: "bbr"}},
		{mtu: 9000, path: 1500, cfg: stack.TCPConfig{GSO: stack.GSOAlways}},
		{mtu: 1500, path: 1280, v6: true},
		{mtu: 9000, path: 1452, v6: true},
	} {
		for _, mode := range []stack.MTUProbing{stack.MTUProbingBlackHole, stack.MTUProbingAlways} {
			t.Run(fmt.Sprintf("%d-%d-%v-mode%d-%s", c.mtu, c.path, c.v6, mode, c.cfg.Congestion), func(t *testing.T) {
				c.cfg.MTUProbing = mode
				n, a, b := silentPath(t, c.v6, c.mtu, &c.path, c.cfg)
				f, err := n.AddFlow(FlowConfig{From: a, To: b, Port: 80})
				require.NoError(t, err)
				n.Run(4 * time.Second)
				require.NoError(t, f.Err())
				pmtu := f.Sender().Info().PMTU
				require.LessOrEqual(t, pmtu, c.path)
				require.Greater(t, pmtu, c.path-8)
				st := a.Stack().Stats().TCP
				if mode == stack.MTUProbingAlways {
					require.Zero(t, st.Timeouts)
					require.Zero(t, st.FastRetransmits, "a probe is no congestion")
					require.Zero(t, st.BlackHoles)
				} else if c.path < c.mtu {
					require.NotZero(t, st.BlackHoles)
				}
				from := f.Received()
				n.Run(2 * time.Second)
				require.Greater(t, f.Received()-from, uint64(0.85*8e6/8*2), "bytes in 2 s of 8 Mbit/s")
				f.Sender().Abort()
				n.Run(time.Second)
			})
		}
	}
}

// TestPMTU_RFC4821_7_3_PathThatChanges: one that gets wider is noticed at the next
// search, one that gets narrower by the segments that vanish.
func TestPMTU_RFC4821_7_3_PathThatChanges(t *testing.T) {
	path := 1300
	n, a, b := silentPath(t, false, 1500, &path,
		stack.TCPConfig{MTUProbing: stack.MTUProbingAlways, MTUProbeInterval: 30 * time.Second})
	f, err := n.AddFlow(FlowConfig{From: a, To: b, Port: 80})
	require.NoError(t, err)
	near := func(mtu int) {
		t.Helper()
		pmtu := f.Sender().Info().PMTU
		require.LessOrEqual(t, pmtu, mtu)
		require.Greater(t, pmtu, mtu-8)
	}
	n.Run(10 * time.Second)
	near(1300)
	path = 1500
	n.Run(31 * time.Second)
	near(1500)
	path = 1200
	n.Run(20 * time.Second)
	near(1200)
	require.NoError(t, f.Err())
	// New connections begin with what is known.
	g, err := n.AddFlow(FlowConfig{From: a, To: b, Port: 81})
	require.NoError(t, err)
	n.Run(100 * ms)
	require.Greater(t, g.Sender().Info().PMTU, 1200-8)
	f.Sender().Abort()
	g.Sender().Abort()
	n.Run(time.Second)
}
