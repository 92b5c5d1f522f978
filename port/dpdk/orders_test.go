//go:build dpdk

package dpdk_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
	"github.com/shardstack/shardstack/port/dpdk/dpdktest"
)

// What a packet asks for reaches the device in the words of DPDK, with the IP
// version that it finds in the packet: here one that only looks.
func TestOrdersReachTheDevice(t *testing.T) {
	noLeak(t)
	p, pools := opened(t, dpdk.Config{Device: unique("net_null"), Polled: true}, pbuf.Config{Small: 64, Buffers: 64})
	d := named(t, p)
	require.NoError(t, d.Watch())
	lens := pbuf.Meta{L2Len: 14, L3Len: 20, L4Len: 8}
	for _, c := range []struct {
		name    string
		flags   pbuf.Flags
		version byte
		meta    pbuf.Meta
		want    dpdktest.Sent
	}{
		{"nothing", 0, 4, pbuf.Meta{SegSize: 1000, VLAN: 7}, dpdktest.Sent{}},
		{"IPv4", pbuf.TxIPCsum, 4, lens, dpdktest.Sent{IPCsum: true, IPv4: true}},
		{"TCP", pbuf.TxTCPCsum, 4, lens, dpdktest.Sent{TCPCsum: true, IPv4: true}},
		{"UDP", pbuf.TxUDPCsum, 6, lens, dpdktest.Sent{UDPCsum: true, IPv6: true}},
		// A driver cuts the IPv4 header up and sums it anew.
		{"TSO", pbuf.TxTCPCsum | pbuf.TxTSO, 4, pbuf.Meta{SegSize: 1448}, dpdktest.Sent{TCPCsum: true, TSO: true, IPCsum: true, IPv4: true, SegLen: 1448}},
		{"TSO of IPv6", pbuf.TxTCPCsum | pbuf.TxTSO, 6, pbuf.Meta{SegSize: 1428}, dpdktest.Sent{TCPCsum: true, TSO: true, IPv6: true, SegLen: 1428}},
		{"USO", pbuf.TxUDPCsum | pbuf.TxUSO, 4, pbuf.Meta{SegSize: 1472}, dpdktest.Sent{UDPCsum: true, USO: true, IPCsum: true, IPv4: true, SegLen: 1472}},
		{"USO of IPv6", pbuf.TxUDPCsum | pbuf.TxUSO, 6, pbuf.Meta{SegSize: 1452}, dpdktest.Sent{UDPCsum: true, USO: true, IPv6: true, SegLen: 1452}},
		{"VLAN", pbuf.TxVLAN, 4, pbuf.Meta{VLAN: 0x6005}, dpdktest.Sent{InsertVLAN: true, VLAN: 0x6005}},
	} {
		b := frame(t, pools[0], 1000, 0)
		b.Payload()[14] = c.version << 4
		c.meta.Flags, c.meta.L2Len = c.flags, 14
		b.Meta = c.meta
		require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{b}), c.name)
		got := dpdktest.Seen()
		require.Len(t, got, 1, c.name)
		if c.flags != 0 {
			c.want.L2Len, c.want.L3Len, c.want.L4Len = 14, int(c.meta.L3Len), int(c.meta.L4Len)
		} else { // then no driver looks at these
			got[0].L2Len, got[0].L3Len, got[0].L4Len, got[0].SegLen, got[0].VLAN = 0, 0, 0, 0, 0
		}
		c.want.Len, c.want.Segs = 1000, 1
		require.Equal(t, c.want, got[0], c.name)
	}
}

// Devices insert and strip tags (IEEE 802.1Q), also those of segments that TCP
// keeps, of chains, and of frames without headroom; what is kept stays as it was.
func TestVLANIsInsertedAndStripped(t *testing.T) {
	driver, device, pd, pv := vhostPair(t, 1)
	require.True(t, driver.Info().Caps.Has(offload.VLANInsert|offload.VLANStrip), "%v", driver.Info().Caps)
	require.True(t, device.Info().Caps.Has(offload.VLANInsert|offload.VLANStrip), "%v", device.Info().Caps)
	for _, way := range []struct {
		from, to *dpdk.Port
		pool, at *pbuf.Pool
	}{{driver, device, pd[0], pv[0]}, {device, driver, pv[0], pd[0]}} {
		for _, kind := range []string{"plain", "held", "chain"} {
			p := frame(t, way.pool, 100, 1)
			if kind == "chain" {
				p.Cat(frame(t, way.pool, 900, 7))
			}
			want := bytesOf(p)
			p.Flags, p.VLAN = pbuf.TxVLAN, 0x6123
			if kind != "plain" {
				p.Ref()
			}
			require.Equal(t, 1, way.from.TxBurst(0, 0, []*pbuf.Pbuf{p}), kind)
			got := receive(t, way.to, 0, 1)[0]
			require.Equal(t, pbuf.RxVLAN, got.Flags&pbuf.RxVLAN, kind)
			require.Equal(t, uint16(0x6123), got.VLAN, kind)
			require.Equal(t, want, bytesOf(got), kind)
			got.Free()
			way.from.RxBurst(0, 1e10, nil)
			if kind != "plain" {
				require.Equal(t, 1, p.RefCount(), kind)
				require.Equal(t, want, bytesOf(p), kind)
				p.Free()
			}
			require.True(t, way.at.Full(), kind)
		}
		require.Zero(t, way.from.Stats(0).TxErrors)
	}
}

// A capture that is replayed says when its frames arrived (RxTime).
func TestReceiveTime(t *testing.T) {
	noLeak(t)
	in := filepath.Join(t.TempDir(), "in.pcap")
	f, err := os.Create(in)
	require.NoError(t, err)
	w := pcapgo.NewWriter(f)
	require.NoError(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	at := time.Unix(1_700_000_000, 123_456_000)
	for i := range 3 {
		ci := gopacket.CaptureInfo{Timestamp: at.Add(time.Duration(i) * time.Second), CaptureLength: 60, Length: 60}
		require.NoError(t, w.WritePacket(ci, make([]byte, 60)))
	}
	require.NoError(t, f.Close())
	for _, without := range []offload.Caps{0, offload.RxTime} {
		p, _ := opened(t, dpdk.Config{Device: unique("net_pcap") + ",rx_pcap=" + in, Without: without}, pbuf.Config{Small: 64, Buffers: 64})
		require.Equal(t, without == 0, p.Info().Caps.Has(offload.RxTime))
		for i, got := range receive(t, p, 0, 3) {
			require.Equal(t, without == 0, got.Flags&pbuf.RxTime != 0)
			if without == 0 {
				require.Equal(t, at.Add(time.Duration(i)*time.Second).UnixNano(), got.Time)
			}
			got.Free()
		}
	}
	p := open(t, dpdk.Config{Device: unique("net_null")})
	require.False(t, p.Info().Caps.Has(offload.RxTime), "a device without times offers none")
	require.NoError(t, p.Close())
}
