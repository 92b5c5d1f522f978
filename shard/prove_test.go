package shard

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// hashingPort is a fakePort with RSS whose hash the test computes: frames come
// by the queue that its table gives for it.
type hashingPort struct {
	*fakePort
	hash func(frame []byte) uint32
}

func newHashingPort(t testing.TB, queues int, key rss.Key, hash func(frame []byte) uint32) *hashingPort {
	p := &hashingPort{fakePort: newFakePort(queues), hash: hash}
	p.info.Caps |= offload.RSSHash
	if !key.IsZero() {
		p.info.RSS = rssInfo(t, key, queues).RSS
	}
	return p
}

func (p *hashingPort) RxBurst(q int, now int64, dst []*pbuf.Pbuf) int {
	n := p.fakePort.RxBurst(q, now, dst)
	for _, b := range dst[:n] {
		b.Hash = p.hash(b.Payload())
		b.Flags |= pbuf.RxHash
	}
	return n
}

// arrive puts frames into the queues that the hash leads to.
func (p *hashingPort) arrive(frames ...[]byte) {
	for _, f := range frames {
		p.inject(int(p.info.RSS.RETA.Queue(p.hash(f))), f)
	}
}

// telling is a hashingPort that can be asked.
type telling struct{ *hashingPort }

func (p telling) ProbeHash(frame []byte) (uint32, int, error) {
	h := p.hash(frame)
	return h, int(p.info.RSS.RETA.Queue(h)), nil
}

// hashOfKey is what a correct card with a key computes.
func hashOfKey(k rss.Key) func([]byte) uint32 {
	h := rss.NewHasher(k)
	return func(f []byte) uint32 {
		hash, _ := h.HashFrame(f)
		return hash
	}
}

// addrsOfUDP is a card that leaves out the ports of UDP, as many do by default.
func addrsOfUDP(k rss.Key) func([]byte) uint32 {
	h := rss.NewHasher(k)
	return func(f []byte) uint32 {
		hash, kind := h.HashFrame(f)
		if kind == rss.KindUDP4 || kind == rss.KindUDP6 {
			return addrsHash(h, f)
		}
		return hash
	}
}

// xored is a card whose hash is no Toeplitz hash.
func xored(f []byte) uint32 {
	n := uint32(17)
	for _, b := range f[header.EthernetLen+12:] {
		n = n*31 + uint32(b)
	}
	return n
}

// traffic sends 40 flows of TCP and of UDP by a port to a group of shards that
// count the datagrams, and returns the group's counts and those expected.
func traffic(t testing.TB, g *Group, p *hashingPort) (got, want []int) {
	t.Helper()
	got = listen(t, g, "10.0.0.1:2000")
	want = make([]int, len(g.shards))
	for round := range 3 {
		for sport := uint16(1); sport <= 40; sport++ {
			p.arrive(tcpFrame("10.0.0.2", "10.0.0.1", sport, 2000, header.TCPAck),
				udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, []byte{byte(round)}))
		}
		step(t, g, 10)
	}
	for sport := uint16(1); sport <= 40; sport++ {
		want[g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport))] += 3
	}
	return got, want
}

// TestPortsHashIsProved: whatever the port's hash is, each flow meets on one
// shard; what is found out about the hash is told, and counted.
func TestPortsHashIsProved(t *testing.T) {
	key := keyOf(t, 1)
	const all = kinds(1<<rss.KindTCP4 | 1<<rss.KindUDP4)
	for _, c := range []struct {
		name     string
		reported rss.Key
		hash     func([]byte) uint32
		trust    kinds
		warning  string // "" for none
		handed   bool
	}{
		{"as reported", key, hashOfKey(key), all, "", false},
		{"words reversed", swapKey(key, true), hashOfKey(key), all, "reversed", false},
		{"all reversed", swapKey(key, false), hashOfKey(key), all, "its key reversed", false},
		{"UDP by addresses", key, addrsOfUDP(key), 1 << rss.KindTCP4, "udp4 is hashed by its key without its ports", true},
		{"no Toeplitz", key, xored, 0, "none that is known", true},
		{"not reported", rss.Key{}, hashOfKey(rss.SymmetricKey), all, "the symmetric key", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newHashingPort(t, 2, c.reported, c.hash)
			var told []Warning
			cfg := manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")})
			cfg.OnWarning = func(w Warning) { told = append(told, w) }
			g := newGroup(t, cfg)
			for _, s := range g.shards {
				require.Zero(t, s.ports[0].steer.trust, "nothing is believed before it is proved")
			}
			got, want := traffic(t, g, p)
			require.Equal(t, want, got)
			n := g.Stats().Total.Loop
			if c.warning == "" {
				require.Empty(t, told)
				require.Zero(t, n.HashWrong)
			} else {
				require.NotEmpty(t, told)
				require.Equal(t, WarnHash, told[0].Kind)
				require.Contains(t, told[0].String(), c.warning)
				require.Equal(t, told, g.Warnings())
				require.Positive(t, n.HashWrong)
			}
			require.Equal(t, c.handed, n.HandedOut != 0)
			for _, s := range g.shards {
				if st := s.ports[0].steer; c.reported.IsZero() && s.id == 1 {
					require.Zero(t, s.n.RxPackets, "without a table all comes by the first queue")
				} else {
					require.Equal(t, c.trust, st.trust, "shard %d", s.id)
				}
			}
		})
	}
}

