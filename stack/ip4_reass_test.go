package stack

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// cut makes frames of the fragments of body, of size bytes each.
func (h ipv4) cut(body []byte, size int) (frames [][]byte) {
	for off := 0; off < len(body); off += size {
		end := min(off+size, len(body))
		f := h
		f.off, f.more = off, end < len(body)
		frames = append(frames, f.frame(body[off:end]))
	}
	return frames
}

func reassHost(t testing.TB, cfg ReassemblyConfig) (*host, *sink) {
	t.Helper()
	h := newHost(t, hostConfig{Config: Config{Reassembly: cfg}})
	return h, h.listenRaw(testProto)
}

func TestReass_RFC791_3_2_AnyOrder(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{MaxBuffers: maxFragments})
	rng := rand.New(rand.NewPCG(1, 2))
	fragmented := uint64(0)
	for round := range 50 {
		body := pattern(1 + rng.IntN(20000))
		fs := ipv4{proto: testProto, id: uint16(round)}.cut(body, 8*(1+rng.IntN(180)))
		if len(fs) > maxFragments {
			continue
		}
		if len(fs) > 1 {
			fragmented++
		}
		rng.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		n := len(k.got)
		h.in(fs...)
		require.Equal(t, n+1, len(k.got))
		got := k.got[n]
		ip, hdrLen, total, fault := header.ParseIPv4(got)
		require.Zero(t, fault)
		require.True(t, ip.VerifyChecksum(got[:hdrLen]))
		require.Equal(t, len(got), total)
		require.False(t, ip.IsFragment())
		require.Equal(t, body, got[hdrLen:])
		require.Zero(t, h.reass.held)
	}
	require.Greater(t, fragmented, uint64(20))
	require.Equal(t, fragmented, h.stats.IP.ReasmOKs)
	require.Equal(t, int64(Forever), h.NextTimeout(), "nothing waits")
}

func TestReass_RFC815_Interleaved(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	a := ipv4{proto: testProto, id: 1}.cut(pattern(3000), 1000)
	b := ipv4{proto: testProto, id: 2}.cut(pattern(2500), 1000)
	c := ipv4{proto: testProto, id: 1, src: otherIP}.cut(pattern(2000), 1000)
	d := ipv4{proto: testProto + 1, id: 1}.cut(pattern(2400), 800)
	e := h.listenRaw(testProto + 1)
	h.in(a[2], b[0], c[1], d[0], a[0], b[2], d[2], c[0], b[1], d[1], a[1])
	require.Len(t, k.got, 3)
	require.Equal(t, pattern(2000), k.got[0][header.IPv4Len:])
	require.Equal(t, otherIP, k.from[0])
	require.Equal(t, pattern(2500), k.got[1][header.IPv4Len:])
	require.Equal(t, pattern(3000), k.got[2][header.IPv4Len:])
	require.Equal(t, pattern(2400), e.got[0][header.IPv4Len:])
}

func TestReass_RFC791_3_2_LargestPacket(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	body := pattern(65515)
	h.in(ipv4{proto: testProto}.cut(body, 1480)...)
	require.Len(t, k.got, 1)
	require.Equal(t, body, k.got[0][header.IPv4Len:])
}

func TestReass_RFC791_3_2_TooLong(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	h.in(ipv4{proto: testProto, off: 65512}.frame(pattern(100))) // the ping of death
	h.dropped(DropIPFragMalformed, 1)
	// The payload fits, but not with the first fragment's options.
	fs := ipv4{proto: testProto, id: 2}.cut(pattern(65515), 1480)
	fs[0] = ipv4{proto: testProto, id: 2, more: true, opts: []byte{1, 1, 1, 1}}.frame(pattern(1480))
	h.in(fs...)
	h.dropped(DropIPFragMalformed, 1+len(fs))
	require.Empty(t, k.got)
	require.Zero(t, h.reass.held)
}

func TestReass_RFC791_3_2_LengthNotOfEight(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	h.in(ipv4{proto: testProto, more: true}.frame(pattern(12)), ipv4{proto: testProto, off: 8}.frame(nil))
	h.dropped(DropIPFragMalformed, 2)
	require.Empty(t, k.got)
	require.Equal(t, int64(Forever), h.NextTimeout())
}

func TestReass_DuplicatesAreHarmless(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	fs := ipv4{proto: testProto}.cut(pattern(3000), 1000)
	h.in(fs[0], fs[0], fs[2], fs[0], fs[2], fs[1])
	require.Len(t, k.got, 1)
	h.dropped(DropIPFragDuplicate, 3)
}

