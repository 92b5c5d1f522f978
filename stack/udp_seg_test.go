package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// bytes is a packet with the bytes of b.
func (h *host) bytes(b []byte) *pbuf.Pbuf {
	h.t.Helper()
	p := h.cfg.Pool.Alloc(pbuf.LayerTransport, len(b), pbuf.KindPool)
	require.NotNil(h.t, p)
	p.Take(b)
	return p
}

func TestUDP_SendSegmentsCutsInSoftware(t *testing.T) {
	h := newHost(t, hostConfig{})
	u, _ := h.bound(4000)
	require.NoError(t, u.Connect(ap(peerIP, 53)))
	want := pattern(3*1000 + 7)
	require.NoError(t, u.SendSegments(h.bytes(want), 1000))
	fs := h.take()
	require.Len(t, fs, 4)
	var got []byte
	for i, f := range fs {
		require.Equal(t, uint16(53), f.udp.DstPort())
		require.Equal(t, min(1000, len(want)-i*1000)+header.UDPLen, int(f.udp.Length()))
		got = append(got, f.body...)
	}
	require.Equal(t, want, got)
	require.Equal(t, uint64(4), h.stats.UDP.OutDatagrams)
	require.NoError(t, u.SendSegments(h.bytes(want[:1000]), 1000))
	require.Equal(t, want[:1000], h.one().body, "one datagram is no segments")
}

// A port with USO gets the packet whole.
func TestUDP_SendSegmentsLeavesCuttingToThePort(t *testing.T) {
	var seen []pbuf.Meta
	h := newHost(t, hostConfig{Netif: NetifConfig{
		Caps: offload.USO | offload.TxCsum | offload.MultiSeg,
		Output: func(ps []*pbuf.Pbuf) int {
			for _, p := range ps {
				seen = append(seen, p.Meta)
				p.Free()
			}
			return len(ps)
		},
	}})
	seen = nil
	u, _ := h.bound(4000)
	require.NoError(t, u.SendSegmentsTo(h.bytes(pattern(5000)), 1400, ap(peerIP, 53)))
	h.Flush(h.now)
	require.Len(t, seen, 1)
	require.Equal(t, pbuf.TxUSO|pbuf.TxUDPCsum, seen[0].Flags&(pbuf.TxUSO|pbuf.TxUDPCsum))
	require.Equal(t, uint16(1400), seen[0].SegSize)
}

func TestUDP_SendSegmentsRefuses(t *testing.T) {
	h := newHost(t, hostConfig{})
	u, _ := h.bound(4000)
	require.ErrorIs(t, u.SendSegments(h.bytes(pattern(10)), 5), ErrConn, "not connected")
	to := ap(peerIP, 53)
	for _, size := range []int{0, -1, 1 << 17} {
		require.ErrorIs(t, u.SendSegmentsTo(h.bytes(pattern(100)), size, to), ErrVal)
	}
	require.ErrorIs(t, u.SendSegmentsTo(h.bytes(pattern(offload.MaxUSO+1)), 1, to), ErrVal)
	require.ErrorIs(t, u.SendSegmentsTo(h.bytes(pattern(3000)), 1473, to), ErrVal, "each would be fragmented")
	h.dropped(DropIPTooLong, 5)
	h.none()
}

// joined is a packet of datagrams of size bytes as GRO makes them.
func (h *host) joined(b []byte, size int) *pbuf.Pbuf {
	p := h.packet(ipv4{}.udp(4000, 53, b))
	p.Flags |= pbuf.RxLRO | pbuf.RxIPCsumGood | pbuf.RxL4CsumGood | pbuf.RxL4Partial
	p.SegSize = uint16(size)
	return p
}

func TestUDP_JoinedDatagramsComeAlone(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	want := pattern(1300)
	h.inPackets(h.joined(want, 500))
	require.Equal(t, [][]byte{want[:500], want[500:1000], want[1000:]}, b.got)
	require.Equal(t, ap(peerIP, 4000), b.from[2])
	require.Equal(t, uint64(3), h.stats.UDP.InDatagrams)
}

func TestUDP_JoinedDatagramsComeTogetherIfAskedFor(t *testing.T) {
	h := newHost(t, hostConfig{})
	u, b := h.bound(53)
	u.SetJoined(true)
	h.inPackets(h.joined(pattern(1300), 500))
	require.Equal(t, [][]byte{pattern(1300)}, b.got)
}

// A receiver that closes in the middle gets no more; the rest is counted.
func TestUDP_JoinedDatagramsAfterClose(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(ap(netip.Addr{}, 53)))
	n := 0
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, _ netip.AddrPort) {
		n++
		p.Free()
		u.Close()
	})
	h.inPackets(h.joined(pattern(1300), 500))
	require.Equal(t, 1, n)
	h.dropped(DropUDPNoPort, 2)
}

// To ourselves nothing is cut, but what arrives are the datagrams.
func TestUDP_SendSegmentsToOurselves(t *testing.T) {
	h := newHost(t, hostConfig{})
	_, b := h.bound(53)
	u, _ := h.bound(4000)
	require.NoError(t, u.SendSegmentsTo(h.bytes(pattern(1300)), 500, ap(userIP, 53)))
	h.settle()
	h.Poll(h.now)
	require.Len(t, b.got, 3)
	require.Equal(t, pattern(1300)[1000:], b.got[2])
}
