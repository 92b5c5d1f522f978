package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

func TestTCPData_RFC5681_4_2_AckEverySecondSegment(t *testing.T) {
	runScript(t, noTS(), established+`
		< A 1 len=1000 ack=1
		>
		< A 1001 len=1000 ack=1
		> A 1 ack=2001
		got 2000
		stat predicted 2
	`)
}

func TestTCPData_RFC1122_4_2_3_2_DelayedAck(t *testing.T) {
	runScript(t, noTS(), established+`
		< PA 1 len=10 ack=1
		+39ms
		>
		+2ms
		> A 1 ack=11
	`)
}

func TestTCPData_RFC1122_4_2_3_2_AckRidesOnData(t *testing.T) {
	runScript(t, noTS(), established+`
		< PA 1 len=10 ack=1
		write 20
		> PA 1 len=20 ack=11
		+100ms
		>
	`)
}

func TestTCPData_RFC9293_3_7_4_Nagle(t *testing.T) {
	runScript(t, noTS(), established+`
		write 10
		> A 1 len=10
		write 10
		write 10
		>
		< A 1 ack=11
		> A 11 len=20  # both in one
		acked 10
	`)
}

func TestTCPData_NoDelay(t *testing.T) {
	runScript(t, noTS(), established+`
		nodelay
		write 10
		write 11
		> A 1 len=10
		> A 11 len=11
	`)
}

func TestTCPData_RFC9293_3_4_OutOfOrderIsReassembled(t *testing.T) {
	runScript(t, noTS(), established+`
		< A 1001 len=1000 ack=1
		> A 1 ack=1      # duplicate ACK at once (RFC 5681 4.2)
		< A 3001 len=1000 ack=1
		> A 1 ack=1
		< A 1501 len=1000 ack=1   # overlaps what is there
		> A 1 ack=1
		got 0
		< A 1 len=1000 ack=1
		> A 1 ack=2501
		got 2500
		< A 2501 len=2000 ack=1   # covers the rest
		> A 1 ack=4501
		got 2000
	`)
}

func TestTCPData_OutOfOrderFin(t *testing.T) {
	runScript(t, noTS(), established+`
		< FA 1001 len=100 ack=1
		> A 1 ack=1
		noeof
		< A 1 len=1000 ack=1
		> A 1 ack=1102
		got 1100
		eof
		state CLOSE-WAIT
	`)
}

func TestTCPData_RFC9293_3_10_7_4_OldDataIsAckedAgain(t *testing.T) {
	runScript(t, noTS(), established+`
		< A 1 len=100 ack=1
		< A 1 len=100 ack=1
		> A 1 ack=101
		got 100
		< A 51 len=100 ack=1   # half of it is new
		> A 1 ack=151
		got 50
	`)
}

func TestTCPData_RFC9293_3_10_7_4_BeyondTheWindow(t *testing.T) {
	cfg := noTS()
	cfg.TCP.RecvBuf = 2000
	runScript(t, cfg, established+`
		hold
		< A 1 len=1000 ack=1
		< A 1001 len=1500 ack=1  # 500 of it do not fit
		> A 1 ack=2001 win=0
		got 2000
		< A 2001 len=1 ack=1     # a probe of the closed window
		> A 1 ack=2001 win=0
		drop tcp_zero_window 1
		recved 2000
		> A 1 ack=2001 win=2000
		< A 9001 len=10 ack=1    # far away
		> A 1 ack=2001
		drop tcp_seq 1
	`)
}

func TestTCPData_RFC9293_3_8_6_2_2_ReceiverSillyWindow(t *testing.T) {
	cfg := noTS()
	cfg.TCP.RecvBuf = 4000
	runScript(t, cfg, established+`
		hold
		< A 1 len=1000 ack=1
		< A 1001 len=1000 ack=1
		> A 1 ack=2001 win=2000
		< A 2001 len=1000 ack=1
		< A 3001 len=1000 ack=1
		> A 1 ack=4001 win=0
		recved 100
		>                        # no silly little window
		recved 900
		> A 1 ack=4001 win=1000
	`)
}

