package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

func TestTCPKnobs_RFC9293_3_8_6_3_AckEvery(t *testing.T) {
	cfg := noTS()
	cfg.TCP.AckEvery = 4
	runScript(t, cfg, established+`
		< A 1 len=100 ack=1
		< A 101 len=100 ack=1
		< A 201 len=100 ack=1
		>
		< A 301 len=100 ack=1
		> A 1 ack=401
		< A 401 len=100 ack=1
		+39ms
		>
		+2ms
		> A 1 ack=501
	`)
}

func TestTCPKnobs_QuickAcksAtTheBeginning(t *testing.T) {
	cfg := noTS()
	cfg.TCP.QuickAcks = 2
	runScript(t, cfg, established+`
		< A 1 len=100 ack=1
		> A 1 ack=101
		< A 101 len=100 ack=1
		> A 1 ack=201
		< A 201 len=100 ack=1
		>
		< A 301 len=100 ack=1
		> A 1 ack=401
	`)
}

func TestTCPKnobs_AckPolicyOfAConnection(t *testing.T) {
	sc := runScript(t, noTS(), "listen")
	require.NoError(t, sc.pcb.SetAckPolicy(AckPolicy{Every: 3, Delay: 5 * time.Millisecond, Quick: 1}))
	require.ErrorIs(t, sc.pcb.SetAckPolicy(AckPolicy{Every: 256}), ErrVal)
	require.ErrorIs(t, sc.pcb.SetAckPolicy(AckPolicy{Delay: time.Second}), ErrVal)
	sc.run(`
		< S 0 mss=1000
		> SA 0 ack=1
		< A 1 ack=1
		< A 1 len=100 ack=1
		> A 1 ack=101
		< A 101 len=100 ack=1
		< A 201 len=100 ack=1
		>
		+6ms
		> A 1 ack=301
	`)
	sc.pcb.SetQuickAck(true)
	sc.run("< A 301 len=100 ack=1\n > A 1 ack=401")
	sc.pcb.SetQuickAck(false)
	sc.run("< A 401 len=100 ack=1\n >")
	sc.pcb.SetQuickAck(true) // what waits goes out
	sc.s.Flush(sc.now)
	sc.run("> A 1 ack=501")
}

func TestTCPKnobs_SO_LINGER_ZeroResets(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.pcb.SetLinger(0)
	sc.run(`
		write 1000
		> A 1 len=1000
		close
		> RA 1001 ack=1
		stat pcbs 1
		stat resets 1
	`)
	sc = runScript(t, noTS(), established)
	sc.pcb.SetLinger(0)
	sc.pcb.SetLinger(-1)
	sc.run("close\n > FA 1 ack=1")
}

func TestTCPKnobs_SO_LINGER_BoundsTheClose(t *testing.T) {
	for _, c := range []struct{ answer, end string }{
		{"", "> RA 103 ack=1\n stat pcbs 1"},
		{"< A 1 ack=103", ">\n stat pcbs 2"}, // FIN-WAIT-2 has its own bound
	} {
		cfg := noTS()
		sc := runScript(t, cfg, established)
		sc.pcb.SetLinger(900 * time.Millisecond)
		sc.run(`
			write 101
			close
			> A 1 len=101
			> FA 102 ack=1
			+890ms
			>
		` + c.answer + `
			+15ms
		` + c.end)
	}
}

func TestTCPKnobs_RFC6298_2_BoundsOfTheTimeout(t *testing.T) {
	sc := runScript(t, noTS(), "listen")
	require.NoError(t, sc.pcb.SetRTO(20*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond))
	require.ErrorIs(t, sc.pcb.SetRTO(0, 2*time.Second, 0), ErrVal)
	require.ErrorIs(t, sc.pcb.SetRTO(time.Microsecond, time.Microsecond, 0), ErrVal)
	require.NoError(t, sc.pcb.SetRetries(3, 2))
	require.ErrorIs(t, sc.pcb.SetRetries(-1, 0), ErrVal)
	require.ErrorIs(t, sc.pcb.SetRetries(0, 256), ErrVal)
	sc.run(`
		< S 0 mss=1000
		> SA 0 ack=1
		+21ms
		> SA 0 ack=1
		+41ms
		> SA 0 ack=1
		+51ms             # twice, and no more
		> RA 1 ack=1
		stat pcbs 1
		< S 0 mss=1000
		> SA 0 ack=1
		< A 1 ack=1
		write 10
		> A 1 len=10
		+11ms             # the handshake took no time
		> A 1 len=10
		+21ms
		> A 1 len=10
		+41ms
		> A 1 len=10
		+51ms
		> RA 11 ack=1
		err timeout
	`)
}

