package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTCPInfo_Counts(t *testing.T) {
	sc := runScript(t, Config{TCP: TCPConfig{MinRTO: time.Second}}, `
		listen
		< S 0 mss=1400 ws=7 ts=1:0
		> SA 0
		< A 1 ack=1 ts=2:0
		write 100
		> A 1 len=100
		< A 1 len=300 ack=101 ts=3:0
		+50ms
		> A 101 ack=301
	`)
	i := sc.pcb.Info()
	require.Equal(t, CAOpen, i.CAState)
	require.Equal(t, uint64(100), i.BytesAcked)
	require.Equal(t, uint64(300), i.BytesReceived)
	require.Equal(t, 1388, i.MSS)
	require.Equal(t, 1440, i.PMTU)
	require.Equal(t, 1460, i.AdvMSS)
	require.Equal(t, 40*time.Millisecond, i.ATO)
	require.Equal(t, uint32(256<<10), i.RcvSsthresh)
	require.Equal(t, uint32(256<<10), i.SndBuf)
	require.False(t, i.SACK)
	require.Zero(t, i.LastDataSentAgo)

	sc.run("write 10\n > A 101 len=10\n +30ms")
	require.Equal(t, 30*time.Millisecond, sc.pcb.Info().LastDataSentAgo)
	sc.run("+1200ms")
	i = sc.pcb.Info()
	require.Equal(t, CALoss, i.CAState)
	require.Positive(t, i.Retransmits)
	sc.out = nil

	sc.run("< A 301 ack=111 ts=4:0")
	sc.pcb.SetUserTimeout(9 * time.Second)
	sc.run("< FA 301 ack=111 ts=5:0")
	i = sc.pcb.Info()
	require.Equal(t, uint64(110), i.BytesAcked)
	require.Equal(t, uint64(300), i.BytesReceived, "FIN is no data")
	require.Equal(t, 9*time.Second, i.UserTimeout)
	require.Equal(t, CAOpen, i.CAState)
	sc.out = nil
}

func TestTCPInfo_ProbesAndPacing(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		< A 1 ack=1 win=0
		write 10
		+1010ms
		> A 1 len=1
	`)
	require.Equal(t, 1, sc.pcb.Info().Probes)
	sc = runScript(t, noTS(), established+`
		keepalive
		+12500ms
	`)
	require.Equal(t, 3, sc.pcb.Info().Probes)
	sc.out = nil
	sc.pcb.SetMaxPacingRate(12345)
	require.Equal(t, uint64(12345), sc.pcb.Info().MaxPacingRate)
}

func TestTCPInfo_Disorder(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		write 3000
		> A 1 len=1000
		> A 1001 len=1000
		> A 2001 len=1000
		< A 1 ack=1
	`)
	require.Equal(t, CADisorder, sc.pcb.Info().CAState)
	sc.run("< A 1 ack=1\n < A 1 ack=1")
	require.Equal(t, CARecovery, sc.pcb.Info().CAState)
	sc.out = nil
}

// TestTCPMeter_CountsWhatHasNone: on and off, what both know is the same; beyond
// 2^32 bytes only a meter knows.
func TestTCPMeter_SameConnectionWithAndWithout(t *testing.T) {
	const text = `
		listen
		< S 0 mss=1000 sackok
		> SA 0
		+20ms
		< A 1 ack=1
		write 5000
		+20ms
		< A 1 ack=1 sack=1001-5001
		< A 1 len=300 ack=5001
		+200ms
	`
	var infos [2]TCPInfo
	for i := range infos {
		cfg := noTS()
		cfg.TCP.Meter = i == 1
		sc := newScript(t, cfg)
		for _, line := range strings.Split(text, "\n") {
			sc.run(line)
			sc.s.Flush(sc.now)
			if len(sc.out) > 1 {
				sc.out = sc.out[:1]
			}
			if !strings.Contains(line, "< S 0") {
				sc.out = nil
			}
		}
		infos[i] = sc.pcb.Info()
		require.Equal(t, i == 1, sc.pcb.flags&tfMeter != 0)
	}
	a, b := infos[0], infos[1]
	require.NotZero(t, b.SegsIn)
	require.Zero(t, a.SegsIn)
	require.Equal(t, uint64(6000), a.BytesSent)
	for _, i := range []*TCPInfo{&a, &b} { // what only a meter knows
		i.SegsIn, i.SegsOut, i.DataSegsIn, i.DataSegsOut, i.Delivered, i.RcvMSS = 0, 0, 0, 0, 0, 0
		i.DeliveryRate, i.DeliveryRateAppLimited, i.LastDataRecvAgo, i.LastAckRecvAgo, i.LastDataSentAgo = 0, false, 0, 0, 0
		i.BusyTime, i.RwndLimited, i.SndbufLimited = 0, 0, 0
	}
	require.Equal(t, a, b)
}