func TestTCPData_RFC9293_3_8_6_1_ZeroWindowProbe(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=1000 win=1000
		> SA 0 ack=1
		< A 1 ack=1 win=1000
		write 3000
		> A 1 len=1000
		< A 1 ack=1001 win=0
		>
		+1100ms
		> A 1001 len=1           # probe
		< A 1 ack=1001 win=0
		+2500ms
		> A 1001 len=1
		< A 1 ack=1002 win=0     # taken, but still closed
		acked 1001
		+1100ms
		> A 1002 len=1
		< A 1 ack=1002 win=5000
		> A 1002 len=1           # what was a probe goes first
		> A 1003 len=998
		> A 2001 len=1000
	`)
}

func TestTCPData_RFC9293_3_8_6_2_1_SenderSillyWindow(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=1000 win=4000
		> SA 0 ack=1
		< A 1 ack=1 win=4000
		write 6000
		> A 1 len=1000 times=4
		< A 1 ack=4001 win=100
		>                        # 100 bytes are silly
		+1100ms
		> A 4001 len=100         # but not for ever
	`)
}

func TestTCPData_RFC6298_5_RetransmitBackoff(t *testing.T) {
	runScript(t, noTS(), established+`
		write 1000
		> A 1 len=1000
		+1010ms
		> A 1 len=1000
		+1900ms
		>
		+120ms
		> A 1 len=1000
		stat timeouts 2
		< A 1 ack=1001
		acked 1000
		+60s
		>
	`)
}

func TestTCPData_RFC6298_5_GivesUp(t *testing.T) {
	cfg := noTS()
	cfg.TCP.Retries = 2
	runScript(t, cfg, established+`
		write 10
		> A 1 len=10
		+1010ms
		> A 1 len=10
		+2010ms
		> A 1 len=10
		+4010ms
		> RA 11
		err timeout
		stat pcbs 1
	`)
}

func TestTCPData_RFC5681_3_1_SlowStartAfterTimeout(t *testing.T) {
	runScript(t, noTS(), established+`
		write 4000
		> A 1 len=1000 times=4
		+1010ms
		> A 1 len=1000           # one segment: the loss window
		>
		< A 1 ack=1001
		> A 1001 len=1000        # from there on, two an ACK
		> A 2001 len=1000
		>
		< A 1 ack=4001           # the rest had arrived
		>
		acked 4000
	`)
}

// TestTCPData_AckAfterTimeoutIsNotOld: after a timeout an ACK still carries the
// highest sequence number sent, or the peer would drop it as old.
func TestTCPData_AckAfterTimeoutIsNotOld(t *testing.T) {
	runScript(t, noTS(), established+`
		write 3000
		> A 1 len=1000
		> A 1001 len=1000
		> A 2001 len=1000
		+1010ms
		> A 1 len=1000
		< A 1 len=1000 ack=1
		< A 1001 len=1000 ack=1
		> A 3001 ack=2001
		< A 1 ack=1              # old and empty: answered, but not for ever
		> A 3001 ack=2001
	`)
}

func TestTCPData_RFC6582_3_2_FastRetransmitAndRecovery(t *testing.T) {
	runScript(t, noTS(), established+`
		write 10000
		> A 1 len=1000 times=10
		>
		< A 1 ack=1
		< A 1 ack=1
		>
		< A 1 ack=1
		> A 1 len=1000           # third duplicate
		>
		stat fastretransmits 1
		< A 1 ack=1
		< A 1 ack=1
		< A 1 ack=4001           # partial: 4001 is lost too
		> A 4001 len=1000
		>
		< A 1 ack=10001
		acked 10000
		stat timeouts 0
		>
	`)
}

func TestTCPData_RFC7323_5_PAWS(t *testing.T) {
	runScript(t, Config{}, `
		listen
		< S 0 mss=1000 ts=1000:0
		> SA 0 ts=1000
		< A 1 ack=1 ts=1001:0
		< A 1 len=100 ack=1 ts=1002:0
		got 100
		< A 101 len=100 ack=1 ts=999:0   # from another life
		> A 1 ack=101 ts=1002
		got 0
		drop tcp_paws 1
		< A 101 len=100 ack=1            # no timestamp at all
		drop tcp_paws 2
		< A 101 len=100 ack=1 ts=1003:0
		got 100
	`)
}

