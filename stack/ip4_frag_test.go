package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// join puts fragments in order together and asserts that they fit.
func join(t testing.TB, fs []frame, mtu int) []byte {
	t.Helper()
	var body []byte
	for i, f := range fs {
		require.LessOrEqual(t, len(f.ipb), mtu)
		require.Equal(t, len(body), int(f.ip.FragOffset()))
		require.Equal(t, i < len(fs)-1, f.ip.MoreFragments())
		require.Equal(t, fs[0].ip.ID(), f.ip.ID())
		if f.ip.MoreFragments() {
			require.Zero(t, len(f.body)%8, "RFC 791 3.2: in units of 8 bytes")
			require.Greater(t, len(f.ipb), mtu-8, "as long as it can be")
		}
		body = append(body, f.body...)
	}
	return body
}

func TestIP4Frag_RFC791_3_2(t *testing.T) {
	for _, mtu := range []int{576, 1500, 1501, 9000} {
		for _, n := range []int{mtu - 28, mtu - 27, 2 * mtu, 20000, 65507} {
			h := newHost(t, hostConfig{Netif: NetifConfig{MTU: mtu}})
			require.NoError(t, h.sendUDP(peerIP, n))
			fs := h.take()
			if n == mtu-28 {
				require.Len(t, fs, 1)
				require.NotNil(t, fs[0].udp)
				require.Zero(t, h.stats.IP.FragCreates)
				continue
			}
			b := join(t, fs, mtu)
			require.Equal(t, pattern(n), b[header.UDPLen:])
			sum := header.PseudoHeader(hdr(userIP), hdr(peerIP), header.ProtoUDP, uint32(len(b)))
			require.Equal(t, uint16(0xffff), header.Checksum(b, sum), "UDP checksum of the whole")
			require.Equal(t, uint64(1), h.stats.IP.FragOKs)
			require.Equal(t, uint64(len(fs)), h.stats.IP.FragCreates)
		}
	}
}

// TestIP4Frag_ChecksumOffload: a port that fills UDP checksums can't do it for
// fragments.
func TestIP4Frag_ChecksumOffload(t *testing.T) {
	h := newHost(t, hostConfig{Netif: NetifConfig{Caps: offload.TxUDPCsum | offload.TxIPCsum}})
	u := h.NewUDP()
	require.NoError(t, u.SendTo(h.data(2000), netip.AddrPortFrom(peerIP, 9)))
	b := join(t, h.take(), 1500)
	sum := header.PseudoHeader(hdr(userIP), hdr(peerIP), header.ProtoUDP, uint32(len(b)))
	require.Equal(t, uint16(0xffff), header.Checksum(b, sum))
}

func TestIP4Frag_AllOrNothing(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: 8, Buffers: 8, Jumbo: -1}})
	require.ErrorIs(t, h.sendUDP(peerIP, 9000), ErrMem)
	h.none()
	h.dropped(DropNoBuf, 1)
	require.Equal(t, uint64(1), h.stats.IP.FragFails)
}

func TestIP4Frag_WaitsForARP(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	require.NoError(t, h.sendUDP(peerIP, 5000))
	require.NotNil(t, h.one().arp)
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	require.Equal(t, pattern(5000), join(t, h.take(), 1500)[header.UDPLen:])
}

func TestIP4Frag_TCPIsNeverCut(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.ErrorIs(t, h.ip4Output(h.data(1481), header.Addr{}, hdr(peerIP), header.ProtoTCP, 0, 0), ErrTooLong)
	h.dropped(DropIPNeedsFrag, 1)
	require.Equal(t, uint64(1), h.stats.IP.FragFails)
}

func TestIP4Frag_LaterHeader(t *testing.T) {
	for _, c := range []struct{ opts, want []byte }{
		{nil, nil},
		{[]byte{1, 1, 1, 1}, nil},
		{[]byte{148, 4, 0, 0}, []byte{148, 4, 0, 0}},
		{[]byte{1, 130, 3, 9, 7, 3, 4, 0}, []byte{130, 3, 9, 0}},
		{[]byte{0, 148, 4, 0}, nil}, // nothing counts behind the end
		{[]byte{148, 9, 0, 0}, nil}, // cut short: the gate would have refused it
		{[]byte{136, 4, 1, 2, 68, 4, 5, 0}, []byte{136, 4, 1, 2}},
	} {
		hdr := ipv4{opts: c.opts}.packet(nil)
		var dst [header.IPv4MaxLen]byte
		n := laterHeader(&dst, hdr)
		require.Equal(t, header.IPv4Len+len(c.want), n, "%v", c.opts)
		require.Equal(t, append([]byte{}, c.want...), append([]byte{}, dst[header.IPv4Len:n]...), "%v", c.opts)
		require.Equal(t, n, (*header.IPv4)(dst[:]).HdrLen())
	}
}
