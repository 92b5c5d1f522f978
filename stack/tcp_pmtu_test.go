package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// open makes the host connect to the peer, which offers the MSS, and returns the
// PCB and the peer's next sequence number.
func (h *host) open(mss uint16, port uint16) (*TCP, header.Seq) {
	h.t.Helper()
	c := h.NewTCP()
	require.NoError(h.t, c.Connect(ap(peerIP, port), nil))
	syn := h.one()
	var opts [4]byte
	header.PutMSS(opts[:], mss)
	h.in(ipv4{}.tcp(header.TCPFields{SrcPort: port, DstPort: syn.tcp.SrcPort(), Seq: 7, Ack: syn.tcp.Seq().Add(1),
		Flags: header.TCPSyn | header.TCPAck, Window: 65535}, opts[:], nil))
	h.one()
	require.Equal(h.t, StateEstablished, c.State())
	return c, 8
}

// sizes are the data lengths of what was sent since the last take.
func (h *host) sizes() (list []int) {
	for _, f := range h.take() {
		list = append(list, len(f.body))
	}
	return list
}

func pmtuHost(t *testing.T) *host {
	return newHost(t, hostConfig{Config: Config{TCP: TCPConfig{NoTimestamps: true, NoDelay: true}}, Bufs: pbuf.Config{Buffers: 256, Small: 256}})
}

func TestPathMTU_RFC1191_6_4_InFlightGoesOutAgainInPieces(t *testing.T) {
	h := pmtuHost(t)
	c, _ := h.open(1460, 80)
	require.NoError(t, c.Write(pattern(2920), 0))
	_ = c.Output()
	fs := h.take()
	require.Len(t, fs, 2)
	h.in(quoteOf(fs[0], header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 1040, 28))
	require.Equal(t, []int{1000, 460, 1000, 460}, h.sizes())
	require.Equal(t, 1000, c.MSS())
	require.Equal(t, uint64(1), h.stats.TCP.PathMTULowered)
	c.Abort()
	h.take()
}

// TestPathMTU_RFC1191_7_PlateausWhenTheRouterIsOld: without a size the next
// plateau below is tried, again and again, but nothing below 576.
func TestPathMTU_RFC1191_7_PlateausWhenTheRouterIsOld(t *testing.T) {
	h := pmtuHost(t)
	c, _ := h.open(1460, 80)
	require.NoError(t, c.Write(pattern(1460), 0))
	_ = c.Output()
	for _, want := range []int{1492 - 40, 1006 - 40, 576 - 40} {
		fs := h.take()
		h.in(quoteOf(fs[0], header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 0, 28))
		require.Equal(t, want, c.MSS())
	}
	fs := h.take()
	h.in(quoteOf(fs[0], header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 0, 28))
	h.in(quoteOf(fs[0], header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 68, 28))
	require.Equal(t, 576-40, c.MSS())
	h.none()
	require.Equal(t, uint64(3), h.stats.TCP.PathMTULowered)
	c.Abort()
	h.take()
}

// TestPathMTU_RFC5927_4_1_OnlyWhatIsInFlightIsBelieved: an error must quote a
// sequence number that is out there.
func TestPathMTU_RFC5927_4_1_OnlyWhatIsInFlightIsBelieved(t *testing.T) {
	h := pmtuHost(t)
	c, peer := h.open(1460, 80)
	require.NoError(t, c.Write(pattern(1460), 0))
	_ = c.Output()
	f := h.one()
	h.in(ipv4{}.tcp(header.TCPFields{SrcPort: 80, DstPort: f.tcp.SrcPort(), Seq: peer, Ack: f.tcp.Seq().Add(1460),
		Flags: header.TCPAck, Window: 65535}, nil, nil))
	h.in(quoteOf(f, header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 1000, 28)) // it has arrived
	require.Equal(t, 1460, c.MSS())
	f.tcp.SetSeq(f.tcp.Seq().Add(1461))
	h.in(quoteOf(f, header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 1000, 28)) // never sent
	require.Equal(t, 1460, c.MSS())
	h.dropped(DropICMPIgnored, 2)
	require.Equal(t, uint64(2), h.stats.TCP.ICMPRejected)
	require.Nil(t, h.tcp.dests.find(hdr(peerIP)))
	c.Abort()
	h.take()
}

