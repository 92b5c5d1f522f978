package stack

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// cookie is a cookie of a script: in hexadecimal, or "good" for the one that the peer
// gets now.
func (sc *script) cookie(v string) []byte {
	if v == "good" {
		c, err := sc.s.FastOpenCookie(peerIP, userIP)
		require.NoError(sc.t, err)
		return c[:]
	}
	b, err := hex.DecodeString(v)
	require.NoError(sc.t, err)
	return b
}

// cookie is that of a segment.
func (o *outSeg) cookie() []byte {
	opts := o.raw[header.TCPLen:]
	return opts[o.opts.FastOpenOff : o.opts.FastOpenOff+o.opts.FastOpenLen]
}

// tfo is a configuration with Fast Open on both ends.
func tfo() (c Config) {
	c = noTS()
	c.TCP.FastOpen.Pending, c.TCP.FastOpen.Connect = 4, true
	return c
}

// dial opens a connection to the script's peer with n bytes.
func (sc *script) dial(n int) *TCP {
	sc.t.Helper()
	sc.s.SetNow(sc.now)
	sc.attach(sc.s.NewTCP())
	sc.err = nil
	k, err := sc.pcb.ConnectWrite(netip.AddrPortFrom(peerIP, peerPort), pattern(n), nil)
	require.NoError(sc.t, err)
	require.Equal(sc.t, n, k)
	sc.s.Flush(sc.now)
	return sc.pcb
}

// warm gets the script's stack a cookie of its peer.
func (sc *script) warm(cookie, opts string) {
	sc.t.Helper()
	sc.dial(0)
	sc.run("> S 0 fo=\n< SA 0 ack=1 fo=" + cookie + " " + opts + "\n> A 1\n< R 1")
}

func TestRFC7413_4_1_2_CookiesAreLinux(t *testing.T) {
	key := FastOpenKey{}
	for i := range key {
		key[i] = byte(i&^3 + 3 - i&3) // 00010203-04050607-08090a0b-0c0d0e0f
	}
	cfg := tfo()
	cfg.TCP.FastOpen.Keys = []FastOpenKey{key}
	sc := newScript(t, cfg)
	for _, c := range []struct{ client, server, want string }{
		{"198.19.0.2", "198.18.0.2", "2b7f9c878fd0108c"},
		{"2001:db8::2", "2001:db8::1", "e48f681976688985"},
	} {
		have, err := sc.s.FastOpenCookie(netip.MustParseAddr(c.client), netip.MustParseAddr(c.server))
		require.NoError(t, err)
		require.Equal(t, c.want, hex.EncodeToString(have[:]))
	}
	_, err := sc.s.FastOpenCookie(netip.MustParseAddr("2001:db8::2"), userIP)
	require.ErrorIs(t, err, ErrVal)
	_, err = sc.s.FastOpenCookie(netip.Addr{}, userIP)
	require.ErrorIs(t, err, ErrVal)
	// The zone of an address is this host's own matter.
	k := fastKey{1, 2}
	a, b := hdr(netip.MustParseAddr("fe80::1")), hdr(netip.MustParseAddr("fe80::2"))
	require.Equal(t, k.cookie(a, b), k.cookie(a.WithZone(3), b.WithZone(4)))
	require.NotEqual(t, k.cookie(a, b), k.cookie(b, a))
}

// TestRFC7413_4_1_2_ShardsAgree: stacks of a group take each other's cookies.
func TestRFC7413_4_1_2_ShardsAgree(t *testing.T) {
	cookie := func(seed, secret byte) [FastOpenCookieLen]byte {
		cfg := tfo()
		cfg.Seed[0], cfg.FlowSecret[20] = seed, secret
		c, err := newScript(t, cfg).s.FastOpenCookie(peerIP, userIP)
		require.NoError(t, err)
		return c
	}
	require.Equal(t, cookie(1, 9), cookie(2, 9))
	require.NotEqual(t, cookie(1, 9), cookie(1, 8))
}

// TestRFC7413_4_1_2_KeysChangeHourly: a derived key makes cookies for an hour, which
// are good for another.
func TestRFC7413_4_1_2_KeysChangeHourly(t *testing.T) {
	sc := newScript(t, tfo())
	old := hex.EncodeToString(sc.cookie("good"))
	sc.run(`
		listen
		+59m
		< S 0 len=10 port=1 fo=` + old + `
		> SA 0 ack=11 port=1 nofo
		< A 11 ack=1 port=1
		+2m
		< S 0 len=10 port=2 fo=` + old + `
		> SA 0 ack=11 port=2 fo=good
		< A 11 ack=1 port=2
		+58m
		< S 0 len=10 port=3 fo=` + old + `
		> SA 0 ack=11 port=3 fo=good
		< A 11 ack=1 port=3
		+2m
		< S 0 len=10 port=4 fo=` + old + `
		> SA 0 ack=1 port=4 fo=good
		accepted 3
	`)
	require.EqualValues(t, 2, sc.s.stats.TCP.FastOpenOldKey)
}