// TestReass_RFC5722_3_Overlaps: a fragment that overlaps another ends the
// datagram, whichever came first.
func TestReass_RFC5722_3_Overlaps(t *testing.T) {
	frag := func(from, to int, more bool) []byte {
		return ipv4{proto: testProto, off: from, more: more}.frame(pattern(2000)[from:to])
	}
	for name, fs := range map[string][][]byte{
		"front":          {frag(8, 24, true), frag(0, 16, true)},
		"back":           {frag(0, 16, true), frag(8, 24, true)},
		"inside":         {frag(0, 80, true), frag(16, 32, true)},
		"around":         {frag(16, 32, true), frag(0, 80, true)},
		"same start":     {frag(0, 16, true), frag(0, 24, true)},
		"same end":       {frag(0, 16, true), frag(8, 16, true)},
		"past the end":   {frag(64, 100, false), frag(96, 104, true)},
		"two ends":       {frag(64, 100, false), frag(64, 96, false)},
		"two ends apart": {frag(64, 100, false), frag(200, 208, false)},
		"end before":     {frag(64, 128, true), frag(8, 60, false)},
		"end is no end":  {frag(80, 160, true), frag(80, 160, false)},
		"beyond the end": {frag(64, 100, false), frag(200, 208, true)},
	} {
		t.Run(name, func(t *testing.T) {
			h, k := reassHost(t, ReassemblyConfig{})
			h.in(fs...)
			h.mayDrop(DropIPFragMalformed, DropIPFragDuplicate)
			if name != "end is no end" {
				require.Zero(t, h.reass.held, "the whole datagram is gone")
				require.Equal(t, uint64(2), h.stats.Drops[DropIPFragMalformed])
				require.Equal(t, int64(Forever), h.NextTimeout())
			}
			require.Empty(t, k.got)
			h.none()
		})
	}
}

func TestReass_RFC1122_3_3_2_Timeout(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	body := pattern(3000)
	fs := ipv4{proto: testProto}.cut(body, 1000)
	h.in(fs[0])
	h.advance(30 * time.Second)
	h.in(fs[2]) // does not restart the clock
	h.advance(30*time.Second - 1)
	h.none()
	h.advance(1)
	f := h.one()
	require.Equal(t, header.ICMPv4TimeExceeded, f.icmp.Type())
	require.Equal(t, header.ICMPv4ReassemblyExceeded, f.icmp.Code())
	require.Equal(t, fs[0][header.EthernetLen:][:548], f.body)
	h.dropped(DropIPFragTimeout, 2)
	require.Equal(t, uint64(1), h.stats.IP.ReasmTimeout)
	require.Equal(t, uint64(1), h.stats.IP.ReasmFails)
	require.Equal(t, int64(Forever), h.NextTimeout())
	h.in(fs[1])
	require.Empty(t, k.got)
	h.advance(2 * time.Minute)
	h.dropped(DropIPFragTimeout, 3)
	h.none() // RFC 1122 3.2.2: without the first fragment, nobody is told
}

func TestReass_EachDatagramHasItsTimeout(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{Timeout: 10 * time.Second})
	for i := range 3 {
		h.in(ipv4{proto: testProto, id: uint16(i)}.cut(pattern(2000), 1000)[1])
		h.advance(4 * time.Second)
	}
	h.dropped(DropIPFragTimeout, 1)
	h.in(ipv4{proto: testProto, id: 1}.cut(pattern(2000), 1000)[0])
	require.Len(t, k.got, 1)
	h.advance(5 * time.Second)
	h.dropped(DropIPFragTimeout, 1)
	h.advance(time.Second)
	h.dropped(DropIPFragTimeout, 2)
}

func TestReass_MemoryIsBounded(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{MaxBuffers: 10})
	for i := range 12 {
		h.in(ipv4{proto: testProto, id: uint16(i)}.cut(pattern(2000), 1000)[0])
	}
	require.Equal(t, 10, h.reass.held)
	h.dropped(DropIPFragMem, 2)
	h.in(ipv4{proto: testProto, id: 1}.cut(pattern(2000), 1000)[1]) // its first half went
	require.Empty(t, k.got)
	h.dropped(DropIPFragMem, 3)
	h.in(ipv4{proto: testProto, id: 3}.cut(pattern(2000), 1000)[1])
	require.Len(t, k.got, 1, "those that stayed are whole")
	h.advance(2 * time.Minute)
	h.mayDrop(DropIPFragTimeout)
	h.take()
	require.Zero(t, h.reass.held)
}

