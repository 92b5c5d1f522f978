package mem_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/rss"
)

func TestConfigValidate(t *testing.T) {
	require.NoError(t, mem.Config{}.Validate())
	end := func(e mem.EndConfig) mem.Config { return mem.Config{B: e} }
	wire := func(im mem.Impairment) mem.Config { return mem.Config{BtoA: im} }
	for _, c := range []struct {
		name string
		cfg  mem.Config
	}{
		{"queues", end(mem.EndConfig{Queues: -1})},
		{"too many queues", end(mem.EndConfig{Queues: mem.MaxQueues + 1})},
		{"MTU short", end(mem.EndConfig{MTU: mem.MinMTU - 1})},
		{"MTU long", end(mem.EndConfig{MTU: mem.MaxMTU + 1})},
		{"caps", end(mem.EndConfig{Caps: offload.VLANInsert})},
		{"TSO alone", end(mem.EndConfig{Caps: offload.TSO4 | offload.TxUDPCsum})},
		{"USO alone", end(mem.EndConfig{Caps: offload.USO | offload.TxTCPCsum})},
		{"LRO alone", end(mem.EndConfig{Caps: offload.LRO | offload.TxCsum})},
		{"UDPLRO alone", end(mem.EndConfig{Caps: offload.UDPLRO})},
		{"RETA", end(mem.EndConfig{RETASize: 100})},
		{"queue length", end(mem.EndConfig{QueueLen: -5})},
		{"group MAC", end(mem.EndConfig{MAC: header.Broadcast})},
		{"loss", wire(mem.Impairment{Loss: 1.1})},
		{"duplicate", wire(mem.Impairment{Duplicate: -0.1})},
		{"corrupt", wire(mem.Impairment{Corrupt: math.NaN()})},
		{"reorder", wire(mem.Impairment{Reorder: 2})},
		{"reorder time alone", wire(mem.Impairment{ReorderBy: 1})},
		{"delay", wire(mem.Impairment{Delay: -1})},
		{"jitter", wire(mem.Impairment{Jitter: -1})},
		{"queue without rate", wire(mem.Impairment{QueueBytes: 1})},
		{"queue", wire(mem.Impairment{QueueBytes: -1, Rate: 1})},
		{"limit without delay", wire(mem.Impairment{Limit: 1})},
		{"limit", wire(mem.Impairment{Limit: -1, Delay: 1})},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorIs(t, c.cfg.Validate(), port.ErrConfig)
			_, _, err := mem.New(c.cfg)
			require.ErrorIs(t, err, port.ErrConfig)
		})
	}
}

func TestInfoDefaults(t *testing.T) {
	a, b, err := mem.New(mem.Config{})
	require.NoError(t, err)
	require.Equal(t, port.Info{
		Name: "a", Queues: 1, MTU: 1500, MAC: header.MAC{2, 0, 0, 0, 0, 10}, Caps: offload.MultiSeg,
	}, a.Info())
	require.Equal(t, "b", b.Info().Name)
	require.NotEqual(t, a.Info().MAC, b.Info().MAC)
	rssInfo := a.Info().RSS
	require.False(t, rssInfo.Enabled(), "one queue, no hash")
}

func TestInfoAsConfigured(t *testing.T) {
	mac := header.MAC{2, 1, 2, 3, 4, 5}
	a, _, err := mem.New(mem.Config{A: mem.EndConfig{
		Name: "x", MAC: mac, Queues: 3, MTU: 9000, Caps: offload.RxCsum,
		RSSKey: rss.SymmetricKey, RETASize: 64,
	}})
	require.NoError(t, err)
	info := a.Info()
	require.Equal(t, "x", info.Name)
	require.Equal(t, mac, info.MAC)
	require.Equal(t, 3, info.Queues)
	require.Equal(t, 9000, info.MTU)
	require.Equal(t, offload.RxCsum|offload.MultiSeg, info.Caps)
	require.Equal(t, rss.SymmetricKey, info.RSS.Key)
	require.Equal(t, 64, info.RSS.RETA.Size())
	require.Equal(t, 22, info.RSS.RETA.Share(0))
}