func TestTCPData_RFC7323_4_3_EchoesTheOldestUnacked(t *testing.T) {
	runScript(t, Config{}, `
		listen
		< S 0 mss=1000 ts=1000:0
		> SA 0 ts=1000
		< A 1 ack=1 ts=1001:0
		< A 1 len=100 ack=1 ts=1010:0
		< A 101 len=100 ack=1 ts=1020:0  # the ACK covers both: the first one's time
		> A 1 ack=201 ts=1010
		+1ms
		< A 201 len=100 ack=1 ts=1030:0
		+41ms
		> A 1 ack=301 ts=1030
	`)
}

func TestTCPData_KeepAlive_RFC1122_4_2_3_6(t *testing.T) {
	runScript(t, noTS(), established+`
		keepalive
		+9900ms
		>
		+200ms
		> A 0 ack=1
		< A 1 ack=1
		+9900ms
		>
		+200ms
		> A 0 ack=1
		+1s
		> A 0 ack=1
		+1s
		> A 0 ack=1
		+1s
		> RA 1
		err timeout
	`)
}

func TestTCPData_RefusedDataIsOfferedAgain(t *testing.T) {
	runScript(t, noTS(), established+`
		pause
		< A 1 len=100 ack=1
		got 0
		< A 101 len=100 ack=1   # refused as well: not acknowledged
		drop tcp_refused 1
		> A 1 ack=101
		resume
		+300ms
		got 100
		< FA 101 len=100 ack=1
		got 100
		eof
		> A 1 ack=202
	`)
}

func TestTCPData_WriteIsAllOrNothing(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SendBuf = 5000
	sc := runScript(t, cfg, established+`
		write 5001
		err mem
		>
		write 5000
	`)
	require.Zero(t, sc.pcb.SndBuf())
	sc.run(`
		< A 1 ack=5001
		acked 5000
	`)
	require.Equal(t, 5000, sc.pcb.SndBuf())
}

func TestTCPData_WriteWithoutBuffersChangesNothing(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.s.hooks.AllocPbuf = func(pbuf.Layer, int, pbuf.Kind) *pbuf.Pbuf { return nil }
	require.ErrorIs(t, sc.pcb.Write(make([]byte, 3000), 0), ErrMem)
	require.Zero(t, sc.pcb.QueueLen())
	sc.s.hooks.AllocPbuf = nil
	sc.run(`
		write 500
		> A 1 len=500
	`)
}

func TestTCPData_InfoAndRTT_RFC6298_2(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		write 100
		> A 1 len=100
		+30ms
		< A 1 ack=101
	`)
	i := sc.pcb.Info()
	require.InDelta(t, 4, i.SRTT.Milliseconds(), 1, "handshake 0 ms, then 7/8*0 + 1/8*30")
	require.Equal(t, time.Second, i.RTO)
	require.Zero(t, i.Unacked)
}

// TestTCPData_WriteLeavesBuffersToReceive: data to send never takes the last
// buffers, or no acknowledgement could free them again.
func TestTCPData_WriteLeavesBuffersToReceive(t *testing.T) {
	cfg := noTS()
	cfg.TCP.SendBuf = 1 << 20
	sc := runScript(t, cfg, established)
	for sc.pcb.Write(make([]byte, 1000), 0) == nil {
	}
	left := sc.pool.Avail(pbuf.ClassStandard)
	require.Equal(t, sc.pool.Cap(pbuf.ClassStandard)/reserveShare, left)
	for sc.pcb.Write(make([]byte, 1), 0) == nil {
	}
	require.GreaterOrEqual(t, sc.pool.Avail(pbuf.ClassStandard), left)
	sc.out = sc.out[:0]
	require.NoError(t, sc.pcb.Output())
	sc.s.Flush(sc.now)
	sc.out = sc.out[:0]
	sc.run(`
		< A 1 ack=10001
		acked 10000
	`)
	sc.out = nil
}