func TestReass_DefaultBudget(t *testing.T) {
	h := newHost(t, hostConfig{})
	require.Equal(t, 128, h.reass.limit, "a quarter of the standard buffers")
}

func TestReass_FragmentsOfADatagramAreBounded(t *testing.T) {
	h, _ := reassHost(t, ReassemblyConfig{MaxBuffers: 500})
	for i := range maxFragments + 1 {
		h.in(ipv4{proto: testProto, off: 16 * i, more: true}.frame(pattern(8)))
	}
	h.dropped(DropIPFragMem, maxFragments+1)
	require.Zero(t, h.reass.held)
}

func TestReass_RFC3168_5_3_CongestionIsNotLost(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	send := func(id uint16, tos ...uint8) {
		for i, v := range tos {
			h.in(ipv4{proto: testProto, id: id, tos: v, off: 8 * i, more: i < len(tos)-1}.frame(pattern(8)))
		}
	}
	send(1, 0x40|header.ECNECT0, 0x40|header.ECNCE, 0x40|header.ECNECT0)
	require.Len(t, k.got, 1)
	require.Equal(t, 0x40|header.ECNCE, k.got[0][1])
	send(2, header.ECNECT1, header.ECNECT1)
	require.Len(t, k.got, 2)
	require.Equal(t, header.ECNECT1, k.got[1][1])
	send(3, header.ECNNotECT, header.ECNCE)
	require.Len(t, k.got, 2, "CE and Not-ECT do not go together")
	h.dropped(DropIPFragMalformed, 2)
}

// TestReass_TinyFirstFragment: the headers of the next layer are whole, however
// small the fragments (RFC 791: 8 bytes will do).
func TestReass_TinyFirstFragment(t *testing.T) {
	h := newHost(t, hostConfig{})
	f := header.TCPFields{SrcPort: 5, DstPort: 6, Seq: 7, Flags: header.TCPSyn, Window: 1000}
	whole := ipv4{}.tcp(f, []byte{2, 4, 5, 180}, nil)[header.EthernetLen+header.IPv4Len:]
	h.in(ipv4{proto: header.ProtoTCP}.cut(whole, 8)...)
	require.Equal(t, header.TCPRst|header.TCPAck, h.one().tcp.Flags())
	h.dropped(DropTCPNoConn, 1)
}

func TestReass_NoBufferForTheHeader(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{Reassembly: ReassemblyConfig{MaxBuffers: 10}}, Bufs: pbuf.Config{Small: -1, Buffers: 3, Jumbo: -1}})
	whole := ipv4{}.tcp(header.TCPFields{Flags: header.TCPSyn}, nil, nil)[header.EthernetLen+header.IPv4Len:]
	h.in(ipv4{proto: header.ProtoTCP}.cut(whole, 8)...)
	h.dropped(DropNoBuf, 1)
	require.Equal(t, uint64(1), h.stats.IP.ReasmFails)
}

// TestReass_RxFlagsOfAFragment: a hash over addresses alone and a checksum of a
// part say nothing about the whole.
func TestReass_RxFlagsOfAFragment(t *testing.T) {
	h := newHost(t, hostConfig{})
	u := h.NewUDP()
	require.NoError(t, u.Bind(u.LocalAddr()))
	body := ipv4{}.udpBody(1, 2, pattern(100))
	body[50] ^= 1
	var ps []*pbuf.Pbuf
	for _, b := range (ipv4{proto: header.ProtoUDP}).cut(body, 56) {
		p := h.packet(b)
		p.Flags |= pbuf.RxHash | pbuf.RxL4CsumGood
		p.Hash = 1
		ps = append(ps, p)
	}
	h.inPackets(ps...)
	h.dropped(DropUDPChecksum, 1)
}

// TestReass_TCPSegmentReachesItsConnection: whatever hash the NIC gave its parts.
func TestReass_TCPSegmentReachesItsConnection(t *testing.T) {
	h := newHost(t, hostConfig{})
	pcb := h.NewTCP()
	opened := false
	require.NoError(t, pcb.Connect(ap(peerIP, 80), func(_ any, _ *TCP, err error) error { opened = true; return err }))
	syn := h.one().tcp
	f := header.TCPFields{SrcPort: 80, DstPort: syn.SrcPort(), Ack: syn.Seq().Add(1), Flags: header.TCPSyn | header.TCPAck, Window: 1000}
	whole := ipv4{}.tcp(f, nil, nil)[header.EthernetLen+header.IPv4Len:]
	var ps []*pbuf.Pbuf
	for _, b := range (ipv4{proto: header.ProtoTCP}).cut(whole, 8) {
		p := h.packet(b)
		p.Flags |= pbuf.RxHash
		p.Hash = 1
		ps = append(ps, p)
	}
	h.inPackets(ps...)
	require.True(t, opened)
	require.NotNil(t, h.one().tcp)
	pcb.Abort()
	h.take()
}

