package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sackedFar is sacked with a round trip of 20 ms.
const sackedFar = `
		listen
		< S 0 mss=1000 sackok
		> SA 0 ack=1 sackok
		+20ms
		< A 1 ack=1
		state ESTABLISHED
`

// tenOut is a connection with selective acknowledgements and ten segments in
// flight; more is a step behind that.
const tenOut = sackedFar + `
		write 10000
		> A 1 len=1000 times=10
		>
`

func TestRecovery_RFC6675_5_OnlyTheHoleIsSentAgain(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=1001-2001
		< A 1 ack=1 sack=1001-3001
		>
		< A 1 ack=1 sack=1001-4001
		> A 1 len=1000
		>
		stat fastretransmits 1
		< A 1 ack=1 sack=1001-10001
		>
		+20ms
		< A 1 ack=10001
		acked 10000
		stat retrans 1
		stat timeouts 0
	`)
	require.Zero(t, sc.pcb.flags&tfRecovery)
}

// TestRecovery_RFC6675_4_Pipe: what has arrived or is lost is not in flight.
func TestRecovery_RFC6675_4_Pipe(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=2001-3001
		< A 1 ack=1 sack=2001-5001
		> A 1 len=1000
		> A 1001 len=1000        # two have arrived with this ACK
		>
		< A 1 ack=1 sack=2001-10001
	`)
	// 8 arrived, 2 lost and sent again.
	require.Equal(t, uint32(10000-8000-2000+2000), sc.pcb.inFlight())
	l := sc.pcb.cold.loss
	require.Equal(t, []uint32{8000, 2000, 2000}, []uint32{l.sacked, l.lost, l.resent})
}

func TestRecovery_RFC6675_5_HolesInOrderThenNewData(t *testing.T) {
	sc := runScript(t, noTS(), tenOut)
	sc.pcb.cc.Ssthresh = 1 << 20
	sc.run(`
		write 3000
		>                             # the window is full
		+20ms
		< A 1 ack=1 sack=1001-2001    # limited transmit (RFC 3042)
		> A 10001 len=1000
		< A 1 ack=1 sack=3001-4001,1001-2001
		> A 11001 len=1000
		< A 1 ack=1 sack=5001-6001,3001-4001,1001-2001
		> A 1 len=1000                # one at once; 2001 and 4001 are lost too
		>
		< A 1 ack=1 sack=5001-9001,3001-4001,1001-2001
		> A 2001 len=1000
		> A 4001 len=1000
		> PA 12001 len=1000           # then what is new
		>
	`)
}

