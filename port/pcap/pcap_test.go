package pcap_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
	"github.com/shardstack/shardstack/port/pcap"
)

// wire is a wire both ends of which are captured.
func wire(t *testing.T, w *pcap.Writer, cfg mem.Config) (a, b port.Port, pool *pbuf.Pool) {
	t.Helper()
	ea, eb, err := mem.New(cfg)
	require.NoError(t, err)
	pool = pbuftest.NewPool(t, pbuf.Config{})
	a, err = w.Wrap(ea)
	require.NoError(t, err)
	b, err = w.Wrap(eb)
	require.NoError(t, err)
	for _, p := range []port.Port{a, b} {
		for q := range p.Info().Queues {
			require.NoError(t, p.Attach(q, pool))
		}
		require.NoError(t, p.Start())
	}
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	return a, b, pool
}

// ping makes an echo request of n bytes, at least 60, as a chain.
func ping(t *testing.T, pool *pbuf.Pool, n int, seq uint16) *pbuf.Pbuf {
	t.Helper()
	b := make([]byte, n)
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 0, 2}, header.MAC{2, 0, 0, 0, 0, 1}, header.EtherTypeIPv4)
	(*header.IPv4)(b[14:]).Encode(&header.IPv4Fields{
		TTL: 9, Protocol: header.ProtoICMP, TotalLen: uint16(n - 14),
		Src: header.AddrFrom4([4]byte{198, 18, 0, 1}), Dst: header.AddrFrom4([4]byte{198, 18, 0, 2}),
	})
	icmp := (*header.ICMPv4)(b[34:])
	icmp.Encode(header.ICMPv4Echo, 0, 77<<16|uint32(seq))
	icmp.SetChecksum(^header.Checksum(b[34:], 0))
	p := pool.Alloc(pbuf.LayerRaw, 41, pbuf.KindRAM)
	require.NoError(t, p.Take(b[:41]))
	q := pool.Alloc(pbuf.LayerRaw, n-41, pbuf.KindRAM)
	require.NoError(t, q.Take(b[41:]))
	p.Cat(q)
	return p
}

func content(p *pbuf.Pbuf) []byte {
	b := make([]byte, p.TotLen())
	return b[:p.CopyPartial(b, 0)]
}

// Another implementation reads back bytes, times, lengths and interfaces.
func TestReadBackByGopacket(t *testing.T) {
	var file bytes.Buffer
	epoch := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	w, err := pcap.NewWriter(&file, pcap.Config{Epoch: epoch})
	require.NoError(t, err)
	a, b, pool := wire(t, w, mem.Config{A: mem.EndConfig{Name: "left"}, B: mem.EndConfig{Name: "right"}})
	var sent [][]byte
	dst := make([]*pbuf.Pbuf, 4)
	for i := range 20 {
		p := ping(t, pool, 60+i, uint16(i)) // each remainder mod 4
		sent = append(sent, content(p))
		require.Equal(t, 1, a.TxBurst(0, int64(i)*1_000_000_007, []*pbuf.Pbuf{p}))
		require.Equal(t, 1, b.RxBurst(0, int64(i)*1_000_000_007+1, dst))
		dst[0].Free()
	}
	require.NoError(t, w.Err())

	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	require.Equal(t, layers.LinkTypeEthernet, r.LinkType())
	for i := range 40 {
		data, ci, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, sent[i/2], data)
		require.Equal(t, len(data), ci.Length)
		require.Equal(t, i%2, ci.InterfaceIndex)
		require.True(t, epoch.Add(time.Duration(i/2*1_000_000_007+i%2)).Equal(ci.Timestamp), "%v", ci.Timestamp)
	}
	_, _, err = r.ReadPacketData()
	require.Error(t, err)
	for i, name := range []string{"left", "right"} {
		iface, err := r.Interface(i)
		require.NoError(t, err)
		require.Equal(t, name, iface.Name)
	}
}

func TestSnapLen(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.Config{SnapLen: 50})
	require.NoError(t, err)
	a, _, pool := wire(t, w, mem.Config{})
	p := ping(t, pool, 200, 1)
	sent := content(p)
	require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{p}))
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	data, ci, err := r.ReadPacketData()
	require.NoError(t, err)
	require.Equal(t, sent[:50], data)
	require.Equal(t, 200, ci.Length)
	require.Equal(t, 50, ci.CaptureLength)
}