// A frame arrives as it was sent, in a buffer of the receiver's pool, and the
// sender's buffer is free again.
func TestFramesArriveAsSent(t *testing.T) {
	w := newWire(t, mem.Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	full := w.pa[0].Avail(pbuf.ClassStandard)
	for n := 14; n <= 1500+14+8; n++ {
		sent := make([]byte, n)
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		p := packet(t, w.pa[0], sent)
		p.Flags = pbuf.FlagsUser | pbuf.RxVLAN // is the sender's business
		p.VLAN, p.Netif, p.L2Len = 7, 3, 14
		send(t, w.a, 0, 99, p)

		got := make([]*pbuf.Pbuf, 2)
		require.Equal(t, 1, w.b.RxBurst(0, 0, got), "a wire without delay doesn't look at the time")
		require.Equal(t, w.pb[0].ID(), got[0].Home())
		require.Equal(t, w.pb[0].ID(), got[0].Holder())
		require.Equal(t, 1, got[0].RefCount())
		require.Equal(t, sent, content(got[0]))
		require.Equal(t, pbuf.Meta{}, got[0].Meta)
		require.Equal(t, pbuf.Headroom, got[0].Headroom(), "room to put headers in front again")
		got[0].Free()
	}
	require.Equal(t, full, w.pa[0].Avail(pbuf.ClassStandard))
	conserved(t, w.a, w.b)
	s := w.b.Stats(0)
	require.EqualValues(t, 1500+8+1, s.RxPackets)
	require.Equal(t, w.a.Stats(0).TxBytes, s.RxBytes)
	require.Zero(t, s.RxMissed+s.RxErrors)
}

// What comes as a chain is gathered into one buffer if it fits, and what does
// not fit is scattered over several, up to the longest packets there are.
func TestGatherAndScatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, room := range []int{256, 2048, 9216} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			cfg := mem.EndConfig{MTU: mem.MaxMTU}
			w := newWireWith(t, mem.Config{A: cfg, B: cfg}, pbuf.Config{Small: 4096, Buffers: 3000, DataRoom: room})
			for _, n := range []int{14, 100, room - 1, room, room + 1, 2 * room, 2*room + 1, 9014, mem.MaxMTU + 22} {
				sent := make([]byte, n)
				for i := range sent {
					sent[i] = byte(rng.Uint32())
				}
				for _, p := range []*pbuf.Pbuf{
					packet(t, w.pa[0], sent),
					chained(t, w.pa[0], sent, rng, room),
					chained(t, w.pa[0], sent, rng, n),
				} {
					send(t, w.a, 0, 0, p)
					got := recv(w.b, 0, 0)
					require.Len(t, got, 1)
					require.Equal(t, sent, got[0].bytes)
					require.Equal(t, (n+room-1)/room, got[0].bufs)
				}
			}
			conserved(t, w.a, w.b)
		})
	}
}

// A burst of jumbo frames is given out in pieces when dst is short, and a frame
// is never given in parts.
func TestScatteredFramesWithShortBursts(t *testing.T) {
	cfg := mem.EndConfig{MTU: 9000}
	w := newWireWith(t, mem.Config{A: cfg, B: cfg}, pbuf.Config{DataRoom: 256, Buffers: 4096, Jumbo: 16})
	var sent [][]byte
	var ps []*pbuf.Pbuf
	for i := range 10 {
		sent = append(sent, frame(9014-i*800, 1, uint64(i)))
		ps = append(ps, packet(t, w.pa[0], sent[i]))
	}
	require.Equal(t, 10, w.a.TxBurst(0, 0, ps))
	dst := make([]*pbuf.Pbuf, 3)
	var got [][]byte
	for len(got) < 10 {
		n := w.b.RxBurst(0, 0, dst)
		for _, p := range dst[:n] {
			got = append(got, content(p))
			p.Free()
		}
	}
	require.Equal(t, sent, got)
	require.Zero(t, w.b.RxBurst(0, 0, nil))
}

// Frames for which no buffer is posted are lost and counted; the posted ones
// are bounded by QueueLen, and come back when the receiver polls.
func TestReceiverThatDoesNotPollMisses(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{QueueLen: 100}})
	require.Equal(t, 100, w.pb[0].Cap(pbuf.ClassStandard)-w.pb[0].Avail(pbuf.ClassStandard), "posted")
	for i := range 150 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, uint64(i))))
	}
	require.EqualValues(t, 50, w.b.Stats(0).RxMissed)
	got := recv(w.b, 0, 0)
	require.Len(t, got, 100)
	for i := range got {
		require.EqualValues(t, i, seqOf(got[i].bytes), "in order, the last ones are missing")
	}
	for i := range 100 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, uint64(i))))
	}
	require.EqualValues(t, 50, w.b.Stats(0).RxMissed, "buffers are posted again")
	require.Len(t, recv(w.b, 0, 0), 100)
	conserved(t, w.a, w.b)
}

// A pool that is empty when frames come posts nothing; once it has buffers, the
// queue recovers.
func TestEmptyPoolRecovers(t *testing.T) {
	w := newWireWith(t, mem.Config{}, pbuf.Config{Buffers: 64})
	var hoard []*pbuf.Pbuf
	for {
		p := w.pb[0].Alloc(pbuf.LayerRaw, 1000, pbuf.KindPool)
		if p == nil {
			break
		}
		hoard = append(hoard, p)
	}
	for range 40 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, 0)))
	}
	dst := make([]*pbuf.Pbuf, 64)
	n := w.b.RxBurst(0, 0, dst)
	require.Equal(t, 32, n, "half of the pool was posted")
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, 0)))
	require.Zero(t, w.b.RxBurst(0, 0, dst[n:]))
	require.EqualValues(t, 9, w.b.Stats(0).RxMissed)
	pbuf.FreeBatch(dst[:n])
	pbuf.FreeBatch(hoard)
	require.Zero(t, w.b.RxBurst(0, 0, dst), "posts again")
	send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, 0)))
	require.Len(t, recv(w.b, 0, 0), 1)
	conserved(t, w.a, w.b)
}