// TestRecovery_RFC2018_8_NotForWhatArrived: a timeout does not send again what the
// peer has, unless it shows that it has it no more.
func TestRecovery_RFC2018_8_Reneging(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=2001-3001
		+3s
		< A 1 ack=1 sack=2001-3001
	`)
	sc.out = nil
	sc.run(`
		< A 1 ack=2001            # up to what it said it had, and no further
		+10s
	`)
	again := map[int]bool{}
	for _, o := range sc.out {
		again[int(o.seq.Sub(sc.iss[peerPort]))] = true
	}
	require.True(t, again[2001], "%v", again)
	sc.out = nil
}

func TestRecovery_RFC3042_LimitedTransmit(t *testing.T) {
	runScript(t, noTS(), established+`
		write 12000
		> A 1 len=1000 times=10
		>
		< A 1 ack=1
		> A 10001 len=1000
		< A 1 ack=1
		> A 11001 len=1000
		< A 1 ack=1
		> A 1 len=1000
		>
	`)
}

// TestRACK_RFC8985_6_2_ReorderingWindow: fewer than three segments that came later
// are no loss until a quarter of a round trip has passed.
func TestRACK_RFC8985_6_2_ReorderingWindow(t *testing.T) {
	sc := runScript(t, noTS(), sackedFar+`
		write 1000
		> A 1 len=1000
		+20ms
		< A 1 ack=1001
		write 3000
		> A 1001 len=1000
		> A 2001 len=1000
		> A 3001 len=1000
		+20ms
		< A 1 ack=1001 sack=2001-3001
		>
		+4ms
		>
		+2ms
		> A 1001 len=1000
		>
		stat timeouts 0
	`)
	require.NotZero(t, sc.pcb.flags&tfRecovery)
}

// TestRACK_RFC8985_6_2_ReorderingIsLearnt: once a segment that was sent once
// arrives after later ones, three of these prove nothing.
func TestRACK_RFC8985_6_2_ReorderingIsLearnt(t *testing.T) {
	runScript(t, noTS(), sackedFar+`
		write 1000
		> A 1 len=1000
		+20ms
		< A 1 ack=1001
		write 3000
		> A 1001 len=1000
		> A 2001 len=1000
		> A 3001 len=1000
		+20ms
		< A 1 ack=1001 sack=2001-3001
		+1ms
		< A 1 ack=4001                # it had only been overtaken
		write 5000
		> A 4001 len=1000 times=5
		+20ms
		< A 1 ack=4001 sack=5001-9001
		>
		+6ms
		> A 4001 len=1000
		stat timeouts 0
	`)
}

// TestRACK_RFC8985_3_LostRetransmission: what was sent again and is lost again is
// found without a timeout.
func TestRACK_RFC8985_3_LostRetransmission(t *testing.T) {
	runScript(t, noTS(), tenOut+`
		write 5000
		+20ms
		< A 1 ack=1 sack=1001-4001
		> A 1 len=1000                # is lost again
		>
		+1ms
		< A 1 ack=1 sack=1001-10001   # lets new data out
		> A 10001 len=1000 times=4
		> PA 14001 len=1000
		>
		+20ms
		< A 1 ack=1 sack=1001-11001   # which was sent later than that
		> A 1 len=1000
		stat timeouts 0
	`)
}

// TestTLP_RFC8985_7_LastSegmentAgain: a lost tail is probed for after two round
// trips.
func TestTLP_RFC8985_7_LastSegmentAgain(t *testing.T) {
	sc := runScript(t, noTS(), sackedFar+`
		write 1000
		> A 1 len=1000
		+20ms
		< A 1 ack=1001
		write 3000
		> A 1001 len=1000
		> A 2001 len=1000
		> A 3001 len=1000
		+20ms
		>
		+25ms
		> A 3001 len=1000             # the last
		>
		+20ms
		< A 1 ack=1001 sack=3001-4001
		> A 1001 len=1000             # the others are lost
		+20ms
		< A 1 ack=2001 sack=3001-4001
		> A 2001 len=1000
		+20ms
		< A 1 ack=4001
		stat timeouts 0
		acked 4000
	`)
	require.Equal(t, uint64(1), sc.s.stats.TCP.LossProbes)
}

// TestTLP_RFC8985_7_2_MaxAckDelay: the probe of a single segment waits for the ACK that
// the peer may delay, by default 200 ms, or as long as the configuration says.
func TestTLP_RFC8985_7_2_MaxAckDelay(t *testing.T) {
	for delay, wait := range map[time.Duration]string{0: "230ms", 400 * time.Millisecond: "430ms"} {
		cfg := noTS()
		cfg.TCP.MaxAckDelay, cfg.TCP.MinRTO = delay, time.Second
		sc := runScript(t, cfg, sackedFar+`
			write 1000
			> A 1 len=1000
			+20ms
			< A 1 ack=1001
			write 1000
			> A 1001 len=1000
			+`+wait+`
			>
			+25ms
			> A 1001 len=1000
			+20ms
			< A 1 ack=2001
			stat timeouts 0
			acked 2000
		`)
		require.Equal(t, uint64(1), sc.s.stats.TCP.LossProbes, delay)
	}
}

// TestTLP_RFC8985_7_3_NewDataFirst: a probe is new data if there is some.
func TestTLP_RFC8985_7_3_NewDataFirst(t *testing.T) {
	sc := runScript(t, noTS(), sackedFar)
	sc.run(`
		write 1000
		> A 1 len=1000
		+20ms
		< A 1 ack=1001
		write 12000
	`)
	require.Len(t, sc.out, 10)
	sc.out = nil
	sc.run(`
		+45ms
		> A 11001 len=1000
		>
		+20ms
		< A 1 ack=12001
		> PA 12001 len=1000
	`)
	require.Zero(t, sc.s.stats.TCP.RetransSegs)
}

// TestTLP_RFC8985_7_4_RepairedLoss: a probe that repairs a loss is answered as one;
// one whose duplicate the peer reports is not.
func TestTLP_RFC8985_7_4_RepairedLoss(t *testing.T) {
	for _, lost := range []bool{true, false} {
		sc := runScript(t, noTS(), sackedFar+`
			write 1000
			> A 1 len=1000
			+20ms
			< A 1 ack=1001
			write 2000
			> A 1001 len=1000
			> A 2001 len=1000
			+45ms
			> A 2001 len=1000
		`)
		was := sc.pcb.cc.Cwnd
		if lost {
			sc.run(`
				< A 1 ack=3001
			`)
		} else {
			sc.run(`
				< A 1 ack=3001
				< A 1 ack=3001 sack=2001-3001
			`)
		}
		sc.run(`
			write 1000
			> A 3001 len=1000
			< A 1 ack=4001
		`)
		require.Equal(t, lost, sc.pcb.cc.Cwnd < was, "%d after %d", sc.pcb.cc.Cwnd, was)
		require.Zero(t, sc.s.stats.TCP.FastRetransmits)
	}
}

func TestPRR_RFC6937_3(t *testing.T) {
	const mss = 1000
	// Proportional: of 20 in flight the threshold is half; every second ACK of a
	// segment lets one go.
	r := prrState{flight: 20 * mss}
	pipe, sent := uint32(19*mss), uint32(0)
	for range 18 {
		pipe -= mss
		for n := r.window(mss, pipe, 10*mss, mss, false); n >= mss; n -= mss {
			r.out += mss
			sent += mss
			pipe += mss
		}
	}
	require.Equal(t, uint32(9*mss), sent)
	// Below the threshold: no more than arrives, unless there is progress.
	r = prrState{flight: 20 * mss, delivered: 4 * mss, out: 4 * mss}
	require.Equal(t, uint32(2*mss), r.window(2*mss, 3*mss, 10*mss, mss, false))
	r = prrState{flight: 20 * mss, delivered: 4 * mss, out: 4 * mss}
	require.Equal(t, uint32(3*mss), r.window(2*mss, 3*mss, 10*mss, mss, true), "slow start")
	r = prrState{flight: 20 * mss, delivered: 4 * mss, out: 4 * mss}
	require.Equal(t, uint32(mss), r.window(2*mss, 9*mss, 10*mss, mss, true), "up to the threshold")
	// As much as arrives, although the fast retransmit went without (RFC 9937 6.2).
	r = prrState{flight: 10 * mss, out: mss}
	require.Equal(t, uint32(mss), r.window(mss, 3*mss, 7*mss, mss, false))
}

// TestRecovery_RFC2018_5_BlocksOfAnOvertakenAck count like those of others.
func TestRecovery_RFC2018_5_BlocksOfAnOvertakenAck(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=1001-2001
		< A 1 ack=1 sack=1001-3001
		< A 1 ack=1 sack=8001-9001,1001-3001
		> A 1 len=1000
		+20ms
		< A 1 ack=4001 sack=8001-9001
		> A 4001 len=1000
		> A 5001 len=1000
		> A 6001 len=1000
		>
		+2ms
		< A 1 ack=3001 sack=5001-7001     # late
		> A 7001 len=1000
	`)
	require.Equal(t, uint32(3000), sc.pcb.cold.loss.sacked)
	require.Zero(t, sc.s.stats.TCP.DSACKsIn)
	// What lies below is old; nothing that was never sent is believed.
	sc.run("< A 1 ack=3001 sack=3001-4001\n < A 1 ack=3001 sack=20001-21001")
	require.Equal(t, uint32(3000), sc.pcb.cold.loss.sacked)
	require.Zero(t, sc.s.stats.TCP.DSACKsIn)
	sc.out = nil
}