// TestFastOpen_Off: without SetFastOpen and configuration ConnectWrite is Connect and
// Write.
func TestFastOpen_Off(t *testing.T) {
	sc := newScript(t, noTS())
	sc.dial(3000)
	sc.run(`
		> S 0 nofo
		< SA 0 ack=1 mss=1460 fo=0102030405060708
		> A 1 len=1460
		> A 1461 len=1460
		< A 1 ack=2921
		> PA 2921 len=80
		< A 1 ack=3001
		acked 3000
	`)
	require.Zero(t, sc.s.stats.TCP.FastOpenCookiesRecv, "nobody has asked")
	require.Zero(t, sc.pcb.FastOpenRoom(peerIP))
	require.Equal(t, FastOpen{}, sc.pcb.FastOpen())
	require.ErrorIs(t, sc.pcb.SetFastOpen(FastOpen{Connect: true}), ErrIsConn)
	free := sc.s.NewTCP()
	require.ErrorIs(t, free.SetFastOpen(FastOpen{Pending: 1<<20 + 1}), ErrVal)
	require.ErrorIs(t, free.SetFastOpen(FastOpen{Keys: make([]FastOpenKey, 3)}), ErrVal)
	require.ErrorIs(t, sc.s.SetFastOpenKeys(make([]FastOpenKey, 3)...), ErrVal)
	o := FastOpen{Pending: 7, Connect: true, NoCookie: true, Keys: []FastOpenKey{{1}, {2}}}
	require.NoError(t, free.SetFastOpen(o))
	require.Equal(t, o, free.FastOpen())
	_, err := free.ConnectWrite(netip.AddrPort{}, nil, nil)
	require.ErrorIs(t, err, ErrVal)
	require.NoError(t, free.Close())
}

func TestFastOpen_ConfigValidate(t *testing.T) {
	pool := newScript(t, noTS()).pool
	for name, f := range map[string]FastOpenConfig{
		"pending":   {FastOpen: FastOpen{Pending: 1<<20 + 1}},
		"keys":      {FastOpen: FastOpen{Keys: make([]FastOpenKey, 3)}},
		"servers":   {Servers: 1<<20 + 1},
		"servers<0": {Servers: -1},
		"blackhole": {BlackHole: -1},
	} {
		require.ErrorIs(t, (&Config{Pool: pool, TCP: TCPConfig{FastOpen: f}}).Validate(), ErrVal, name)
	}
}

// TestFastOpen_LongCookieIsPacked: a cookie of 16 bytes fits a SYN with all other
// options, if SACK permitted takes the place of the timestamp's padding.
func TestFastOpen_LongCookieIsPacked(t *testing.T) {
	cfg := tfo()
	cfg.TCP.NoTimestamps = false
	sc := newScript(t, cfg)
	const cookie = "00112233445566778899aabbccddeeff"
	sc.warm(cookie, "mss=1000")
	sc.dial(2000)
	o := sc.out[0]
	require.Len(t, o.raw, header.TCPLen+header.TCPMaxOptions+960)
	require.True(t, o.opts.SACKPermitted && o.opts.HasTS && o.opts.WScale >= 0)
	sc.run("> S 0 len=960 fo=" + cookie + " mss=1460 sackok ts\n< SA 0 ack=961 mss=1000 ts=5:0\n> A 961 len=988 ts=5\n< A 1 ack=1949 ts=6:0\n> PA 1949 len=52")
	require.True(t, sc.pcb.Info().SynData)
}

// TestFastOpen_NoRoomForTheCookie: with the user timeout option a cookie of 16 bytes
// does not fit any more; the data follows the handshake.
func TestFastOpen_NoRoomForTheCookie(t *testing.T) {
	cfg := tfo()
	cfg.TCP.NoTimestamps, cfg.TCP.UserTimeout, cfg.TCP.UserTimeoutOption = false, time.Minute, true
	sc := newScript(t, cfg)
	sc.warm("00112233445566778899aabbccddeeff", "mss=1000")
	sc.dial(100)
	sc.run("> S 0 nofo uto=60 sackok ts\n< SA 0 ack=1 mss=1000\n> PA 1 len=100")
	require.Equal(t, 1, sc.s.tcp.fast.parts.count(), "the part is given back")
	require.EqualValues(t, 1, sc.s.stats.TCP.FastOpenNoRoom)
}

