package shard

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// rssInfo is a port with RSS over queues.
func rssInfo(t testing.TB, key rss.Key, queues int) *port.Info {
	t.Helper()
	reta, err := rss.NewRETA(128, queues)
	require.NoError(t, err)
	return &port.Info{Queues: queues, RSS: port.RSS{Key: key, RETA: reta}}
}

// keyOf is a key of 40 bytes that differs for each n.
func keyOf(t testing.TB, n int) rss.Key {
	t.Helper()
	b := make([]byte, rss.MinKeyLen)
	for i := range b {
		b[i] = byte((i + n) * (i + 7*n) * 37)
	}
	k, err := rss.NewKey(b)
	require.NoError(t, err)
	return k
}

func steeringOf(t testing.TB, cfg PortConfig, info *port.Info, key rss.Key, n int) *steering {
	t.Helper()
	st, err := newSteering(info, rss.NewHasher(key), n)
	require.NoError(t, err)
	if cfg.Rehash || info.RSS.Key.IsZero() {
		return st
	}
	return st.trusting(allKinds)
}

// homeOf puts a frame into a buffer and asks where it belongs.
func homeOf(t testing.TB, st *steering, pool *pbuf.Pool, frame []byte, flags pbuf.Flags, hash uint32) (int, *pbuf.Pbuf) {
	t.Helper()
	p := pool.Alloc(pbuf.LayerLink, len(frame), pbuf.KindRAM)
	require.NotNil(t, p)
	copy(p.Payload(), frame)
	p.Flags, p.Hash = flags, hash
	t.Cleanup(func() { p.Free() })
	home, _ := st.home(p, 2)
	return home, p
}

// dealt are the numbers of entries of each shard in the table of a port.
func dealt(t testing.TB, queues, n int) []int {
	t.Helper()
	info := rssInfo(t, rss.DefaultKey, queues)
	table, err := dealRETA(&info.RSS.RETA, queues, n)
	require.NoError(t, err)
	share := make([]int, n)
	for i, s := range table.Entries() {
		q := int(info.RSS.RETA.Entries()[i])
		if queues >= n {
			require.Equal(t, q%n, int(s), "the shard that polls queue %d", q)
		} else {
			require.Equal(t, q, int(s)%queues, "a shard that sends by queue %d", q)
		}
		share[s]++
	}
	return share
}

func TestDealRETAGivesEachShardItsShare(t *testing.T) {
	for queues := 1; queues <= 16; queues++ {
		for n := 1; n <= 16; n++ {
			for s, share := range dealt(t, queues, n) {
				require.Positive(t, share, "%d queues, %d shards: shard %d gets nothing", queues, n, s)
			}
		}
	}
	require.Equal(t, []int{32, 32, 32, 32}, dealt(t, 4, 4))
	require.Equal(t, []int{32, 32, 32, 32}, dealt(t, 2, 4))
	require.Equal(t, []int{32, 32, 32, 32}, dealt(t, 8, 4))
	require.Equal(t, []int{43, 43, 42}, dealt(t, 1, 3))
}

func TestDealRETARefusesUnknownQueues(t *testing.T) {
	reta, err := rss.NewRETA(128, 4)
	require.NoError(t, err)
	_, err = dealRETA(&reta, 2, 2)
	require.ErrorIs(t, err, rss.ErrQueue)
}

// A port's table decides, and its hash is taken as it is.
func TestSteerTrustsThePortsHash(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 4), rss.DefaultKey, 4)
	frame := udpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, nil)
	for hash := range uint32(8) {
		home, p := homeOf(t, st, pool, frame, pbuf.RxHash, hash)
		require.EqualValues(t, hash%4, home)
		require.Equal(t, hash, p.Hash)
		require.NotZero(t, p.Flags&pbuf.RxHash)
	}
}