func TestFRTO_RFC5682_2_1_Spurious(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		write 14000
	`)
	require.Len(t, sc.out, 10)
	sc.out = nil
	was := sc.pcb.cc
	sc.run(`
		+1010ms
		> A 1 len=1000
		>
		< A 1 ack=1001
		> A 10001 len=1000            # step 2b: two new ones, not what is taken for lost
		> A 11001 len=1000
		>
		< A 1 ack=2001                # step 3b: it had only been late
	`)
	require.Equal(t, uint64(1), sc.s.stats.TCP.SpuriousRecoveries)
	require.Equal(t, uint64(1), sc.s.stats.TCP.RetransSegs)
	require.GreaterOrEqual(t, sc.pcb.cc.Cwnd, was.Cwnd)
	require.GreaterOrEqual(t, sc.pcb.cc.Ssthresh, was.Ssthresh)
	sc.out = nil
	sc.run(`
		< A 1 ack=12001
	`)
	require.Equal(t, uint64(1), sc.s.stats.TCP.RetransSegs)
	sc.out = nil
}

func TestFRTO_RFC5682_2_1_RealLoss(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		write 14000
	`)
	require.Len(t, sc.out, 10)
	sc.out = nil
	sc.run(`
		+1010ms
		> A 1 len=1000
		< A 1 ack=1001
		> A 10001 len=1000
		> A 11001 len=1000
		>
		< A 1 ack=1001                # step 3a: a duplicate
	`)
	require.Zero(t, sc.s.stats.TCP.SpuriousRecoveries)
	require.NotEmpty(t, sc.out)
	require.Equal(t, uint32(1001), sc.out[0].seq.Sub(sc.iss[peerPort]), "slow start from the front")
	sc.out = nil
}

