package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// noTS is the configuration of most scripts: no timestamps, and the RTO of
// RFC 6298 (2.4), which makes times easy to follow.
func noTS() (c Config) {
	c.TCP.NoTimestamps = true
	c.TCP.MinRTO = time.Second
	return c
}

// established is the beginning of most scripts: a passive connection without
// options but MSS; sequence numbers of both sides are at 1.
const established = `
	listen
	< S 0 mss=1000
	> SA 0 ack=1
	< A 1 ack=1
	accepted 1
	state ESTABLISHED
`

func TestTCPOpen_RFC9293_3_5_Passive(t *testing.T) {
	runScript(t, Config{}, `
		listen
		< S 0 mss=1460 ws=7 ts=100:0
		> SA 0 ack=1 mss=1460 ws=9 ts=100 len=0
		stat pcbs 2
		< A 1 ack=1 ts=101:0
		accepted 1
		state ESTABLISHED
		stat estab 1
		>
	`)
}

func TestTCPOpen_RFC9293_3_5_Active(t *testing.T) {
	runScript(t, Config{}, `
		connect
		> S 0 mss=1460 ws=9 ts=0
		state SYN-SENT
		< SA 0 ack=1 mss=1460 ws=7 ts=100:0
		> A 1 ack=1 ts=100
		state ESTABLISHED
		>
	`)
}

func TestTCPOpen_RFC9293_3_5_SimultaneousOpen(t *testing.T) {
	runScript(t, noTS(), `
		connect
		> S 0
		< S 0 mss=1460
		> SA 0 ack=1
		state SYN-RECEIVED
		< SA 0 ack=1 mss=1460
		state ESTABLISHED
		write 10
		> A 1 len=10 ack=1
	`)
}

func TestTCPOpen_RFC9293_3_7_1_DefaultMSS536(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0
		> SA 0 ack=1
		< A 1 ack=1
		write 2000
		> A 1 len=536
		> A 537 len=536
		> A 1073 len=536
		>  # Nagle holds the small rest
	`)
}

func TestTCPOpen_RFC7323_2_2_NoWindowScaleUnlessBoth(t *testing.T) {
	runScript(t, Config{}, `
		listen
		< S 0 mss=1460 win=1000
		> SA 0 ack=1 ws=-1 nots win=65535
		< A 1 ack=1 win=1000
		write 3000
		> A 1 len=1000  # the window is what it says
		>
	`)
}

func TestTCPOpen_RFC7323_2_2_SynWindowIsNotScaled(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=500 ws=7 win=1000
		> SA 0 ack=1 ws=9 win=65535
		< A 1 ack=1 win=4  # 512 bytes
		write 2000
		> A 1 len=500
		>
	`)
}

func TestTCPOpen_RFC9293_3_10_7_3_RefusedByRST(t *testing.T) {
	runScript(t, Config{}, `
		connect
		> S 0
		< RA 0 ack=1
		err refused
		stat attemptfails 1
		>
	`)
}

func TestTCPOpen_RFC9293_3_10_7_3_RSTWithoutAckIsDropped(t *testing.T) {
	runScript(t, noTS(), `
		connect
		> S 0
		< R 0
		state SYN-SENT
		drop tcp_ack 1
		>
	`)
}

func TestTCPOpen_RFC9293_3_10_7_3_BadAckIsReset(t *testing.T) {
	runScript(t, noTS(), `
		connect
		> S 0
		< SA 0 ack=2
		> R 2
		state SYN-SENT
	`)
}

func TestTCPOpen_RFC9293_3_10_7_2_AckToListenIsReset(t *testing.T) {
	sc := newScript(t, noTS())
	sc.iss[peerPort] = 0
	sc.run(`
		listen
		< A 1 ack=77
		> R 77
		< R 1
		< F 1
		>
		drop tcp_state 2
	`)
}

func TestTCPOpen_RFC9293_3_10_7_1_ClosedPortIsReset(t *testing.T) {
	sc := newScript(t, noTS())
	sc.iss[peerPort] = 0
	sc.run(`
		< S 0
		> RA 0 ack=1
		< A 5 ack=9
		> R 9
		< R 5  # never answer a reset
		>
		drop tcp_no_conn 3
	`)
}

func TestTCPOpen_RFC6298_SynBackoffAndTimeout(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SYNRetries = 3
	runScript(t, cfg, `
		connect
		> S 0
		+990ms
		>
		+20ms
		> S 0
		+2s
		> S 0
		+4s
		> S 0
		+8100ms
		>
		err timeout
		stat pcbs 0
	`)
}

func TestTCPOpen_SynAckIsRepeatedAndGivenUp(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SYNRetries = 2
	runScript(t, cfg, `
		listen
		< S 0
		> SA 0 ack=1
		< S 0        # the peer did not get it
		> SA 0 ack=1
		+1010ms
		> SA 0 ack=1
		+2010ms
		> SA 0 ack=1
		+4010ms
		> RA 1 ack=1
		stat pcbs 1
	`)
}