// One shard has nothing to steer, but finds connections by the port's hash: a
// wrong one would lose them.
func TestOneShardProvesTheHashToo(t *testing.T) {
	p := newHashingPort(t, 1, rss.DefaultKey, xored)
	g := newGroup(t, manual(1, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	got, want := traffic(t, g, p)
	require.Equal(t, want, got)
	require.False(t, g.shards[0].ports[0].steer.pass)
	require.NotEmpty(t, g.Warnings())

	p = newHashingPort(t, 1, rss.DefaultKey, hashOfKey(rss.DefaultKey))
	g = newGroup(t, manual(1, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	traffic(t, g, p)
	require.True(t, g.shards[0].ports[0].steer.pass)
	require.Empty(t, g.Warnings())
}

// A port that can be asked is asked at the start, for IPv6, too.
func TestStartUpSelfTestAsksThePort(t *testing.T) {
	key := keyOf(t, 2)
	for _, c := range []struct {
		name  string
		hash  func([]byte) uint32
		trust kinds
	}{
		{"right", hashOfKey(key), allKinds},
		{"another key", hashOfKey(rss.DefaultKey), 0},
		{"UDP by addresses", addrsOfUDP(key), 1<<rss.KindTCP4 | 1<<rss.KindTCP6},
	} {
		p := newHashingPort(t, 2, key, c.hash)
		g := newGroup(t, manual(2, PortConfig{Port: telling{p}, Addrs: prefixes("10.0.0.1/24")}))
		require.Equal(t, c.trust, g.shards[0].ports[0].steer.trust, c.name)
		require.Nil(t, g.shards[0].ports[0].proof)
		wrong := 0
		for k := rss.KindTCP4; k <= rss.KindUDP6; k++ {
			if k.HasPorts() && !c.trust.has(k) {
				wrong++
			}
		}
		require.Len(t, g.Warnings(), wrong, c.name)
		got, want := traffic(t, g, p)
		require.Equal(t, want, got, c.name)
	}
}

// Probe frames are what they say, each another flow.
func TestProbeFrames(t *testing.T) {
	h := rss.NewHasher(rss.DefaultKey)
	for _, kind := range []rss.Kind{rss.KindTCP4, rss.KindUDP4, rss.KindTCP6, rss.KindUDP6} {
		seen := map[uint32]bool{}
		for n := range proofs {
			var b [probeLen]byte
			hash, got := h.HashFrame(b[:probeFrame(b[:], kind, n)])
			require.Equal(t, kind, got)
			require.False(t, seen[hash])
			seen[hash] = true
		}
	}
}

// A port whose table is not as reported is found out, and its flows meet all the
// same.
func TestWrongTableIsFoundOut(t *testing.T) {
	p := newHashingPort(t, 2, rss.DefaultKey, hashOfKey(rss.DefaultKey))
	g := newGroup(t, manual(2, PortConfig{Port: p, Addrs: prefixes("10.0.0.1/24")}))
	got := listen(t, g, "10.0.0.1:2000")
	want := make([]int, 2)
	for sport := uint16(1); sport <= 64; sport++ {
		p.inject(0, udpFrame("10.0.0.2", "10.0.0.1", sport, 2000, nil)) // all by one queue
		want[g.Home(ap("10.0.0.1:2000"), addrPortFrom("10.0.0.2", sport))]++
	}
	step(t, g, 10)
	require.Equal(t, want, got)
	require.Len(t, g.Warnings(), 1)
	require.Contains(t, g.Warnings()[0].Text, "another queue")
	hs := g.Handovers()
	require.Len(t, hs, 1)
	require.Equal(t, Handover{From: 0, To: 1, Packets: [NumCauses]uint64{CauseWrongHash: uint64(want[1])}}, hs[0])
	require.Equal(t, port.RSS{Key: rss.DefaultKey, RETA: p.info.RSS.RETA}, p.Info().RSS)
}
