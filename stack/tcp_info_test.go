package stack

import (
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
	require.Equal(t, uint32(100), i.BytesAcked)
	require.Equal(t, uint32(300), i.BytesReceived)
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
	require.Equal(t, uint32(110), i.BytesAcked)
	require.Equal(t, uint32(300), i.BytesReceived, "FIN is no data")
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