func TestTCPOpen_Backlog(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SynCookies = CookiesNever
	runScript(t, cfg, `
		listen 1
		< S 0 port=1000
		> SA 0 port=1000
		< S 0 port=1001
		>
		drop tcp_backlog 1
		stat overflows 1
		< A 1 ack=1 port=1000
		accepted 1
		< S 0 port=1001
		> SA 0 port=1001
	`)
}

func TestTCPOpen_DataWithHandshakeAck(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=1000
		> SA 0 ack=1
		< PA 1 len=100 ack=1
		accepted 1
		got 100
		+41ms
		> A 1 ack=101
	`)
}

func TestTCPOpen_CloseListenerResetsHalfOpen(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0
		> SA 0 ack=1
		close
		> RA 1 ack=1
		stat pcbs 0
	`)
}

func TestTCPOpen_RFC6528_ISNsDifferByTupleAndTime(t *testing.T) {
	isn := func(seed byte, later int64) header.Seq {
		var cfg Config
		cfg.Seed[0] = seed
		sc := newScript(t, cfg)
		sc.now += later
		sc.run("listen\n< S 0\n> SA 0")
		return sc.iss[peerPort]
	}
	a := isn(1, 0)
	require.Equal(t, a, isn(1, 0), "same secret, tuple and time")
	require.NotEqual(t, a, isn(2, 0), "another secret")
	require.Equal(t, uint32(1<<20), isn(1, 4096<<20).Sub(a), "the clock ticks every 4096 ns")
}

// TestTCPOpen_RFC6528_3_ASharedSecretKeepsATuplesSequence: stacks that may have a
// tuple one after the other number it alike, whatever else is random in them.
func TestTCPOpen_RFC6528_3_ASharedSecretKeepsATuplesSequence(t *testing.T) {
	numbers := func(seed, secret byte) [2]uint32 {
		var cfg Config
		cfg.Seed[0], cfg.FlowSecret[0] = seed, secret
		sc := newScript(t, cfg)
		a := header.FromNetip(userIP)
		isn, offset := sc.s.flowSecrets(a, 1, header.FromNetip(peerIP), 2)
		return [2]uint32{isn, offset}
	}
	require.Equal(t, numbers(1, 9), numbers(2, 9))
	require.NotEqual(t, numbers(1, 9), numbers(1, 8))
	require.Equal(t, numbers(9, 0), numbers(1, 9), "the seed is the secret by default")
}

func TestTCPOpen_RFC6056_PortsVaryAndNeverCollide(t *testing.T) {
	var cfg Config
	cfg.TCP.PortMin, cfg.TCP.PortMax = 40000, 40099
	sc := newScript(t, cfg)
	seen := map[uint16]bool{}
	for range 100 {
		sc.user("connect", 0)
		port := sc.pcb.LocalAddr().Port()
		require.False(t, seen[port])
		require.True(t, port >= 40000 && port < 40100)
		seen[port] = true
	}
	pcb := sc.s.NewTCP()
	require.ErrorIs(t, pcb.Connect(sc.pcb.RemoteAddr(), nil), ErrNoPort)
	pcb.Abort()
	sc.s.EachTCP(func(p *TCP) { p.Abort() })
}

// TestTCPOpen_RFC6056_3_3_4_EachRemoteHasItsCounter: of connections to some remote ends
// in turn each end's ports follow each other.
func TestTCPOpen_RFC6056_3_3_4_EachRemoteHasItsCounter(t *testing.T) {
	sc := newScript(t, Config{})
	last := map[uint16]uint16{}
	for range 20 {
		for _, rport := range []uint16{80, 443, 8080} {
			c := sc.s.NewTCP()
			require.NoError(t, c.Connect(ap(peerIP, rport), nil))
			port := c.LocalAddr().Port()
			if was := last[rport]; was != 0 && was != 65535 {
				require.Equal(t, was+1, port)
			}
			last[rport] = port
		}
	}
	require.False(t, last[80] == last[443] || last[80] == last[8080] || last[443] == last[8080])
	sc.s.EachTCP(func(p *TCP) { p.Abort() })
}

func TestTCPOpen_BindErrors(t *testing.T) {
	sc := newScript(t, Config{})
	sc.run("listen")
	pcb := sc.s.NewTCP()
	require.ErrorIs(t, pcb.Bind(sc.pcb.LocalAddr()), ErrUse)
	require.ErrorIs(t, pcb.Connect(sc.pcb.LocalAddr(), nil), ErrVal, "0.0.0.0 is no peer")
	require.ErrorIs(t, sc.pcb.Connect(sc.pcb.LocalAddr(), nil), ErrIsConn)
	pcb.Abort()
}