// count is how many parts are in the list.
func (f *freeList[T]) count() int { return len(*f) }

// TestRFC7413_4_1_3_CacheIsBounded: of more servers than the cache holds the ones
// used last are remembered.
func TestRFC7413_4_1_3_CacheIsBounded(t *testing.T) {
	cfg := tfo()
	cfg.TCP.FastOpen.Servers = 16
	sc := newScript(t, cfg)
	s, local := sc.s, hdr(userIP)
	addr := func(i int) header.Addr { return hdr(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})) }
	for i := range 1000 {
		s.now++
		s.fastServer(local, addr(i)).cookieLen = 8
		s.fastFind(local, addr(0)) // in use all the time
	}
	require.Len(t, s.tcp.fast.servers, 4)
	n := 0
	for i := range 1000 {
		if e := s.fastFind(local, addr(i)); e != nil && e.cookieLen == 8 {
			n++
		}
	}
	require.Equal(t, 16, n)
	require.NotNil(t, s.fastFind(local, addr(0)))
	require.NotNil(t, s.fastFind(local, addr(999)))
	require.Nil(t, s.fastFind(hdr(peerIP), addr(999)), "the cookie is of one of our addresses")
	s.FlushFastOpen()
	require.Nil(t, s.fastFind(local, addr(999)))
}

// TestRFC7413_7_1_BlackHole: when a connection with data in its SYN times out again
// and again the path may drop all that belongs to it; nothing is tried for a while,
// which doubles.
func TestRFC7413_7_1_BlackHole(t *testing.T) {
	cfg := tfo()
	cfg.TCP.FastOpen.BlackHole, cfg.TCP.FastOpen.Pause = time.Hour, -1
	sc := newScript(t, cfg)
	sc.warm("0102030405060708", "mss=1000")
	for i, pause := range []time.Duration{time.Hour, 2 * time.Hour} {
		sc.dial(500)
		sc.run("> S 0 len=500 fo=0102030405060708\n< SA 0 ack=501 mss=1000\n> A 501\nwrite 100\n> PA 501 len=100\n+8s")
		require.EqualValues(t, i+1, sc.s.stats.TCP.FastOpenBlackHoles)
		sc.out = nil
		sc.run("< R 1 ack=501")
		sc.dial(500)
		sc.run("> S 0 nofo\n< RA 0 ack=1")
		sc.now += int64(pause)
	}
	require.EqualValues(t, 2, sc.s.stats.TCP.FastOpenPaused)
	sc.dial(500)
	sc.run("> S 0 len=500 fo=0102030405060708\n< SA 0 ack=501 mss=1000\n> A 501\n< FA 1 ack=501\n> A 501 ack=2\nclose\n> FA 501\n< A 2 ack=502")
	require.Zero(t, sc.s.tcp.fast.pauses, "one that ends well shows that the path is good")
}