// tshark reads the file, agrees on what is in it, and knows direction, queue
// and interface of each frame.
func TestReadByTshark(t *testing.T) {
	tshark := testenv.Tool(t, "tshark")
	name := filepath.Join(t.TempDir(), "out.pcapng")
	file, err := os.Create(name)
	require.NoError(t, err)
	buf := bufio.NewWriter(file)
	w, err := pcap.NewWriter(buf, pcap.Config{})
	require.NoError(t, err)
	a, b, pool := wire(t, w, mem.Config{A: mem.EndConfig{Queues: 2}})
	require.Equal(t, 2, a.TxBurst(1, 1_500_000_000, []*pbuf.Pbuf{ping(t, pool, 60, 1), ping(t, pool, 1000, 2)}))
	dst := make([]*pbuf.Pbuf, 4)
	require.Equal(t, 2, b.RxBurst(0, 1_500_000_001, dst))
	pbuf.FreeBatch(dst[:2])
	require.NoError(t, buf.Flush())
	require.NoError(t, file.Close())

	cmd := exec.Command(tshark, "-n", "-r", name, "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=,",
		"-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction",
		"-e", "frame.interface_queue", "-e", "frame.len", "-e", "ip.checksum.status", "-e", "icmp.seq", "-e", "icmp.checksum.status")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.Equal(t, strings.Join([]string{
		"1.500000000,a,0x00000002,1,60,1,1,1",
		"1.500000000,a,0x00000002,1,1000,1,2,1",
		"1.500000001,b,0x00000001,0,60,1,1,1",
		"1.500000001,b,0x00000001,0,1000,1,2,1",
	}, "\n"), strings.TrimSpace(string(out)))
}

// brokenAfter fails from the nth write on.
type brokenAfter int

var errDisk = errors.New("disk full")

func (n *brokenAfter) Write(b []byte) (int, error) {
	if *n--; *n < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

// A file that can't be written is told by Err, and frames flow on.
func TestWriteErrors(t *testing.T) {
	n := brokenAfter(0)
	_, err := pcap.NewWriter(&n, pcap.Config{})
	require.ErrorIs(t, err, errDisk)

	n = 1
	w, err := pcap.NewWriter(&n, pcap.Config{})
	require.NoError(t, err)
	ea, _, err := mem.New(mem.Config{})
	require.NoError(t, err)
	_, err = w.Wrap(ea)
	require.ErrorIs(t, err, errDisk)

	n = 3
	w, err = pcap.NewWriter(&n, pcap.Config{})
	require.NoError(t, err)
	a, _, pool := wire(t, w, mem.Config{})
	require.NoError(t, w.Err())
	for range 3 {
		require.Equal(t, 1, a.TxBurst(0, 0, []*pbuf.Pbuf{ping(t, pool, 60, 1)}))
		require.ErrorIs(t, w.Err(), errDisk)
	}
	require.EqualValues(t, 3, a.Stats(0).TxPackets)
}

func TestConfigValidate(t *testing.T) {
	for _, cfg := range []pcap.Config{
		{SnapLen: -1}, {SnapLen: pcap.MaxSnapLen + 1}, {Epoch: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := pcap.NewWriter(&bytes.Buffer{}, cfg)
		require.ErrorIs(t, err, pcap.ErrConfig, fmt.Sprint(cfg))
	}
}

// Threads of both ends write to one file; no block is torn.
func TestThreads(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.Config{})
	require.NoError(t, err)
	ea, eb, err := mem.New(mem.Config{})
	require.NoError(t, err)
	const n = 200
	var wg sync.WaitGroup
	for _, e := range []*mem.End{ea, eb} {
		pool := pbuftest.NewPool(t, pbuf.Config{Small: 2 * n, Buffers: 2 * n})
		p, err := w.Wrap(e)
		require.NoError(t, err)
		require.NoError(t, p.Attach(0, pool))
		require.NoError(t, p.Start())
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		var ps []*pbuf.Pbuf
		for i := range n {
			ps = append(ps, ping(t, pool, 60+i, uint16(i)))
		}
		wg.Go(func() {
			for i := range ps {
				p.TxBurst(0, int64(i), ps[i:i+1])
			}
		})
	}
	wg.Wait()
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	next := [2]int{}
	for range 2 * n {
		data, ci, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Len(t, data, 60+next[ci.InterfaceIndex])
		next[ci.InterfaceIndex]++
	}
}
