package stack

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

func TestTCPCookie_RFC4987_3_6_FullBacklogIsAnsweredByCookie(t *testing.T) {
	runScript(t, noTS(), `
		listen 1
		< S 0 mss=1460 port=1000
		> SA 0 port=1000
		stat pcbs 2
		< S 0 mss=1000 ws=7 port=1001
		> SA 0 port=1001 ack=1 mss=1460 ws=-1 win=65535
		stat pcbs 2           # nothing is kept
		stat overflows 1
		stat cookiessent 1
		< PA 1 ack=1 len=10 port=1001
		stat cookiesrecv 1
		accepted 1
		got 10
		state ESTABLISHED
		write 2000
		> A 1 len=536 ack=11 port=1001  # the next lower size that fits in a cookie
	`)
}

func TestTCPCookie_RFC4987_3_6_ForgedAckIsReset(t *testing.T) {
	runScript(t, noTS(), `
		listen 1
		< S 0 port=1000
		> SA 0 port=1000
		< S 0 port=1001
		> SA 0 port=1001
		< A 1 ack=2 port=1001     # not the number that we sent
		> R 2 port=1001
		< A 2 ack=1 port=1001     # not the number that the peer began with
		> R 1 port=1001
		stat cookiesfailed 2
		stat pcbs 2
		accepted 0
	`)
}

func TestTCPCookie_RFC4987_3_6_OldCookiesAreRefused(t *testing.T) {
	for _, c := range []struct {
		wait string
		end  string
	}{
		{"+60s", "accepted 1"},
		{"+129s", "accepted 0\n> R 1 port=1001"},
	} {
		cfg := noTS()
		cfg.TCP.SynCookies = CookiesAlways
		runScript(t, cfg, `
			listen
			< S 0 mss=1460 port=1001
			> SA 0 port=1001
			`+c.wait+`
			< A 1 ack=1 port=1001
			`+c.end)
	}
}

func TestTCPCookie_AlwaysKeepsNothing(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SynCookies = CookiesAlways
	runScript(t, cfg, `
		listen
		< S 0 mss=1460
		> SA 0 ack=1
		stat pcbs 1
		< A 1 ack=1
		accepted 1
		stat pcbs 2
		stat overflows 0
	`)
}

// TestTCPCookie_NoCookieSentNoneTaken: while no backlog was full nothing but a
// handshake opens a connection, so that nobody may try numbers.
func TestTCPCookie_NoCookieSentNoneTaken(t *testing.T) {
	sc := newScript(t, noTS())
	sc.user("listen", 0)
	local, remote := header.FromNetip(userIP), header.FromNetip(peerIP)
	iss := sc.s.synCookie(flowEnds{local, remote, userPort, 1001}, header.Seq(uint32(peerISN)), 1460)
	sc.iss[1001] = iss
	sc.run(`
		< A 1 ack=1 port=1001
		> R 1 port=1001
		accepted 0
		stat cookiesfailed 0
	`)
}

// TestTCPCookie_HeldConnectionsDoNotGrow: connections that the user holds back
// fill the backlog for good; a cookie would only bring more.
func TestTCPCookie_HeldConnectionsDoNotGrow(t *testing.T) {
	sc := newScript(t, noTS())
	sc.user("listen", 1)
	l := sc.pcb
	var held *TCP
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		held = pcb
		pcb.BacklogDelayed(l)
		return nil
	})
	sc.run(`
		< S 0 port=1000
		> SA 0 port=1000
		< S 0 port=1001
		> SA 0 port=1001
		< A 1 ack=1 port=1000
		< A 1 ack=1 port=1001    # a good cookie, but no place: the peer tries again
		>
		< S 0 port=1002
		>
		stat overflows 3
		drop tcp_backlog 2
	`)
	held.BacklogAccepted()
	held = nil
	sc.run("< A 1 ack=1 port=1001")
	require.NotNil(t, held)
	require.Equal(t, StateEstablished, held.State())
}

