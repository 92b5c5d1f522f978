package stack

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Scripts about ECN; tos=2 is ECT(0), tos=3 CE, flags E and C are ECE and CWR.

func withECN(m ECNMode) Config {
	cfg := noTS()
	cfg.TCP.ECN = m
	return cfg
}

// ecnServer and ecnClient open a connection that has agreed on ECN.
const (
	ecnServer = `
		listen
		< SEC 0 mss=1000
		> SAE 0 ack=1 tos=0
		< A 1 ack=1
		accepted 1
	`
	ecnClient = `
		connect
		> SEC 0 tos=0
		< SAE 0 ack=1 mss=1000
		> A 1 ack=1 tos=0
		state ESTABLISHED
	`
)

// TestECN_RFC3168_6_1_1_ServerTable: which SYNs a listener agrees to, as Linux
// does with tcp_ecn = 2 (passive, the default), 1 and 0.
func TestECN_RFC3168_6_1_1_ServerTable(t *testing.T) {
	for _, c := range []struct {
		mode  ECNMode
		syn   string
		agree bool
	}{
		{ECNPassive, "SEC", true},
		{ECNOn, "SEC", true},
		{ECNOff, "SEC", false},
		{ECNPassive, "S", false},
		{ECNPassive, "SE", false}, // not an ECN-setup SYN
		{ECNPassive, "SC", false},
		{ECNOn, "S", false},
	} {
		name := fmt.Sprintf("%d %s", c.mode, c.syn)
		sc := runScript(t, withECN(c.mode), "listen\n< "+c.syn+" 0 mss=1000")
		require.Len(t, sc.out, 1, name)
		require.Equal(t, c.agree, sc.out[0].flags&header.TCPEce != 0, name)
		require.Zero(t, sc.out[0].flags&header.TCPCwr, name)
		sc.out = nil
		sc.run("< A 1 ack=1\nwrite 500\n+1s")
		require.Equal(t, c.agree, sc.pcb.ECN(), name)
		want := 0
		if c.agree {
			want = int(header.ECNECT0)
		}
		require.Equal(t, want, sc.out[0].tos, name)
	}
}

// TestECN_RFC3168_6_1_1_ClientTable: what a client makes of SYN-ACKs.
func TestECN_RFC3168_6_1_1_ClientTable(t *testing.T) {
	for _, c := range []struct {
		mode   ECNMode
		synAck string
		agree  bool
	}{
		{ECNOn, "SAE", true},
		{ECNOn, "SA", false},
		{ECNOn, "SAEC", false}, // 6.1.1.1: a host that reflects reserved bits
		{ECNOn, "SAC", false},
		{ECNPassive, "SAE", false}, // not asked for
		{ECNOff, "SAE", false},
	} {
		name := fmt.Sprintf("%d %s", c.mode, c.synAck)
		sc := runScript(t, withECN(c.mode), "connect")
		require.Equal(t, c.mode == ECNOn, sc.out[0].flags&(header.TCPEce|header.TCPCwr) == header.TCPEce|header.TCPCwr, name)
		require.Equal(t, c.mode != ECNOn, sc.out[0].flags&(header.TCPEce|header.TCPCwr) == 0, name)
		sc.run("< " + c.synAck + " 0 ack=1 mss=1000")
		require.Equal(t, c.agree, sc.pcb.ECN(), name)
	}
}

// TestECN_RFC3168_6_1_1_1_SynWithoutAnswer: the SYN goes out again without asking;
// a late SYN-ACK to the first one still counts.
func TestECN_RFC3168_6_1_1_1_SynWithoutAnswer(t *testing.T) {
	for synAck, agree := range map[string]bool{"SA": false, "SAE": true} {
		sc := runScript(t, withECN(ECNOn), `
			connect
			> SEC 0
			+1100ms
			> S 0
			< `+synAck+` 0 ack=1 mss=1000
			> A 1 ack=1
		`)
		require.Equal(t, agree, sc.pcb.ECN())
	}
}

// TestECN_RFC3168_6_1_1_EctSyn: a SYN in an ECN-capable packet is not agreed to.
func TestECN_RFC3168_6_1_1_EctSyn(t *testing.T) {
	for _, tos := range []uint8{header.ECNECT0, header.ECNECT1, header.ECNCE} {
		runScript(t, withECN(ECNOn), fmt.Sprintf(`
			listen
			< SEC 0 mss=1000 tos=%d
			> SA 0 ack=1
		`, tos))
	}
}

// TestECN_RFC3168_6_1_1_SimultaneousOpen: SYN-ACKs answer ECN-setup SYNs.
func TestECN_RFC3168_6_1_1_SimultaneousOpen(t *testing.T) {
	sc := runScript(t, withECN(ECNOn), `
		connect
		> SEC 0
		< SEC 0 mss=1000
		> SAE 0 ack=1
		< SAE 0 ack=1
		state ESTABLISHED
	`)
	require.True(t, sc.pcb.ECN())
}