func TestSteerHashesWhatThePortDidNot(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	h := rss.NewHasher(rss.DefaultKey)
	want := h.Hash4(addr4("10.0.0.2").Uint32(), addr4("10.0.0.1").Uint32(), 1000, 2000)
	frames := [][]byte{
		udpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, []byte("x")),
		tcpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, header.TCPSyn),
	}
	frames = append(frames, tagged(frames[0], 7))
	for _, c := range []struct {
		name  string
		cfg   PortConfig
		info  *port.Info
		flags pbuf.Flags
	}{
		{"no hash", PortConfig{}, rssInfo(t, rss.DefaultKey, 4), 0},
		{"no RSS", PortConfig{}, &port.Info{Queues: 1}, 0},
		{"no RSS, yet a hash", PortConfig{}, &port.Info{Queues: 1}, pbuf.RxHash},
		{"rehash", PortConfig{Rehash: true}, rssInfo(t, rss.DefaultKey, 4), pbuf.RxHash},
	} {
		st := steeringOf(t, c.cfg, c.info, rss.DefaultKey, 4)
		for i, f := range frames {
			home, p := homeOf(t, st, pool, f, c.flags, ^want)
			require.Equal(t, int(st.table.Queue(want)), home, "%s, frame %d", c.name, i)
			require.Equal(t, want, p.Hash, "%s, frame %d", c.name, i)
			require.NotZero(t, p.Flags&pbuf.RxHash, "%s, frame %d", c.name, i)
		}
	}
}

// A hash under another key than the stack's steers, and is then taken away.
func TestSteerKeepsHashesOfAnotherKeyFromTheStack(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.SymmetricKey, 4), rss.DefaultKey, 4)
	require.False(t, st.pass)
	home, p := homeOf(t, st, pool, udpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, nil), pbuf.RxHash, 3)
	require.Equal(t, 3, home)
	require.Zero(t, p.Flags&pbuf.RxHash)
	require.False(t, steeringOf(t, PortConfig{}, rssInfo(t, rss.SymmetricKey, 1), rss.DefaultKey, 1).pass)
	require.True(t, steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 1), rss.DefaultKey, 1).pass)
}

func TestSteerARPStaysWhereItArrived(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 4), rss.DefaultKey, 4)
	home, p := homeOf(t, st, pool, arpFrame(header.ARPReply, "10.0.0.2", "10.0.0.1"), pbuf.RxHash, 1)
	require.Equal(t, 2, home)
	require.Zero(t, p.Flags&pbuf.RxHash)
}

// All fragments of a packet meet, whether they have ports or not (RFC 791 3.2:
// source, destination, protocol and identification tell them).
func TestSteerRFC791FragmentsMeet(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, &port.Info{Queues: 1}, rss.DefaultKey, 4)
	src, dst := addr4("10.0.0.2"), addr4("10.0.0.1")
	want := int(st.table.Queue(st.hasher.HashAddrs(src, dst)))
	for off := uint16(0); off < 64; off += 8 {
		f := frame4(header.IPv4Fields{Protocol: header.ProtoUDP, Src: src, Dst: dst, FragOffset: off, MoreFragments: off < 56},
			udpMessage(src, dst, 1000+off, 2000, nil))
		home, p := homeOf(t, st, pool, f, pbuf.RxHash, 77)
		require.Equal(t, want, home)
		require.Zero(t, p.Flags&pbuf.RxHash, "no connection has the hash of a fragment")
	}
}

// RFC 792: an error quotes the IP header and 8 bytes of what we sent.
func TestSteerRFC792ErrorsGoToTheConnection(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 4), rss.DefaultKey, 4)
	homes := map[int]int{}
	for rport := uint16(1); rport <= 64; rport++ {
		out := udpFrame("10.0.0.1", "10.9.9.9", 5000, rport, nil)[header.EthernetLen:]
		want := int(st.table.Queue(st.hasher.HashTuple(addr4("10.9.9.9"), addr4("10.0.0.1"), rport, 5000)))
		homes[want]++
		for _, typ := range []uint8{header.ICMPv4DstUnreachable, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem} {
			home, _ := homeOf(t, st, pool, icmpFrame("10.0.0.254", "10.0.0.1", typ, 1, 0, out), 0, 0)
			require.Equal(t, want, home)
		}
		// Cut short, it says nothing; it goes where its addresses lead.
		home, _ := homeOf(t, st, pool, icmpFrame("10.0.0.254", "10.0.0.1", header.ICMPv4TimeExceeded, 1, 0, out[:27]), 0, 0)
		require.Equal(t, int(st.table.Queue(st.hasher.HashAddrs(addr4("10.0.0.254"), addr4("10.0.0.1")))), home)
	}
	require.Len(t, homes, 4)
}