// TestTCPCookie_RFC4987_OptionsTravelInTheTimestamp: what the SYN agreed on is
// what the connection has.
func TestTCPCookie_RFC4987_OptionsTravelInTheTimestamp(t *testing.T) {
	for _, ws := range []string{"", "ws=0", "ws=7", "ws=14"} {
		var cfg Config
		cfg.TCP.SynCookies = CookiesAlways
		sc := newScript(t, cfg)
		sc.run("listen\n< S 0 mss=1400 ts=100:0 win=500 " + ws + "\n")
		sc.s.Flush(sc.now)
		require.Len(t, sc.out, 1)
		o := sc.out[0].opts
		require.True(t, o.HasTS)
		require.Equal(t, uint32(100), o.TSEcr)
		sc.advance(int64(300 * time.Millisecond))
		sc.out = nil
		sc.in([]string{"A", "1", "ack=1", "win=100", "ts=101:" + decimal(o.TSVal)})
		c := sc.pcb
		require.Equal(t, StateEstablished, c.State())
		info := c.Info()
		require.Equal(t, 1388, info.MSS)
		require.True(t, info.Timestamps)
		if ws == "" {
			require.Equal(t, -1, info.WScaleSnd)
			require.Equal(t, uint32(100), info.SndWnd)
		} else {
			require.Equal(t, number(ws[3:], -1), info.WScaleSnd)
			require.Equal(t, uint32(100)<<info.WScaleSnd, info.SndWnd)
			require.Equal(t, int(sc.s.tcp.rcvScale), info.WScaleRcv)
		}
		// Our clock has not gone back for the peer (RFC 7323 4.3).
		require.GreaterOrEqual(t, int32(sc.s.tsNow+c.tsOffset-o.TSVal), int32(0))
		sc.run("write 10\n> A 1 len=10 ts=101")
	}
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func TestTCPCookie_TimestampBitsAreNeverLater(t *testing.T) {
	for _, ts := range []uint32{0, 1, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff, 12345678} {
		for shift := int8(-1); shift <= 14; shift++ {
			for _, sack := range []bool{false, true} {
				o := header.TCPOptions{WScale: shift, SACKPermitted: sack, HasTS: true}
				r := cookieTimestamp(ts, &o, sack)
				require.GreaterOrEqual(t, int32(ts-r), int32(0))
				require.Less(t, int32(ts-r), int32(64))
				back, ecn := cookieOptions(1460, &header.TCPOptions{HasTS: true, TSVal: 9, TSEcr: r}, true)
				require.Equal(t, header.TCPOptions{MSS: 1460, WScale: shift, SACKPermitted: sack, HasTS: true, TSVal: 9}, back)
				require.Equal(t, sack, ecn)
			}
		}
	}
}

// TestTCPCookie_EverythingCounts: a cookie is good for its ends, its SYN and its
// time only, and the key changes.
func TestTCPCookie_EverythingCounts(t *testing.T) {
	sc := newScript(t, Config{})
	s := sc.s
	a, b := header.FromNetip(userIP), header.FromNetip(peerIP)
	f := flowEnds{a, b, 80, 1000}
	iss := s.synCookie(f, 77, 1460)
	mss, ok := s.checkCookie(iss, 77, f)
	require.True(t, ok)
	require.Equal(t, uint16(1460), mss)
	for i, g := range []flowEnds{{b, a, 80, 1000}, {a, b, 81, 1000}, {a, b, 80, 1001}} {
		_, ok = s.checkCookie(iss, 77, g)
		require.False(t, ok, "%d", i)
	}
	for bit := range 32 {
		_, ok = s.checkCookie(iss^1<<bit, 77, f)
		require.False(t, ok, "bit %d", bit)
		_, ok = s.checkCookie(iss, 77^1<<bit, f)
		require.False(t, ok, "bit %d of the SYN's number", bit)
	}
	for i, m := range cookieMSS {
		for _, mss := range []uint16{m, m + 1} {
			got, ok := s.checkCookie(s.synCookie(f, 77, mss), 77, f)
			require.True(t, ok)
			require.Equal(t, cookieMSS[i], got)
		}
	}
	old := *s.tcp.cookies.key(s, uint64(s.now)/cookieEpoch)
	s.SetNow(s.now + cookieEpoch)
	require.NotEqual(t, old.k0, s.tcp.cookies.key(s, uint64(s.now)/cookieEpoch).k0)
	_, ok = s.checkCookie(iss, 77, f)
	require.True(t, ok, "the epoch before")
	s.SetNow(s.now + cookieEpoch)
	_, ok = s.checkCookie(iss, 77, f)
	require.False(t, ok, "two epochs later")
}

// synFrom is a SYN from a station behind the peer.
func synFrom(src netip.Addr, port uint16) []byte {
	return ipv4{src: src}.tcp(header.TCPFields{SrcPort: port, DstPort: 80, Seq: 1000, Flags: header.TCPSyn, Window: 65535},
		[]byte{2, 4, 5, 180}, nil)
}

// TestTCPCookie_RFC4987_FloodKeepsNothing: a flood of SYNs from everywhere leaves
// the backlog full and nothing else, allocates nothing, and clients get through.
func TestTCPCookie_RFC4987_FloodKeepsNothing(t *testing.T) {
	h := newHost(t, hostConfig{Bufs: pbuf.Config{Small: 1024, Buffers: 512, Jumbo: -1}, Config: Config{TCP: TCPConfig{SYNRetries: 1}}})
	h.mayDrop(DropTCPBacklog)
	require.NoError(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), peerIP, h.nif))
	l := h.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	require.NoError(t, l.Listen(64))
	accepted := 0
	l.SetAccept(func(any, *TCP, error) error { accepted++; return nil })
	h.quiet()
	ps := make([]*pbuf.Pbuf, 1)
	frame := synFrom(netip.MustParseAddr("198.19.0.1"), 1)
	ip, tcp := (*header.IPv4)(frame[header.EthernetLen:]), (*header.TCP)(frame[header.EthernetLen+header.IPv4Len:])
	n := uint32(0)
	spoof := func() {
		n++
		src := header.AddrFrom4Uint(198<<24 | 19<<16 | n>>8&0xffff)
		binary.BigEndian.PutUint32(frame[header.EthernetLen+12:], src.Uint32())
		ip.FillChecksum(frame[header.EthernetLen : header.EthernetLen+header.IPv4Len])
		binary.BigEndian.PutUint16(frame[header.EthernetLen+header.IPv4Len:], uint16(n)|0x8000)
		l4 := frame[header.EthernetLen+header.IPv4Len:]
		tcp.SetChecksum(0)
		tcp.SetChecksum(^header.Checksum(l4, header.PseudoHeader(src, header.FromNetip(userIP), header.ProtoTCP, uint32(len(l4)))))
		h.receive(ps, frame)
	}
	for range 20_000 {
		spoof()
	}
	if allocs := testing.AllocsPerRun(1000, spoof); !bufferChecks {
		require.Zero(t, allocs, "allocations of a SYN")
	}
	require.Equal(t, uint64(65), h.stats.TCP.CurrPCBs, "the listener and its backlog")
	require.LessOrEqual(t, h.pool.Cap(pbuf.ClassSmall)-h.pool.Avail(pbuf.ClassSmall), 64)
	require.Equal(t, h.pool.Cap(pbuf.ClassStandard), h.pool.Avail(pbuf.ClassStandard))
	require.Equal(t, uint64(n)-64, h.stats.TCP.SynCookiesSent)

	h.nif.output = h.output
	const clients = 200
	for i := range clients {
		port := uint16(2000 + i)
		h.in(synFrom(peerIP, port))
		synack := h.one()
		require.Equal(t, header.TCPSyn|header.TCPAck, synack.tcp.Flags())
		h.in(ipv4{}.tcp(header.TCPFields{SrcPort: port, DstPort: 80, Seq: 1001, Ack: synack.tcp.Seq().Add(1),
			Flags: header.TCPAck, Window: 65535}, nil, nil))
	}
	require.Equal(t, clients, accepted)
	require.Equal(t, uint64(clients), h.stats.TCP.SynCookiesRecv)
	h.advance(10 * time.Second)
	require.Equal(t, uint64(1+clients), h.stats.TCP.CurrPCBs, "what was half open is gone")
	require.Zero(t, h.tcp.halfOpen)
}

