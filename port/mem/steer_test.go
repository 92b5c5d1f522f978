package mem_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/rss"
)

// flowTo finds a flow whose frames arrive at queue q of e.
func flowTo(t testing.TB, e *mem.End, q uint16) uint16 {
	t.Helper()
	info := e.Info()
	h := rss.NewHasher(info.RSS.Key)
	for flow := uint16(1024); flow != 0; flow++ {
		hash, _ := h.HashFrame(frame(100, flow, 0))
		if info.RSS.RETA.Queue(hash) == q {
			return flow
		}
	}
	t.Fatalf("no flow leads to queue %d", q)
	return 0
}

// Each frame arrives at the queue that the receiver's key and table name, with
// the hash that they give, whoever sends it and however it is cut up.
func TestSteeringFollowsTheReceiversTable(t *testing.T) {
	table, err := rss.NewRETA(64, 3)
	require.NoError(t, err)
	for i := range 64 {
		require.NoError(t, table.Set(i, uint16(i*i+i/7)%3)) // uneven
	}
	rng := rand.New(rand.NewPCG(3, 3))
	cfg := mem.Config{
		A: mem.EndConfig{Queues: 2, RSSKey: rss.SymmetricKey},
		B: mem.EndConfig{Queues: 3, RETASize: 64, Caps: offload.RSSHash},
	}
	w := attachedWire(t, cfg, pbuf.Config{Small: 2048, Buffers: 2048})
	require.NoError(t, w.b.SetRETA(table))
	require.NoError(t, w.a.Start())
	require.NoError(t, w.b.Start())
	h := rss.NewHasher(rss.DefaultKey)
	used := map[uint16]int{}
	for i := range 2000 {
		f := frame(100, uint16(rng.Uint32()), uint64(i))
		hash, kind := h.HashFrame(f)
		require.Equal(t, rss.KindUDP4, kind)
		want := table.Queue(hash)
		used[want]++
		from := i % 2
		p := packet(t, w.pa[from], f)
		if i%3 == 0 {
			p.Free()
			p = chained(t, w.pa[from], f, rng, 30)
		}
		send(t, w.a, from, 0, p)
		for q := range uint16(3) {
			got := recv(w.b, int(q), 0)
			if q != want {
				require.Empty(t, got)
				continue
			}
			require.Len(t, got, 1)
			require.Equal(t, pbuf.Meta{Hash: hash, Flags: pbuf.RxHash}, got[0].meta)
			require.Equal(t, f, got[0].bytes)
		}
	}
	require.Len(t, used, 3)
	conserved(t, w.a, w.b)
}

// Without RSSHash in the Caps the hash picks the queue and is not told.
func TestHashIsToldOnlyWithRSSHash(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{Queues: 2}, A: mem.EndConfig{Caps: offload.RSSHash}})
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, flowTo(t, w.b, 1), 1)))
	got := recv(w.b, 1, 0)
	require.Len(t, got, 1)
	require.Equal(t, pbuf.Meta{}, got[0].meta)

	send(t, w.b, 1, 0, packet(t, w.pb[1], frame(100, 9, 1)))
	got = recv(w.a, 0, 0)
	require.Len(t, got, 1)
	hash, _ := rss.NewHasher(rss.DefaultKey).HashFrame(frame(100, 9, 1))
	require.Equal(t, pbuf.Meta{Hash: hash, Flags: pbuf.RxHash}, got[0].meta)
}

// Frames without an address to hash go where hash 0 leads, without RxHash.
func TestFramesThatAreNotIPHaveNoHash(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{Queues: 2, Caps: offload.RSSHash}})
	b := make([]byte, 60)
	(*header.Ethernet)(b).Encode(header.Broadcast, w.a.Info().MAC, header.EtherTypeARP)
	for _, f := range [][]byte{b, b[:14]} {
		send(t, w.a, 0, 0, packet(t, w.pa[0], f))
		got := recv(w.b, 0, 0)
		require.Len(t, got, 1)
		require.Equal(t, pbuf.Meta{}, got[0].meta)
	}
	require.Empty(t, recv(w.b, 1, 0))
}

// No sender starves while others keep a queue busy.
func TestSendersTakeTurns(t *testing.T) {
	w := newWire(t, mem.Config{A: mem.EndConfig{Queues: 3}})
	for q := range 3 {
		for i := range 20 {
			send(t, w.a, q, 0, packet(t, w.pa[q], frame(100, uint16(q), uint64(i))))
		}
	}
	seen := map[uint16]bool{}
	dst := make([]*pbuf.Pbuf, 20)
	for range 3 {
		require.Equal(t, 20, w.b.RxBurst(0, 0, dst))
		for _, p := range dst {
			seen[flowOf(content(p))] = true
			p.Free()
		}
		// The busy sender goes on.
		for i := range 20 {
			send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 0, uint64(i))))
		}
	}
	require.Len(t, seen, 3)
	recv(w.b, 0, 0)
}

// A table that is replaced while frames flow decides from the next frame on.
func TestSetRETAWhileFramesFlow(t *testing.T) {
	w := attachedWire(t, mem.Config{B: mem.EndConfig{Queues: 2}}, pbuf.Config{Small: 512, Buffers: 2048})
	require.NoError(t, w.a.Start())
	require.NoError(t, w.b.Start())
	flow := flowTo(t, w.b, 0)
	for round := range 4 {
		want := round % 2
		entries := make([]uint16, 128)
		for i := range entries {
			entries[i] = uint16(want)
		}
		table, err := rss.FromEntries(entries)
		require.NoError(t, err)
		require.NoError(t, w.b.SetRETA(table))
		require.Equal(t, table, w.b.Info().RSS.RETA)
		f := frame(100, flow, uint64(round))
		hash, queue, err := w.b.ProbeHash(f)
		require.NoError(t, err)
		require.Equal(t, want, queue)
		require.Equal(t, table.Queue(hash), uint16(queue))
		require.Equal(t, 1, w.a.TxBurst(0, 0, []*pbuf.Pbuf{packet(t, w.pa[0], f)}))
		var got [4]*pbuf.Pbuf
		require.Zero(t, w.b.RxBurst(1-want, 0, got[:]))
		require.Equal(t, 1, w.b.RxBurst(want, 0, got[:]))
		got[0].Free()
	}
	_, _, err := w.a.ProbeHash(frame(100, flow, 0))
	require.ErrorIs(t, err, port.ErrNotSupported)
}

// Two queues that send more than a third one takes in a round get even shares of
// it.
func TestNoSenderStarves(t *testing.T) {
	for _, senders := range []int{2, 3} {
		w := attachedWire(t, mem.Config{Pause: true, A: mem.EndConfig{Queues: senders}}, pbuf.Config{Small: 1024, Buffers: 2048})
		require.NoError(t, w.a.Start())
		require.NoError(t, w.b.Start())
		var got [32]*pbuf.Pbuf
		taken := make([]int, senders)
		for range 300 {
			for q := range senders {
				for range 32 {
					p := packet(t, w.pa[q], frame(60, uint16(q), 0))
					if w.a.TxBurst(q, 0, []*pbuf.Pbuf{p}) == 0 {
						p.Free()
						continue
					}
					taken[q]++
				}
			}
			for _, p := range got[:w.b.RxBurst(0, 0, got[:])] {
				p.Free()
			}
		}
		for q := range taken {
			require.Greater(t, taken[q], 300*32/senders/2, "queue %d of %d", q, senders)
		}
	}
}