func TestSteerRFC792EchoRepliesByIdentifier(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 3), rss.DefaultKey, 3)
	for id := range uint32(9) {
		home, _ := homeOf(t, st, pool, icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4EchoReply, 0, id<<16|1, nil), 0, 0)
		require.EqualValues(t, id%3, home)
		// So do errors about echo requests.
		out := icmpFrame("10.0.0.1", "10.9.9.9", header.ICMPv4Echo, 0, id<<16|1, nil)[header.EthernetLen:]
		home, _ = homeOf(t, st, pool, icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4TimeExceeded, 0, 0, out), 0, 0)
		require.EqualValues(t, id%3, home)
	}
}

// tagged puts VLAN tags behind a frame's addresses.
func tagged(frame []byte, tags ...byte) []byte {
	b := append([]byte{}, frame[:12]...)
	for _, id := range tags {
		b = append(b, 0x81, 0, 0, id)
	}
	return append(b, frame[12:]...)
}

func TestSteerLooksPastTags(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	st := steeringOf(t, PortConfig{}, rssInfo(t, rss.DefaultKey, 4), rss.DefaultKey, 4)
	out := udpFrame("10.0.0.1", "10.9.9.9", 5000, 53, nil)[header.EthernetLen:]
	for _, f := range [][]byte{
		udpFrame("10.0.0.2", "10.0.0.1", 1000, 2000, nil),
		icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4EchoReply, 0, 3<<16, nil),
		icmpFrame("10.0.0.254", "10.0.0.1", header.ICMPv4TimeExceeded, 0, 0, out),
	} {
		want, _ := homeOf(t, st, pool, f, 0, 0)
		for _, tags := range [][]byte{{7}, {7, 8}} {
			home, _ := homeOf(t, st, pool, tagged(f, tags...), 0, 0)
			require.Equal(t, want, home)
		}
	}
}

// FuzzSteerHome: any bytes lead to one of the shards, the same each time.
func FuzzSteerHome(f *testing.F) {
	f.Add(udpFrame("10.0.0.2", "10.0.0.1", 1, 2, []byte("data")))
	f.Add(tcpFrame("10.0.0.2", "10.0.0.1", 1, 2, header.TCPSyn))
	f.Add(arpFrame(header.ARPRequest, "10.0.0.2", "10.0.0.1"))
	f.Add(icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4DstUnreachable, 3, 0,
		udpFrame("10.0.0.1", "10.0.0.2", 2, 1, nil)[header.EthernetLen:]))
	f.Add(icmpFrame("10.0.0.2", "10.0.0.1", header.ICMPv4EchoReply, 0, 1<<16, nil))
	f.Add(append(udpFrame("10.0.0.2", "10.0.0.1", 1, 2, nil)[:12], 0x81, 0, 0, 1, 0x81, 0, 0, 2, 8, 0, 0x45))
	pool := pbuftest.NewPool(f, pbuf.Config{})
	st := steeringOf(f, PortConfig{}, rssInfo(f, rss.DefaultKey, 5), rss.DefaultKey, 5)
	f.Fuzz(func(t *testing.T, frame []byte) {
		frame = frame[:min(len(frame), pbuf.DefaultDataRoom)]
		home, p := homeOf(t, st, pool, frame, 0, 0)
		require.GreaterOrEqual(t, home, 0)
		require.Less(t, home, 5)
		again, _ := st.home(p, 2)
		require.Equal(t, home, again)
	})
}