// TestTCPCookie_SynQueueBoundsAllListeners: the stack's bound counts for all
// listeners together.
func TestTCPCookie_SynQueueBoundsAllListeners(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SynQueue = 3
	sc := newScript(t, cfg)
	sc.user("listen", 0)
	for i := range 5 {
		sc.run("< S 0 port=" + decimal(uint32(1000+i)))
	}
	require.Equal(t, uint64(4), sc.s.stats.TCP.CurrPCBs)
	require.Equal(t, uint64(2), sc.s.stats.TCP.SynCookiesSent)
	require.Equal(t, 3, sc.s.tcp.halfOpen)
	sc.run("< A 1 ack=1 port=1000")
	require.Equal(t, 2, sc.s.tcp.halfOpen)
}

// TestTCPCookie_RFC3168_6_1_1_ECNTravelsToo: what was granted in the SYN-ACK is
// what the connection has, and nothing is granted that can't be remembered.
func TestTCPCookie_RFC3168_6_1_1_ECNTravelsToo(t *testing.T) {
	for _, c := range []struct {
		syn    string
		answer string
		ecn    bool
	}{
		{"SEC 0 mss=1400 ts=100:0", "SAE", true},
		{"S 0 mss=1400 ts=100:0", "SA", false},
		{"SEC 0 mss=1400", "SA", false}, // no timestamp to carry it
	} {
		var cfg Config
		cfg.TCP.SynCookies = CookiesAlways
		sc := newScript(t, cfg)
		sc.run("listen\n< " + c.syn)
		require.Len(t, sc.out, 1)
		o := sc.out[0].opts
		sc.run("> " + c.answer + " 0 ack=1")
		ack := "< A 1 ack=1"
		if o.HasTS {
			ack += " ts=101:" + decimal(o.TSVal)
		}
		sc.run(ack)
		require.Equal(t, StateEstablished, sc.pcb.State())
		require.Equal(t, c.ecn, sc.pcb.Info().ECN, c.syn)
	}
}
