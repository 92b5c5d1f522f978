//go:build dpdk

package dpdk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

func open(t testing.TB, cfg dpdk.Config) *dpdk.Port {
	t.Helper()
	p, err := dpdk.Open(cfg)
	require.NoError(t, err)
	return p
}

// opened opens and starts a device with a pool for each queue.
func opened(t testing.TB, cfg dpdk.Config, pool pbuf.Config) (*dpdk.Port, []*pbuf.Pool) {
	t.Helper()
	p := open(t, cfg)
	var pools []*pbuf.Pool
	for range p.Info().Queues {
		pools = append(pools, backed(t, p, 1, pool))
	}
	attach(t, p, pools...)
	return p, pools
}

// serial makes names of devices that no test has had.
var serial int

func unique(kind string) string {
	serial++
	return fmt.Sprintf("%s%d", kind, serial)
}

// receive polls queue q until n frames have come.
func receive(t testing.TB, p *dpdk.Port, q, n int) []*pbuf.Pbuf {
	t.Helper()
	dst := make([]*pbuf.Pbuf, n+32)
	got := 0
	for end := time.Now().Add(10 * time.Second); got < n; {
		k := p.RxBurst(q, 0, dst[got:])
		if got += k; k == 0 {
			require.True(t, time.Now().Before(end), "%d of %d frames", got, n)
			time.Sleep(50 * time.Microsecond)
		}
	}
	return dst[:got]
}

// record reads a capture file.
func record(t testing.TB, file string) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	require.NoError(t, err)
	for {
		b, _, err := r.ReadPacketData()
		if err != nil {
			return frames
		}
		frames = append(frames, b)
	}
}

// A capture is replayed, in order and whole, chains among it, and what is sent
// is recorded: plain frames, segments that others hold, references, jumbo.
func TestPcapReplaysAndRecords(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "out.pcap")
	var want [][]byte
	f, err := os.Create(in)
	require.NoError(t, err)
	w := pcapgo.NewWriter(f)
	require.NoError(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for i := range 200 {
		b := make([]byte, 60+i*40) // up to four buffers
		for j := range b {
			b[j] = byte(i + j/3)
		}
		want = append(want, b)
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{CaptureLength: len(b), Length: len(b)}, b))
	}
	require.NoError(t, f.Close())

	p, pools := opened(t, dpdk.Config{Device: unique("net_pcap") + ",rx_pcap=" + in + ",tx_pcap=" + out, MTU: 9000}, pbuf.Config{Small: 256, Buffers: 512})
	require.Equal(t, "net_pcap", p.Driver())
	chains := 0
	for i, got := range receive(t, p, 0, 200) {
		require.Equal(t, want[i], bytesOf(got))
		if got.Next() != nil {
			chains++
		}
		got.Free()
	}
	require.NotZero(t, chains)
	require.True(t, pools[0].Full())

	sent := recordAll(t, p, pools[0])
	require.NoError(t, p.Close())
	require.True(t, pools[0].Full())
	require.Equal(t, sent, record(t, out))
	require.Zero(t, p.Counters(0).TxCopied)
}

// recordAll sends frames in each way that there is and returns them.
func recordAll(t *testing.T, p *dpdk.Port, pool *pbuf.Pool) (sent [][]byte) {
	t.Helper()
	put := func(b *pbuf.Pbuf) {
		sent = append(sent, bytesOf(b))
		require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{b}))
	}
	put(frame(t, pool, 60, 1))
	held := frame(t, pool, 1000, 2)
	held.Ref()
	put(held)
	chain := frame(t, pool, 100, 3)
	chain.Cat(frame(t, pool, 1400, 4))
	chain.Ref() // with a reference of ours
	put(chain)
	require.Equal(t, 2, chain.RefCount())
	r, err := pbuf.NewRegion(1 << 16)
	require.NoError(t, err)
	for i := range r.Bytes() {
		r.Bytes()[i] = byte(i / 5)
	}
	ref := frame(t, pool, 54, 5)
	ref.Cat(pool.AllocRef(r, 1000, 8000))
	put(ref)
	put(frame(t, pool, 9000, 6))
	// The next crossing finds that the device is done with all of them.
	p.RxBurst(0, 0, nil)
	require.Equal(t, 1, held.RefCount())
	require.Equal(t, 1, chain.RefCount())
	require.Zero(t, r.Refs())
	require.NoError(t, r.Close())
	held.Free()
	chain.Free()
	n := p.Counters(0)
	require.Equal(t, uint64(1), n.TxHeld)
	require.Equal(t, uint64(3), n.TxExternal)
	return sent
}

// A segment may be sent again, and freed by its owner, at any time: whoever lets
// go last returns it.
func TestHeldBuffers(t *testing.T) {
	noLeak(t)
	p, pools := opened(t, dpdk.Config{Device: unique("net_null")}, pbuf.Config{Small: 256, Buffers: 512})
	b := frame(t, pools[0], 100, 1)
	for range 100 {
		b.Ref()
		require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{b}))
		require.LessOrEqual(t, b.RefCount(), 2, "the one before was found done")
	}
	b.Free()
	require.False(t, pools[0].Full(), "the port holds it")
	// A frame comes back from the null device with each burst asked for.
	dst := make([]*pbuf.Pbuf, 1)
	require.Equal(t, 1, p.RxBurst(0, 0, dst))
	dst[0].Free()
	require.True(t, pools[0].Full())
	require.Equal(t, uint64(100), p.Counters(0).TxHeld)
	// Closed while held.
	b = frame(t, pools[0], 100, 1)
	b.Ref()
	require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{b}))
	b.Free()
	require.NoError(t, p.Close())
	require.True(t, pools[0].Full())
}