func TestTCPKnobs_SegmentSizeAndInitialWindow(t *testing.T) {
	sc := runScript(t, noTS(), "listen")
	l := sc.pcb
	// A listener's may change: the next connection has what it is then.
	require.NoError(t, l.SetMSS(500))
	require.NoError(t, l.SetInitialWindow(3))
	sc.run(`
		< S 0 mss=1000
		> SA 0 ack=1 mss=500
		< A 1 ack=1
	`)
	require.Equal(t, uint32(1500), sc.pcb.cc.Cwnd)
	require.ErrorIs(t, sc.pcb.SetMSS(600), ErrIsConn)
	require.ErrorIs(t, sc.pcb.SetInitialWindow(4), ErrIsConn)
	sc.pcb.Abort()
	sc.s.Flush(sc.now)
	sc.out = nil
	require.NoError(t, l.Close())
	l = sc.s.NewTCP()
	require.ErrorIs(t, l.SetMSS(80), ErrVal)
	require.ErrorIs(t, l.SetInitialWindow(1001), ErrVal)
	require.NoError(t, l.SetMSS(500))
	require.NoError(t, l.SetInitialWindow(3))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error { sc.attach(pcb); return nil })
	require.NoError(t, l.Bind(ap(userIP, userPort)))
	require.NoError(t, l.Listen(0))
	sc.run(`
		< S 0 mss=1000
		> SA 0 ack=1 mss=500
		< A 1 ack=1
		write 4000
		> A 1 len=500
		> A 501 len=500
		> A 1001 len=500
		>
	`)
}

// TestTCPKnobs_HeaderFields: DSCP (RFC 2474 3) and TTL of what is sent, from the
// first packet on.
func TestTCPKnobs_HeaderFields(t *testing.T) {
	h := newHost(t, hostConfig{Config: Config{TTL: 7, TCP: TCPConfig{DSCP: 46, NoTimestamps: true}}})
	c := h.NewTCP()
	require.NoError(t, c.Connect(ap(peerIP, 80), nil))
	syn := h.one()
	require.Equal(t, uint8(46), syn.ip.TOS()>>2)
	require.Equal(t, uint8(7), syn.ip.TTL())
	require.ErrorIs(t, c.SetDSCP(64), ErrVal)
	require.NoError(t, c.SetDSCP(10))
	c.SetTTL(99)
	h.in(ipv4{}.tcp(header.TCPFields{SrcPort: 80, DstPort: syn.tcp.SrcPort(), Seq: 7, Ack: syn.tcp.Seq().Add(1),
		Flags: header.TCPSyn | header.TCPAck, Window: 1000}, nil, nil))
	ack := h.one()
	require.Equal(t, uint8(10), ack.ip.TOS()>>2)
	require.Equal(t, uint8(99), ack.ip.TTL())
}

func TestTCPKnobs_RFC6056_PortPolicies(t *testing.T) {
	ports := func(p PortPolicy, seed byte) (list []uint16) {
		var cfg Config
		cfg.Seed[0] = seed
		cfg.TCP.Ports, cfg.TCP.PortMin, cfg.TCP.PortMax = p, 10000, 19999
		sc := newScript(t, cfg)
		for range 4 {
			c := sc.s.NewTCP()
			require.NoError(t, c.Connect(ap(peerIP, 80), nil))
			list = append(list, c.LocalAddr().Port())
		}
		return list
	}
	require.Equal(t, []uint16{10000, 10001, 10002, 10003}, ports(PortsSequential, 1))
	for p, ordered := range map[PortPolicy]bool{PortsHash: true, PortsRandom: false} {
		a, b := ports(p, 1), ports(p, 2)
		require.NotEqual(t, a, b)
		require.Equal(t, ordered, a[1] == a[0]+1 && a[2] == a[1]+1, "%v", a)
	}
}

func TestTCPKnobs_RFC6528_ISNPolicies(t *testing.T) {
	isn := func(p ISNPolicy, seed byte) header.Seq {
		var cfg Config
		cfg.Seed[0] = seed
		cfg.TCP.ISN = p
		sc := newScript(t, cfg)
		sc.run("listen\n< S 0\n> SA 0")
		return sc.iss[peerPort]
	}
	require.Equal(t, header.Seq(uint32(hostStart>>12)), isn(ISNClock, 1))
	require.Equal(t, isn(ISNClock, 1), isn(ISNClock, 2))
	require.NotEqual(t, isn(ISNRandom, 1), isn(ISNRandom, 2))
	require.NotEqual(t, isn(ISNRandom, 1), isn(ISNHash, 1))
}

// TestTCPKnobs_GoneWithTheConnection: the next user of a PCB has the stack's
// options again.
func TestTCPKnobs_GoneWithTheConnection(t *testing.T) {
	sc := newScript(t, noTS())
	c := sc.s.NewTCP()
	c.SetLinger(0)
	c.SetTimeWait(0)
	c.SetUserTimeout(time.Second)
	c.SetQuickAck(true)
	require.NoError(t, c.SetMSS(500))
	k := c.cold.knobs
	c.Abort()
	d := sc.s.NewTCP()
	require.Nil(t, d.ownKnobs())
	require.Equal(t, uint8(2), d.ackEvery)
	require.Same(t, k, d.knobs(), "from the free list")
	require.Equal(t, tcpKnobs{}, *d.knobs())
	d.Abort()
}
