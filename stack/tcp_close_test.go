package stack

import "testing"

func TestTCPClose_RFC9293_3_6_Active(t *testing.T) {
	runScript(t, noTS(), established+`
		close
		> FA 1 ack=1
		stat estab 0
		< A 1 ack=2
		< FA 1 ack=2
		> A 2 ack=2
		stat pcbs 2            # TIME-WAIT
		< FA 1 ack=2           # the ACK was lost
		> A 2 ack=2
		+59s
		stat pcbs 2
		+2s
		stat pcbs 1
	`)
}

func TestTCPClose_RFC9293_3_6_Passive(t *testing.T) {
	runScript(t, noTS(), established+`
		< FA 1 ack=1
		> A 1 ack=2
		eof
		state CLOSE-WAIT
		write 10
		> A 1 len=10 ack=2
		close
		> FA 11 ack=2
		< A 2 ack=12
		stat pcbs 1
		>
	`)
}

func TestTCPClose_RFC9293_3_6_Simultaneous(t *testing.T) {
	runScript(t, noTS(), established+`
		shutdown
		> FA 1 ack=1
		state FIN-WAIT-1
		< FA 1 ack=1
		> A 2 ack=2
		state CLOSING
		eof
		< A 2 ack=2
		state TIME-WAIT
		+61s
		err closed
		stat pcbs 1
	`)
}

func TestTCPClose_FinAndAckTogether(t *testing.T) {
	runScript(t, noTS(), established+`
		shutdown
		> FA 1 ack=1
		< FA 1 ack=2
		> A 2 ack=2
		state TIME-WAIT
		eof
	`)
}

func TestTCPClose_HalfClose_RFC1122_4_2_2_13(t *testing.T) {
	runScript(t, noTS(), established+`
		write 100
		shutdown
		> A 1 len=100
		> FA 101 ack=1
		< A 1 ack=102
		state FIN-WAIT-2
		< A 1 len=500 ack=102
		< A 501 len=500 ack=102
		> A 102 ack=1001
		got 1000
		write 1
		err conn
		< FA 1001 ack=102
		> A 102 ack=1002
		eof
	`)
}

func TestTCPClose_FinWaitsForData(t *testing.T) {
	runScript(t, noTS(), `
		listen
		< S 0 mss=1000 win=1000
		> SA 0
		< A 1 ack=1 win=1000
		write 1500
		close
		> A 1 len=1000
		>
		< A 1 ack=1001 win=1000
		> FPA 1001 len=500
		< A 1 ack=1502
	`)
}

func TestTCPClose_RFC1122_4_2_2_13_UnreadDataMakesReset(t *testing.T) {
	runScript(t, noTS(), established+`
		hold
		< A 1 len=100 ack=1
		close
		> RA 1 ack=101
		stat pcbs 1
	`)
}

func TestTCPClose_RFC1122_4_2_2_13_DataAfterCloseMakesReset(t *testing.T) {
	runScript(t, noTS(), established+`
		close
		> FA 1 ack=1
		< A 1 ack=2
		< A 1 len=10 ack=2
		> RA 2
		drop tcp_after_close 1
		stat pcbs 1
	`)
}

func TestTCPClose_ShutdownBoth(t *testing.T) {
	runScript(t, noTS(), established+`
		shutdownrx
		shutdown
		> FA 1 ack=1
		< A 1 ack=2
		state FIN-WAIT-2
		< FA 1 ack=2
		> A 2 ack=2
	`)
}

func TestTCPClose_FinWait2IsBounded(t *testing.T) {
	runScript(t, noTS(), established+`
		close
		> FA 1 ack=1
		< A 1 ack=2
		+19s
		stat pcbs 2
		+2s
		stat pcbs 1
		>
	`)
}

func TestTCPClose_AbortSendsReset_RFC9293_3_10_5(t *testing.T) {
	runScript(t, noTS(), established+`
		write 10
		> A 1 len=10
		abort
		> RA 11 ack=1
		err aborted
		stat resets 1
		stat pcbs 1
	`)
}

func TestTCPReset_RFC5961_3_2_ExactSequenceOnly(t *testing.T) {
	runScript(t, noTS(), established+`
		< R 100                # in the window, but not the next
		> A 1 ack=1            # challenge
		state ESTABLISHED
		< R 100000             # outside
		>
		< R 1
		err reset
		stat pcbs 1
		>
	`)
}

func TestTCPReset_RFC5961_4_SynInWindowIsChallenged(t *testing.T) {
	runScript(t, noTS(), established+`
		< S 1
		> A 1 ack=1
		+500ms
		< S 5000
		> A 1 ack=1
		state ESTABLISHED
	`)
}

func TestTCPAck_RFC9293_3_10_7_4_FutureAckIsAnswered(t *testing.T) {
	runScript(t, noTS(), established+`
		< A 1 len=10 ack=100
		> A 1 ack=1
		got 0
		drop tcp_ack 1
	`)
}

func TestTCPAck_RFC9293_3_10_7_4_NoAckBitIsDropped(t *testing.T) {
	runScript(t, noTS(), established+`
		< P 1 len=10
		>
		got 0
		drop tcp_state 1
	`)
}

func TestTCPTimeWait_RFC9293_3_6_1_NewSynReopens(t *testing.T) {
	runScript(t, noTS(), established+`
		close
		> FA 1 ack=1
		< FA 1 ack=2
		> A 2 ack=2
		< S 100000 mss=1000     # later than all of the old
		> SA 0 ack=100001
		stat reused 1
		< A 100001 ack=1
		accepted 2
	`)
}

func TestTCPTimeWait_OldSynDoesNotReopen(t *testing.T) {
	runScript(t, noTS(), established+`
		close
		> FA 1 ack=1
		< FA 1 ack=2
		> A 2 ack=2
		< S 0 mss=1000
		> A 2 ack=2
		stat reused 0
		< R 2                   # RFC 1337
		stat pcbs 2
	`)
}

func TestTCPTimeWait_NoneWhenConfigured(t *testing.T) {
	cfg := noTS()
	cfg.TCP.TimeWait = -1
	runScript(t, cfg, established+`
		close
		> FA 1 ack=1
		< FA 1 ack=2
		> A 2 ack=2
		stat pcbs 1
	`)
}

func TestTCPClose_DelAddrAborts(t *testing.T) {
	sc := runScript(t, noTS(), established)
	if err := sc.nif.DelAddr(sc.nif.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	sc.run(`
		err aborted
		stat pcbs 1
	`)
}