// TestECN_RFC3168_6_1_5_WhatIsCapable: new data is, nothing else.
func TestECN_RFC3168_6_1_5_WhatIsCapable(t *testing.T) {
	runScript(t, withECN(ECNOn), ecnClient+`
		write 1000
		> PA 1 len=1000 tos=2
		+1100ms
		> PA 1 len=1000 tos=0      # sent again
		< A 1 ack=1001
		< PA 1 len=1000 ack=1001
		+50ms
		> A 1001 ack=1001 tos=0    # a pure ACK
		close
		> FA 1001 tos=0
	`)
}

// TestECN_RFC3168_6_1_6_WindowProbes: probes are not capable.
func TestECN_RFC3168_6_1_6_WindowProbes(t *testing.T) {
	runScript(t, withECN(ECNOn), ecnClient+`
		< A 1 ack=1 win=0
		write 100
		>
		+1100ms
		> A 1 len=1 tos=0
	`)
}

// TestECN_RFC3168_6_1_3_EchoUntilCWR: a mark is echoed with every segment until the
// peer says that it has reduced its window.
func TestECN_RFC3168_6_1_3_EchoUntilCWR(t *testing.T) {
	runScript(t, withECN(ECNPassive), ecnServer+`
		< PA 1 len=1000 ack=1 tos=2
		+50ms
		> A 1 ack=1001
		< PA 1001 len=1000 ack=1 tos=3
		> AE 1 ack=2001            # at once
		< PA 2001 len=1000 ack=1 tos=2
		< PA 3001 len=1000 ack=1 tos=2
		> AE 1 ack=4001
		write 500
		> PAE 1 len=500 tos=2
		< PAC 4001 len=1000 ack=501 tos=2
		+50ms
		> A 501 ack=5001
		< PAC 5001 len=1000 ack=501 tos=3
		> AE 501 ack=6001          # the one with CWR was marked itself
	`)
}

// TestECN_RFC3168_6_1_3_OnlyData: a mark on a pure ACK, which can't be capable,
// says nothing; nor does one on data out of the window.
func TestECN_RFC3168_6_1_3_OnlyData(t *testing.T) {
	runScript(t, withECN(ECNPassive), ecnServer+`
		write 500
		> PA 1 len=500
		< A 1 ack=501 tos=3
		< PA 200001 len=1000 ack=501 tos=3
		> A 501 ack=1
		< PA 1 len=1000 ack=501 tos=2
		+50ms
		> A 501 ack=1001
	`)
}

// TestECN_RFC3168_6_1_2_ReducesOncePerWindow: ECE reduces the window as a loss
// does, once for a flight, and CWR goes out with the next new data, once.
func TestECN_RFC3168_6_1_2_ReducesOncePerWindow(t *testing.T) {
	sc := runScript(t, withECN(ECNOn), ecnClient+`
		write 20000
	`)
	require.Len(t, sc.out, 10)
	sc.out = nil
	sc.run(`< AE 1 ack=2001`)
	require.Equal(t, uint32(7000), sc.pcb.cc.Cwnd, "CUBIC keeps 0.7 (RFC 9438 4.6)")
	require.Empty(t, sc.out, "8 segments are in flight")
	sc.run(`
		< AE 1 ack=4001
		> AC 10001 len=1000 tos=2  # 6 in flight, 7 may be
		< AE 1 ack=6001
		> A 11001 len=1000 tos=2
		> A 12001 len=1000 tos=2
	`)
	require.Equal(t, uint32(7000), sc.pcb.cc.Cwnd, "the same flight: no more, no less")
	sc.run(`
		< A 1 ack=10001
		> A 13001 len=1000
		> A 14001 len=1000
		> A 15001 len=1000
		> A 16001 len=1000
	`)
	sc.run(`< AE 1 ack=11001`)
	require.Equal(t, uint32(4900), sc.pcb.cc.Cwnd, "news of the next flight")
}

// TestECN_RFC3168_6_1_2_LossInTheSameFlight: a loss and a mark of one flight are
// one reason to reduce, whichever is first; CWR tells of losses as well.
func TestECN_RFC3168_6_1_2_LossInTheSameFlight(t *testing.T) {
	sc := runScript(t, withECN(ECNOn), ecnClient+`
		write 10000
	`)
	sc.out = nil
	sc.run(`< AE 1 ack=1001`)
	thresh := sc.pcb.cc.Ssthresh
	sc.run(`
		< A 1 ack=1001
		< A 1 ack=1001
		< A 1 ack=1001
		> A 1001 len=1000 tos=0
	`)
	require.Equal(t, thresh, sc.pcb.cc.Ssthresh)

	sc = runScript(t, withECN(ECNOn), ecnClient+`
		write 10000
	`)
	sc.out = nil
	sc.run(`
		< A 1 ack=1001
		< A 1 ack=1001
		< A 1 ack=1001
		< A 1 ack=1001
		> A 1001 len=1000 tos=0
	`)
	thresh = sc.pcb.cc.Ssthresh
	sc.out = nil
	sc.run(`
		< AE 1 ack=10001
		write 1000
		> PAC 10001 len=1000
	`)
	require.Equal(t, thresh, sc.pcb.cc.Ssthresh)
}