// TestPathMTU_RFC1191_6_3_IsThePathsForAWhile: other connections to the host use
// what one has learned, and all go back to larger segments when it is old.
func TestPathMTU_RFC1191_6_3_IsThePathsForAWhile(t *testing.T) {
	h := pmtuHost(t)
	first, _ := h.open(1460, 80)
	second, _ := h.open(1460, 81)
	require.NoError(t, first.Write(pattern(1460), 0))
	_ = first.Output()
	h.in(quoteOf(h.one(), header.ICMPv4DstUnreachable, header.ICMPv4FragNeeded, 1240, 28))
	first.Abort()
	h.take()
	third, _ := h.open(1460, 82)
	require.Equal(t, 1200, third.MSS(), "a new connection")
	third.Abort()
	require.NoError(t, second.Write(pattern(100), 0))
	_ = second.Output()
	require.Equal(t, 1200, second.MSS(), "one that was there")
	h.take()
	second.Abort()
	h.take()
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), otherIP, h.nif))
	fourth, _ := h.open(1460, 83)
	h.advance(9 * time.Minute)
	require.Equal(t, 1200, fourth.MSS())
	h.advance(2 * time.Minute)
	require.Equal(t, uint64(1), h.stats.TCP.PathMTUExpired)
	require.NoError(t, fourth.Write(pattern(1460), 0))
	_ = fourth.Output()
	require.Equal(t, 1460, fourth.MSS())
	require.NoError(t, fourth.Write(pattern(1460), 0))
	_ = fourth.Output()
	require.Contains(t, h.sizes(), 1460)
	require.False(t, h.cyclic[h.tcp.mtuTimer].active)
	fourth.Abort()
	h.take()
}

// TestBlackHole_RFC4821_7_7_FullSegmentsThatVanishGetSmaller: a path that drops
// what is too long without a word is found out, if the knob says so.
func TestBlackHole_RFC4821_7_7_FullSegmentsThatVanishGetSmaller(t *testing.T) {
	for _, on := range []bool{true, false} {
		cfg := noTS()
		cfg.TCP.NoDelay, cfg.TCP.MTUProbing = true, map[bool]MTUProbing{true: MTUProbingBlackHole}[on]
		sc := runScript(t, cfg, `
			listen
			< S 0 mss=1460
			> SA 0
			< A 1 ack=1
			write 1460
			> A 1 len=1460
			+1010ms
			> A 1 len=1460
			+2010ms
			> A 1 len=1460
			+4010ms
		`)
		if !on {
			sc.run("> A 1 len=1460")
			require.Zero(t, sc.s.stats.TCP.BlackHoles)
			continue
		}
		sc.run("> A 1 len=1024\n +8010ms\n > A 1 len=1024\n +16010ms\n > A 1 len=1024\n +32010ms\n > A 1 len=536")
		require.Equal(t, uint64(2), sc.s.stats.TCP.BlackHoles)
		require.Equal(t, 536, sc.pcb.MSS())
		require.Equal(t, uint16(576), sc.s.tcp.dests.find(hdr(peerIP)).mtu)
		sc.run("< A 1 ack=537\n < A 1 ack=1025\n < A 1 ack=1461\n acked 1460")
		sc.out = nil
	}
	// A small segment that is lost has nothing to do with it.
	cfg := noTS()
	cfg.TCP.MTUProbing = MTUProbingBlackHole
	sc := runScript(t, cfg, established+"write 100\n > A 1 len=100\n +20s")
	require.Zero(t, sc.s.stats.TCP.BlackHoles)
	sc.out = nil
}

// TestDestCache_IsBounded: however many destinations there are, the cache keeps
// its size, and what was used last.
func TestDestCache_IsBounded(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{TCP: TCPConfig{DestCache: 64}}})
	addr := func(i int) header.Addr { return header.AddrFrom4Uint(198<<24 | 18<<16 | uint32(i)) }
	for i := range 10_000 {
		h.SetNow(h.now + 1)
		h.dest(addr(i)).mtu = uint16(i)
	}
	have := 0
	for i := range 10_000 {
		if e := h.tcp.dests.find(addr(i)); e != nil {
			require.Equal(t, uint16(i), e.mtu)
			have++
			require.Greater(t, i, 10_000-64*16, "an old one stayed")
		}
	}
	require.LessOrEqual(t, have, 64)
	require.Greater(t, have, 32)
	require.NotNil(t, h.tcp.dests.find(addr(9_999)))
}