func TestReass_SharedFragment(t *testing.T) {
	h, k := reassHost(t, ReassemblyConfig{})
	fs := ipv4{proto: testProto}.cut(pattern(2000), 1000)
	p := h.packet(fs[0])
	p.Ref()
	h.inPackets(p, h.packet(fs[1]))
	require.Len(t, k.got, 1)
	require.Equal(t, pattern(2000), k.got[0][header.IPv4Len:])
	require.Equal(t, 1, p.Free())
}

func TestReass_HookSteer(t *testing.T) {
	take := true
	var got []byte
	var hash uint32
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{Steer: func(nif *Netif, p *pbuf.Pbuf, v uint32) bool {
		hash = v
		if take {
			got = make([]byte, p.TotLen())
			p.CopyPartial(got, 0)
			p.Free()
		}
		return take
	}}}})
	body := ipv4{}.udpBody(1000, 2000, pattern(100))
	fs := ipv4{proto: header.ProtoUDP}.cut(body, 8)
	h.in(fs...)
	f := parseFrame(t, got)
	require.Equal(t, scriptMAC, f.dst, "the whole frame, fit for Input")
	require.Equal(t, pattern(100), f.body)
	require.Equal(t, h.hashFlow(hdr(userIP), hdr(peerIP), 2000, 1000), hash)
	h.dropped(DropHook, 1)
	take = false
	h.in(fs...)
	h.dropped(DropUDPNoPort, 1)
	require.NotNil(t, h.one().icmp)
	h.listenRaw(testProto)
	hash = 1
	h.in(ipv4{proto: testProto}.cut(pattern(64), 8)...)
	require.Equal(t, uint32(1), hash, "no ports, nothing to steer by")
}

func TestReass_CloseFreesWhatWaits(t *testing.T) {
	h, _ := reassHost(t, ReassemblyConfig{})
	h.in(ipv4{proto: testProto}.cut(pattern(2000), 1000)[0])
	h.Close()
	require.True(t, h.pool.Full())
}

// fragPlan is a fuzz target's view of its input: fragments, 6 bytes each.
func fragPlan(b []byte) (frames [][]byte) {
	for ; len(b) >= 6 && len(frames) < 200; b = b[6:] {
		off := int(b[0])<<8 | int(b[1])
		n := int(b[2])<<3 | int(b[3])&7
		p := ipv4{proto: testProto, id: uint16(b[4] & 3), off: off &^ 7, more: b[5]&1 != 0, tos: b[5] >> 6}
		if n > 2000 || off+n > 65535 {
			n %= 64
		}
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(off&^7 + i) // what is at an offset is always the same
		}
		frames = append(frames, p.frame(body))
	}
	return frames
}

// FuzzReassembly: whatever fragments come, a packet that is delivered has at
// each place what some fragment said, and no buffer is lost.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 1, 0, 8, 1, 0, 0, 0})
	f.Add([]byte{0, 8, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1})
	f.Add([]byte{0, 0, 2, 0, 1, 1, 0, 8, 1, 0, 1, 0, 0, 0, 1, 3, 1, 1})
	f.Add([]byte{0xff, 0xf8, 7, 0, 2, 1, 0, 0, 1, 0, 2, 0xc1, 0, 8, 1, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := newHost(t, hostConfig{Config: Config{Reassembly: ReassemblyConfig{MaxBuffers: 64}},
			Bufs: pbuf.Config{Small: 32, Buffers: 128, Jumbo: -1}})
		k := h.listenRaw(testProto)
		h.mayDrop()
		for _, fr := range fragPlan(b) {
			h.in(fr)
			require.LessOrEqual(t, h.reass.held, 64)
		}
		for _, got := range k.got {
			ip, n, total, fault := header.ParseIPv4(got)
			require.Zero(t, fault)
			require.Equal(t, total, len(got))
			require.True(t, ip.VerifyChecksum(got[:n]))
			for i, c := range got[n:] {
				require.Equal(t, byte(i), c)
			}
		}
		h.advance(2 * time.Minute)
		require.Zero(t, h.reass.held)
		require.Equal(t, int64(Forever), h.NextTimeout())
	})
}