func TestEifel_RFC3522_3_2(t *testing.T) {
	sc := runScript(t, Config{}, `
		listen
		< S 0 mss=1012 ts=1000:0 sackok
		> SA 0 ts=1000 sackok
	`)
	sc.run(`
		+20ms
		< A 1 ack=1 ts=1001:0
		write 10000
	`)
	require.Len(t, sc.out, 10)
	stamp := sc.out[0].opts.TSVal
	sc.out = nil
	was := sc.pcb.cc.Cwnd
	sc.run(`+20ms`)
	sc.ackTS(1, stamp, "1001-4001")
	require.Len(t, sc.out, 1, "taken for lost")
	require.NotZero(t, sc.pcb.flags&tfRecovery)
	sc.run(`+5ms`)
	sc.out = nil
	sc.ackTS(4001, stamp, "") // the first transmission's echo
	require.Equal(t, uint64(1), sc.s.stats.TCP.SpuriousRecoveries)
	require.Zero(t, sc.pcb.flags&tfRecovery)
	require.GreaterOrEqual(t, sc.pcb.cc.Cwnd, was)
	sc.out = nil
}

func TestDSACK_RFC3708_Undo(t *testing.T) {
	sc := runScript(t, noTS(), tenOut)
	was := sc.pcb.cc.Cwnd
	sc.run(`
		+20ms
		< A 1 ack=1 sack=1001-4001
		> A 1 len=1000
		< A 1 ack=10001               # the first came late
	`)
	require.Less(t, sc.pcb.cc.Cwnd, was)
	sc.run(`
		< A 1 ack=10001 sack=1-1001   # and again
	`)
	require.Equal(t, uint64(1), sc.s.stats.TCP.SpuriousRecoveries)
	require.GreaterOrEqual(t, sc.pcb.cc.Cwnd, was)
	require.Equal(t, uint8(1), sc.pcb.cold.reoMult, "RFC 8985 6.2: the window grows")
}

// TestRecovery_StateGoesBack: a connection that has recovered has no state for it.
func TestRecovery_StateGoesBack(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=1001-4001
		> A 1 len=1000
		+20ms
		< A 1 ack=10001
		write 2000
		> A 10001 len=1000
		> A 11001 len=1000
		+20ms
		< A 1 ack=12001
		write 1000
		> A 12001 len=1000
		+20ms
		< A 1 ack=13001
		acked 13000
	`)
	require.Nil(t, sc.pcb.cold.loss)
	require.Len(t, sc.s.tcp.losses, 1)
	require.Equal(t, tcpLoss{}, *sc.s.tcp.losses[0])
}

// TestSACK_RFC2018_5_PartOfABigSegment: blocks cut a segment of many, and only the
// missing part goes again.
func TestSACK_RFC2018_5_PartOfABigSegment(t *testing.T) {
	sc := runScript(t, bigTS(), tenOut+`
		+20ms
		< A 1 ack=1 sack=4001-6001
		< A 1 ack=1 sack=4001-6001,7001-10001
		> A 1 len=1000                # three have arrived with this ACK
		> A 1001 len=1000
		> A 2001 len=1000
		>
	`)
	require.Equal(t, []int{3000, 1000, 2000, 1000, 3000}, sc.pcb.queued())
	sc.run(`
		+20ms
		< A 1 ack=3001 sack=4001-6001,7001-10001
		> A 3001 len=1000
		> A 6001 len=1000
		+20ms
		< A 1 ack=10001
		acked 10000
		stat retrans 5
		stat timeouts 0
	`)
}

// TestSACK_BlocksThatMeanNothing: such as no peer sends in good faith.
func TestSACK_BlocksThatMeanNothing(t *testing.T) {
	sc := runScript(t, noTS(), tenOut+`
		< A 1 ack=1 sack=5001-4001
		< A 1 ack=1 sack=9001-20001
		< A 1 ack=1 sack=40001-50001
		< A 1 ack=1 sack=5001-5001
		>
		< A 1 ack=10001
		acked 10000
		stat retrans 0
	`)
	require.Zero(t, sc.pcb.inFlight())
}