// TestTCPMeter_CountsBeyondFourGigabytes of sequence space.
func TestTCPMeter_CountsBeyondFourGigabytes(t *testing.T) {
	cfg := noTS()
	cfg.TCP.Meter = true
	sc := runScript(t, cfg, established)
	p := sc.pcb
	for range 5 {
		const gig = 1 << 30
		p.sndUna, p.sndNxt, p.sndMax, p.sndLbb = p.sndUna.Add(gig), p.sndNxt.Add(gig), p.sndMax.Add(gig), p.sndLbb.Add(gig)
		p.rcvNxt = p.rcvNxt.Add(gig)
		i := p.Info()
		require.Equal(t, i.BytesAcked, i.BytesReceived)
	}
	require.Equal(t, uint64(5<<30), p.Info().BytesAcked)
}

// TestTCPMeter_SwitchedOnAndOff: a meter begins at nothing, a controller that wants
// rate samples keeps them without one, and a listener's connections have what it has.
func TestTCPMeter_SwitchedOnAndOff(t *testing.T) {
	for _, cc := range []string{"cubic", "bbr"} {
		cfg := noTS()
		cfg.TCP.Congestion = cc
		cfg.TCP.NoDelay = true
		sc := runScript(t, cfg, established)
		sc.pcb.SetMeter(true)
		sc.pcb.SetMeter(true)
		sc.run("write 1000\n > A 1 len=1000\n +10ms\n < A 1 ack=1001")
		i := sc.pcb.Info()
		require.Equal(t, []uint32{1, 1, 1, 1}, []uint32{i.SegsIn, i.SegsOut, i.DataSegsOut, i.Delivered})
		require.Positive(t, i.DeliveryRate)
		require.True(t, sc.pcb.cold.own.traits.Rate)
		require.NoError(t, sc.pcb.SetCongestionControl(cc)) // anew
		require.True(t, sc.pcb.cold.own.traits.Rate)
		sc.pcb.SetMeter(false)
		require.Equal(t, cc == "bbr", sc.pcb.cold.own.traits.Rate)
		require.Zero(t, sc.pcb.Info().SegsIn)
		require.Len(t, sc.s.tcp.meters, 1)
		sc.run("write 1000\n > A 1001 len=1000\n +10ms\n < A 1 ack=2001")
		sc.s.EachTCP(func(l *TCP) {
			if l.state == StateListen {
				l.SetMeter(true)
			}
		})
		sc.run("< S 0 mss=1000 port=81\n > SA 0 port=81\n < A 1 ack=1 port=81")
		n := 0
		sc.s.EachTCP(func(c *TCP) {
			if c.state == StateEstablished && c.flags&tfMeter != 0 {
				require.Equal(t, uint32(2), c.Info().SegsIn)
				n++
			}
		})
		require.Equal(t, 1, n)
	}
}

// TestTCPMeter_AllSegmentsOfABigOneCount: those of a segment that somebody behind TCP
// cuts, and of data that is pulled.
func TestTCPMeter_AllSegmentsOfABigOneCount(t *testing.T) {
	cfg := noTS()
	cfg.TCP.GSO, cfg.TCP.Meter, cfg.TCP.NoDelay = GSOAlways, true, true
	sc := runScript(t, cfg, established+"write 4500\n")
	sc.s.Flush(sc.now)
	sc.out = nil
	sc.run("< A 1 ack=2001\n < A 1 ack=4501")
	sc.out = nil
	i := sc.pcb.Info()
	require.Equal(t, []uint32{5, 6}, []uint32{i.DataSegsOut, i.Delivered})
	require.Equal(t, uint64(4500), i.BytesSent)
}