// TestECN_LongWay: a packet that takes the layers one by one carries its mark as
// one that goes in a step.
func TestECN_LongWay(t *testing.T) {
	cfg := withECN(ECNPassive)
	cfg.Hooks.IP4Input = func(*Netif, *pbuf.Pbuf) bool { return false }
	sc := runScript(t, cfg, ecnServer)
	sc.nif.plainOut = false
	sc.run(`
		< PA 1 len=1000 ack=1 tos=3
		> AE 1 ack=1001 tos=0
		write 500
		> PAE 1 len=500 tos=2
	`)
}

// TestDCTCP_RFC8257_3_2_Receiver: an ACK is for segments that were all marked or
// all not; a change sends at once what waits.
func TestDCTCP_RFC8257_3_2_Receiver(t *testing.T) {
	cfg := noTS()
	cfg.TCP.Congestion = "dctcp"
	runScript(t, cfg, ecnServer+`
		< PA 1 len=1000 ack=1 tos=2
		>
		< PA 1001 len=1000 ack=1 tos=3
		> A 1 ack=1001             # what came before was not marked
		> AE 1 ack=2001
		< PA 2001 len=1000 ack=1 tos=3
		>
		< PA 3001 len=1000 ack=1 tos=3
		> AE 1 ack=4001
		< PAC 4001 len=1000 ack=1 tos=3
		< PA 5001 len=1000 ack=1 tos=2
		> AE 1 ack=5001            # CWR means nothing
		> A 1 ack=6001
	`)
}

// TestDCTCP_AsksForECN: the controller needs it.
func TestDCTCP_AsksForECN(t *testing.T) {
	cfg := noTS()
	cfg.TCP.Congestion = "dctcp"
	sc := runScript(t, cfg, ecnClient)
	require.Equal(t, "dctcp", sc.pcb.CongestionControl())
	require.True(t, sc.pcb.ECN())
}

// TestDCTCP_RFC8257_3_3_Alpha: alpha follows the fraction of marked bytes with a
// gain of a sixteenth a window.
func TestDCTCP_RFC8257_3_3_Alpha(t *testing.T) {
	d := new(dctcp)
	c := window(100_000)
	c.Ssthresh = 50_000
	d.Init(&c, 0)
	require.Equal(t, uint64(dctcpOne), d.alpha, "4.2")
	una, want := header.Seq(1), 1.0
	round := func(marked int) {
		for i := range 100 {
			a := ack(1000, 100_000)
			una = una.Add(1000)
			a.Una, a.Nxt = una, una.Add(100_000-1000)
			a.Reduced = true // the window stays
			if i < marked {
				a.ECE = 1000
			}
			d.OnAck(&c, a)
		}
	}
	round(0)
	d.alpha, d.acked, d.marked = dctcpOne, 0, 0
	d.windowEnd = una.Add(99_000)
	for _, marked := range []int{100, 100, 20, 20, 20, 0, 0, 50} {
		round(marked)
		want = want*15/16 + float64(marked)/100/16
	}
	require.InDelta(t, want, float64(d.alpha)/dctcpOne, 0.01)
	for range 200 {
		round(25)
	}
	require.InDelta(t, 0.25, float64(d.alpha)/dctcpOne, 0.005)
}

// TestDCTCP_RFC8257_3_3_Window: marks cost alpha/2 of the window, losses half.
func TestDCTCP_RFC8257_3_3_Window(t *testing.T) {
	d := new(dctcp)
	c := window(100_000)
	d.Init(&c, 0)
	d.alpha = dctcpOne / 5
	d.OnEvent(&c, CongestionECN, ack(1000, 100_000))
	require.InDelta(t, 90_000, float64(c.Cwnd), 1)
	require.Equal(t, c.Cwnd, c.Ssthresh)
	d.OnEvent(&c, CongestionLoss, ack(0, 90_000))
	require.Equal(t, uint32(45_000), c.Ssthresh, "3.4")
	d.OnEvent(&c, CongestionTimeout, ack(0, 90_000))
	require.Equal(t, uint32(1000), c.Cwnd)
	d.alpha, c = dctcpOne, window(2500)
	d.OnEvent(&c, CongestionECN, ack(1000, 2500))
	require.Equal(t, uint32(2000), c.Cwnd)
}

// TestDCTCP_ShortQueue: on a link that marks from a fifth of its BDP on, the
// queue stays short and the link full.
func TestDCTCP_ShortQueue(t *testing.T) {
	p := newPath(new(dctcp), 100, 10e6)
	p.mark = p.bdp() / 5
	p.run(2e9)
	n, most := float64(0), int64(0)
	for range 1000 {
		n += float64(p.run(10e6))
		most = max(most, max(0, p.busy-p.now)*int64(p.rate)/1e9)
	}
	require.Greater(t, n, 0.97*10*float64(p.rate))
	require.Less(t, most, p.bdp()*2/5)
	require.Zero(t, p.lost)
}
