//go:build dpdk

package dpdk_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
)

// vhostPorts makes the two ends of a virtio device that are joined by a socket: a
// driver (virtio_user), and the device itself (vhost).
func vhostPorts(t testing.TB, queues int) (driver, device dpdk.Config) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	device = dpdk.Config{Device: fmt.Sprintf("%s,iface=%s,tso=1,queues=%d", unique("net_vhost"), socket, queues), Queues: queues}
	driver = dpdk.Config{
		Device: fmt.Sprintf("%s,path=%s,queue_size=1024,queues=%d", unique("net_virtio_user"), socket, queues), Queues: queues,
	}
	return driver, device
}

// vhostPair is both with pools, started.
func vhostPair(t testing.TB, queues int) (driver, device *dpdk.Port, pd, pv []*pbuf.Pool) {
	t.Helper()
	noLeak(t)
	pool := pbuf.Config{Small: 256, Buffers: 1024}
	c, v := vhostPorts(t, queues)
	device, pv = opened(t, v, pool)
	driver, pd = opened(t, c, pool)
	require.Eventually(t, func() bool { return device.Link().Up && driver.Link().Up }, 10*time.Second, time.Millisecond)
	return driver, device, pd, pv
}

const (
	tcpOffset  = header.EthernetLen + header.IPv4Len
	dataOffset = tcpOffset + header.TCPLen
)

// segment is a TCP segment of n bytes that asks for its checksum.
func segment(t testing.TB, pool *pbuf.Pool, n int) *pbuf.Pbuf {
	t.Helper()
	p := pool.Alloc(pbuf.LayerRaw, dataOffset+n, pbuf.KindRAM)
	require.NotNil(t, p)
	b := p.Payload()
	for i := range b {
		b[i] = byte(i / 3)
	}
	src, dst := header.AddrFrom4Uint(0xc6120001), header.AddrFrom4Uint(0xc6120002)
	(*header.Ethernet)(b).Encode(header.MAC{2, 0, 0, 0, 0, 1}, header.MAC{2, 0, 0, 0, 0, 2}, header.EtherTypeIPv4)
	(*header.IPv4)(b[header.EthernetLen:]).Encode(&header.IPv4Fields{
		TotalLen: uint16(len(b) - header.EthernetLen), TTL: 64, Protocol: header.ProtoTCP, Src: src, Dst: dst,
	})
	(*header.IPv4)(b[header.EthernetLen:]).FillChecksum(b[header.EthernetLen:tcpOffset])
	tcp := (*header.TCP)(b[tcpOffset:])
	tcp.Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, Seq: 1000, Flags: header.TCPAck, HdrLen: header.TCPLen, Window: 100})
	tcp.SetChecksum(header.PseudoHeader4(src, dst, header.ProtoTCP, uint16(header.TCPLen+n)))
	p.Flags = pbuf.TxTCPCsum
	p.L2Len, p.L3Len, p.L4Len = header.EthernetLen, header.IPv4Len, header.TCPLen
	return p
}

// Checksums are left to the device, which says that nobody made them.
func TestVirtioChecksum(t *testing.T) {
	driver, device, pd, pv := vhostPair(t, 1)
	require.True(t, driver.Info().Caps.Has(offload.TxTCPCsum|offload.TxUDPCsum|offload.TSO4|offload.TSO6), "%v", driver.Info().Caps)
	require.True(t, device.Info().Caps.Has(offload.TxTCPCsum), "%v", device.Info().Caps)
	for _, way := range []struct {
		from, to *dpdk.Port
		pool     *pbuf.Pool
	}{{driver, device, pd[0]}, {device, driver, pv[0]}} {
		p := segment(t, way.pool, 500)
		data := bytesOf(p)[dataOffset:]
		require.Equal(t, 1, way.from.TxBurst(0, 0, []*pbuf.Pbuf{p}))
		got := receive(t, way.to, 0, 1)[0]
		require.Equal(t, data, bytesOf(got)[dataOffset:])
		require.NotZero(t, got.Flags&pbuf.RxL4CsumGood, "%v", got.Flags)
		if got.Flags&pbuf.RxL4Partial == 0 { // then it has been made
			require.Equal(t, uint16(0xffff), offload.L4Sum(got, tcpOffset, header.PseudoHeader4(
				header.AddrFrom4Uint(0xc6120001), header.AddrFrom4Uint(0xc6120002), header.ProtoTCP, header.TCPLen+500)))
		}
		got.Free()
	}
}

// A segment of 40 KB that asks to be cut arrives whole, as between two machines
// on one host, and says of what it consists.
func TestVirtioTSO(t *testing.T) {
	driver, device, pd, pv := vhostPair(t, 1)
	for round := range 100 {
		p := segment(t, pd[0], 40000)
		p.Flags |= pbuf.TxTSO
		p.SegSize = 1448
		p.Ref()
		want := bytesOf(p)[dataOffset:]
		require.Equal(t, 1, driver.TxBurst(0, int64(round)*1e7, []*pbuf.Pbuf{p}))
		got := receive(t, device, 0, 1)[0]
		require.Equal(t, want, bytesOf(got)[dataOffset:])
		require.NotZero(t, got.Flags&pbuf.RxLRO)
		require.Equal(t, uint16(1448), got.SegSize)
		require.Equal(t, [3]uint8{14, 20, 20}, [3]uint8{got.L2Len, got.L3Len, got.L4Len})
		require.Greater(t, got.ChainLen(), 1)
		got.Free()
		require.True(t, pv[0].Full())
		// The device has read it, and the driver is asked to let go.
		driver.RxBurst(0, int64(round)*1e7+5e6, nil)
		require.Equal(t, 1, p.RefCount(), "round %d", round)
		p.Free()
		require.True(t, pd[0].Full())
	}
	// Copies where this version of the driver can't be asked to let go.
	n := driver.Counters(0)
	require.Equal(t, uint64(100), n.TxExternal+n.TxCopied)
}

// What is sent on a queue arrives on it.
func TestVirtioQueues(t *testing.T) {
	driver, device, pd, pv := vhostPair(t, 2)
	for q := range 2 {
		p := segment(t, pd[q], 100+q)
		p.Ref()
		require.Equal(t, 1, driver.TxBurst(q, 0, []*pbuf.Pbuf{p}))
		got := receive(t, device, q, 1)[0]
		require.Equal(t, dataOffset+100+q, got.TotLen())
		require.Equal(t, 1, device.TxBurst(q, 0, []*pbuf.Pbuf{got}), "and back, as it is")
		got = receive(t, driver, q, 1)[0]
		require.Equal(t, bytesOf(p)[dataOffset:], bytesOf(got)[dataOffset:])
		got.Free()
		driver.RxBurst(q, 1e10, nil)
		require.Equal(t, 1, p.RefCount())
		p.Free()
		require.True(t, pv[q].Full())
	}
}