// A device may be stopped and started again under threads that go on.
func TestStopAndRestart(t *testing.T) {
	noLeak(t)
	p, pools := opened(t, dpdk.Config{Device: unique("net_null")}, pbuf.Config{Small: 256, Buffers: 512})
	stop, ended := make(chan bool), make(chan uint64)
	go func() {
		dst := make([]*pbuf.Pbuf, 32)
		var n uint64
		for {
			select {
			case <-stop:
				ended <- n
				return
			default:
			}
			k := p.RxBurst(0, 0, dst)
			n += uint64(k)
			k -= p.TxBurst(0, 0, dst[:k])
			pbuf.FreeBatch(dst[:k])
		}
	}()
	for range 20 {
		require.NoError(t, p.Stop())
		before := p.Stats(0)
		time.Sleep(time.Millisecond)
		require.Equal(t, before, p.Stats(0), "nothing flows")
		require.False(t, p.Link().Up)
		require.NoError(t, p.Restart())
		require.Eventually(t, func() bool { return p.Stats(0).RxPackets > before.RxPackets }, 10*time.Second, 100*time.Microsecond)
	}
	close(stop)
	require.NotZero(t, <-ended)
	require.NoError(t, p.Close())
	require.True(t, pools[0].Full())
}

// Generators of UDP may have the device free what it sends without a look.
func TestFastFree(t *testing.T) {
	noLeak(t)
	p, pools := opened(t, dpdk.Config{Device: unique("net_null"), FastFree: true}, pbuf.Config{Small: 256, Buffers: 512})
	small, held := frame(t, pools[0], 60, 1), frame(t, pools[0], 1000, 2)
	held.Ref()
	require.Equal(t, 3, p.TxBurst(0, 0, []*pbuf.Pbuf{small, held, frame(t, pools[0], 1000, 3)}))
	require.Equal(t, uint64(2), p.Counters(0).TxCopied)
	require.Equal(t, 1, held.RefCount(), "a copy needs no hold")
	held.Free()
	require.True(t, pools[0].Full())
}

func TestControls(t *testing.T) {
	noLeak(t)
	p, _, pools, _ := newPair(t, dpdk.PairConfig{Queues: 2})
	require.NoError(t, p.SetPromiscuous(true))
	require.NoError(t, p.SetPromiscuous(false))
	require.NoError(t, p.SetAllMulticast(true))
	host := header.MAC{2, 0, 0, 0, 0, 77}
	require.NoError(t, p.AddMAC(host), "the first address of a ring")
	require.ErrorContains(t, p.AddMAC(header.MAC{2, 0, 0, 0, 0, 78}), "no space", "and the last")
	require.ErrorContains(t, p.RemoveMAC(host), "address", "which it keeps")
	require.Equal(t, 1, p.TxBurst(1, 0, []*pbuf.Pbuf{frame(t, pools[1], 60, 1)}))
	xs, err := p.XStats()
	require.NoError(t, err)
	require.Contains(t, xs, dpdk.XStat{Name: "tx_good_packets", Value: 1})
	_, err = p.AddFlow(dpdk.Rule{EtherType: header.EtherTypeARP})
	require.ErrorIs(t, err, port.ErrNotSupported)
	_, err = p.AddFlow(dpdk.Rule{EtherType: header.EtherTypeARP, Queue: 2})
	require.ErrorIs(t, err, port.ErrQueue)
}

// Groups that frames are taken for are set by device; its kernel has them.
func TestGroups(t *testing.T) {
	noLeak(t)
	p, _ := opened(t, dpdk.Config{Device: unique("net_tap") + ",iface=" + unique("spt")}, pbuf.Config{Small: 64, Buffers: 64})
	require.NoError(t, p.SetGroups([]header.MAC{{1, 0, 0x5e, 0, 0, 1}}))
	require.NoError(t, p.SetPromiscuous(true))
	require.NoError(t, p.SetMTU(1400))
	require.Equal(t, 1400, p.Info().MTU)
}

// Key and table of a device with RSS are set, and read back.
func TestRSS(t *testing.T) {
	noLeak(t)
	p := open(t, dpdk.Config{Device: unique("net_null"), Queues: 4})
	info := p.Info()
	require.True(t, info.RSS.Enabled())
	require.Equal(t, 128, info.RSS.RETA.Size())
	require.Equal(t, uint16(3), info.RSS.RETA.Queue(7))
	reta := info.RSS.RETA
	for i := range reta.Size() {
		require.NoError(t, reta.Set(i, uint16(i/40)))
	}
	var pools []*pbuf.Pool
	for range 4 {
		pools = append(pools, backed(t, p, 1, pbuf.Config{Small: 64, Buffers: 64}))
	}
	require.NoError(t, p.SetRETA(reta))
	require.Equal(t, reta, p.Info().RSS.RETA)
	attach(t, p, pools...)
	require.Equal(t, reta, p.Info().RSS.RETA, "as the device has it")
	require.NoError(t, reta.Set(5, 3))
	require.NoError(t, p.SetRETA(reta), "while frames flow")
	require.Equal(t, reta, p.Info().RSS.RETA)
}

// The offloads that are asked for are those of Info, and no others.
func TestOffloadsAreNegotiated(t *testing.T) {
	noLeak(t)
	p := open(t, dpdk.Config{Device: unique("net_tap") + ",iface=" + unique("spt")})
	require.True(t, p.Info().Caps.Has(offload.TxCsum|offload.RxCsum|offload.MultiSeg), "%v", p.Info().Caps)
	require.NoError(t, p.Close())
	p = open(t, dpdk.Config{Device: unique("net_tap") + ",iface=" + unique("spt"), Without: offload.All})
	require.Zero(t, p.Info().Caps)
	require.NoError(t, p.Close())
}