func TestFramesOfImpossibleLength(t *testing.T) {
	w := newWire(t, mem.Config{A: mem.EndConfig{MTU: 2000}, B: mem.EndConfig{MTU: 1000}})
	for _, c := range []struct {
		n    int
		want port.Stats // of a, then of b
		rx   port.Stats
	}{
		{0, port.Stats{TxErrors: 1}, port.Stats{}},
		{13, port.Stats{TxErrors: 1}, port.Stats{}},
		{2023, port.Stats{TxErrors: 1}, port.Stats{}},
		{2022, port.Stats{TxPackets: 1, TxBytes: 2022}, port.Stats{RxErrors: 1}},
		{1023, port.Stats{TxPackets: 1, TxBytes: 1023}, port.Stats{RxErrors: 1}},
		{1022, port.Stats{TxPackets: 1, TxBytes: 1022}, port.Stats{RxPackets: 1, RxBytes: 1022}},
	} {
		tx, rx := w.a.Stats(0), w.b.Stats(0)
		send(t, w.a, 0, 0, packet(t, w.pa[0], make([]byte, c.n)))
		recv(w.b, 0, 0)
		tx.Add(&c.want)
		rx.Add(&c.rx)
		require.Equal(t, tx, w.a.Stats(0), "%d bytes", c.n)
		require.Equal(t, rx, w.b.Stats(0), "%d bytes", c.n)
	}
	conserved(t, w.a, w.b)
}

// The last reference is the sender's to give: what it keeps stays.
func TestTxBurstDropsOneReference(t *testing.T) {
	w := newWire(t, mem.Config{})
	p := packet(t, w.pa[0], frame(100, 1, 1))
	p.Ref()
	send(t, w.a, 0, 0, p)
	require.Equal(t, 1, p.RefCount())
	require.Equal(t, frame(100, 1, 1), content(p))
	p.Free()
	require.Len(t, recv(w.b, 0, 0), 1)
}

func TestBothDirectionsAtOnce(t *testing.T) {
	w := newWire(t, mem.Config{})
	for i := range 2000 {
		send(t, w.a, 0, 0, packet(t, w.pa[0], frame(60, 1, uint64(i))))
		send(t, w.b, 0, 0, packet(t, w.pb[0], frame(70, 2, uint64(i))))
		atB, atA := recv(w.b, 0, 0), recv(w.a, 0, 0)
		require.Len(t, atB, 1)
		require.Len(t, atA, 1)
		require.EqualValues(t, 1, flowOf(atB[0].bytes))
		require.EqualValues(t, 2, flowOf(atA[0].bytes))
	}
	conserved(t, w.a, w.b)
	conserved(t, w.b, w.a)
}

// Pools of the debug build know their thread: the sender must not touch the
// headers of the receiver's buffers. In the normal build this only runs.
func TestBoundPools(t *testing.T) {
	w := newWire(t, mem.Config{B: mem.EndConfig{MTU: 9000}, A: mem.EndConfig{MTU: 9000}})
	bind := func(p *pbuf.Pool, f func()) {
		done := make(chan struct{})
		go func() { // on a thread of its own
			defer close(done)
			lockThread()
			p.BindThread()
			f()
			p.UnbindThread()
		}()
		<-done
	}
	for range 3 {
		bind(w.pa[0], func() {
			send(t, w.a, 0, 0, packet(t, w.pa[0], frame(100, 1, 1)))
			send(t, w.a, 0, 0, packet(t, w.pa[0], frame(9000, 1, 2)))
		})
		bind(w.pb[0], func() {
			if n := len(recv(w.b, 0, 0)); n != 2 {
				t.Errorf("%d frames", n)
			}
		})
	}
}

func TestPoolsThatDoNotDo(t *testing.T) {
	a, _, err := mem.New(mem.Config{A: mem.EndConfig{MTU: 9000}, B: mem.EndConfig{Queues: 4}})
	require.NoError(t, err)
	for _, cfg := range []pbuf.Config{
		{Buffers: -1}, // no standard buffers
		{Buffers: 39}, // a frame takes 5, four senders 20, and that must be half
	} {
		require.ErrorIs(t, a.Attach(0, pbuftest.NewPool(t, cfg)), port.ErrConfig)
	}
	require.NoError(t, a.Attach(0, pbuftest.NewPool(t, pbuf.Config{Buffers: 40})))
	require.NoError(t, a.Close())
}