// TestFastOpen_HeldBack: a connection that the user holds back counts against the
// backlog once, until it is accepted and its handshake is through, in either order.
func TestFastOpen_HeldBack(t *testing.T) {
	const early = "< S 0 len=10 fo=good\n> SA 0 ack=11\n"
	const through = "< A 11 ack=1\n"
	for name, c := range map[string]struct {
		text    string
		pending int // before it is accepted
		after   int // and afterwards
	}{
		"handshake first": {early + through, 1, 0},
		"accepted first":  {early, 1, 1},
		"FIN in the SYN":  {"< SF 0 len=10 fo=good\n> SA 0 ack=12\n", 1, 0},
		"reset":           {early + "< R 11\n", 0, 0},
		"aborted":         {early + "abort\n> RA 1\n", 0, 0},
		"ordinary":        {"< S 0\n> SA 0 ack=1\n< A 1 ack=1\n", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScript(t, tfo())
			sc.run("listen 8")
			l := sc.pcb
			l.SetAccept(func(_ any, pcb *TCP, _ error) error {
				sc.attach(pcb)
				pcb.BacklogDelayed(l)
				return nil
			})
			sc.run(c.text)
			require.Equal(t, c.pending, l.cold.pending)
			if sc.pcb.s != nil {
				sc.pcb.BacklogAccepted()
			}
			require.Equal(t, c.after, l.cold.pending)
			if sc.pcb.s != nil && sc.pcb.state == StateSynRcvd {
				sc.run(through)
			}
			require.Zero(t, l.cold.pending+l.cold.halfOpen+sc.s.tcp.halfOpen)
			require.Equal(t, len(l.cold.fast.resets), l.cold.fast.pending-b2i(sc.pcb.s != nil && sc.pcb.flags&tfFast != 0))
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFastOpen_AcceptRefuses: an AcceptFunc that fails resets the connection.
func TestFastOpen_AcceptRefuses(t *testing.T) {
	sc := newScript(t, tfo())
	sc.run("listen")
	l := sc.pcb
	l.SetAccept(func(_ any, _ *TCP, _ error) error { return ErrMem })
	sc.run("< S 0 len=10 fo=good")
	require.Len(t, sc.out, 1)
	require.Equal(t, header.TCPRst|header.TCPAck, sc.out[0].flags)
	require.Equal(t, header.Seq(uint32(peerISN)).Add(1), sc.out[0].ack)
	sc.out = nil
	require.Zero(t, l.cold.fast.pending)
	require.EqualValues(t, 1, sc.s.stats.TCP.CurrPCBs)
	// Without an AcceptFunc nobody could have what came with the SYN.
	l.SetAccept(nil)
	sc.run("< S 0 len=10 fo=good\n> SA 0 ack=1")
}

// TestFastOpen_RefusedData: what RecvFunc refuses of a SYN is offered again.
func TestFastOpen_RefusedData(t *testing.T) {
	sc := runScript(t, tfo(), `
		listen
		pause
		< S 0 len=10 fo=good
		> SA 0 ack=11
		got 0
		resume
		+1s
		got 10
	`)
	require.Equal(t, StateSynRcvd, sc.pcb.State())
	sc.out = nil
	sc.run("< A 11 ack=1\nstate ESTABLISHED")
}

// TestFastOpen_StarvedStack: with hardly a buffer left data of a SYN is not taken: the
// peer sends it again.
func TestFastOpen_StarvedStack(t *testing.T) {
	sc := runScript(t, tfo(), "listen")
	release := sc.holdBuffers(sc.pool.Cap(pbuf.ClassStandard)/starveShare - 1)
	sc.run("< S 0 len=10 fo=good\n> SA 0 ack=1 nofo\naccepted 0")
	require.EqualValues(t, 1, sc.s.stats.TCP.FastOpenPassiveFail)
	release()
	sc.run("< PA 1 len=10 ack=1\naccepted 1\ngot 10")
}

// TestFastOpen_UserHearsInOrder: connected first, then sent; and the send buffer grows
// when it is told.
func TestFastOpen_UserHearsInOrder(t *testing.T) {
	sc := newScript(t, tfo())
	sc.warm("0102030405060708", "mss=1000")
	var heard []string
	pcb := sc.s.NewTCP()
	full := pcb.SndBuf()
	pcb.SetSent(func(_ any, pcb *TCP, n int) error {
		require.Equal(t, 500, n)
		require.Equal(t, full, pcb.SndBuf())
		heard = append(heard, "sent")
		return nil
	})
	require.Equal(t, 960, pcb.FastOpenRoom(peerIP))
	n, err := pcb.ConnectWrite(netip.AddrPortFrom(peerIP, peerPort), pattern(500), func(_ any, pcb *TCP, err error) error {
		require.Equal(t, full-500, pcb.SndBuf())
		heard = append(heard, "connected")
		return err
	})
	require.NoError(t, err)
	require.Equal(t, 500, n)
	sc.s.Flush(sc.now)
	sc.run("> S 0 len=500 fo=0102030405060708\n< SA 0 ack=501 mss=1000\n> A 501")
	require.Equal(t, []string{"connected", "sent"}, heard)
	require.Nil(t, pcb.cold.fast, "the part is given back")
	require.Equal(t, TCPInfo{SynData: true}.SynData, pcb.Info().SynData)
}

// TestFastOpen_NoBuffer: without buffers the SYN waits, and the data with it.
func TestFastOpen_NoBuffer(t *testing.T) {
	sc := newScript(t, tfo())
	sc.warm("0102030405060708", "mss=1000")
	var held pbuf.Queue
	for _, class := range []int{10, 1000} {
		for {
			p := sc.pool.Alloc(pbuf.LayerRaw, class, pbuf.KindRAM)
			if p == nil {
				break
			}
			held.Push(p)
		}
	}
	pcb := sc.s.NewTCP()
	n, err := pcb.ConnectWrite(netip.AddrPortFrom(peerIP, peerPort), pattern(500), nil)
	require.True(t, n == 0 && errors.Is(err, ErrMem), "%d %v", n, err)
	require.Equal(t, StateClosed, pcb.State())
	held.FreeAll()
	n, err = pcb.ConnectWrite(netip.AddrPortFrom(peerIP, peerPort), pattern(500), nil)
	require.NoError(t, err)
	require.Equal(t, 500, n)
	sc.s.Flush(sc.now)
	sc.run("> S 0 len=500 fo=0102030405060708")
}
