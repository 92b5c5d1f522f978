package stack

import "testing"

// noTimeWait is a configuration without TIME-WAIT, as generators use.
func noTimeWait() Config {
	c := noTS()
	c.TCP.TimeWait = -1
	return c
}

// A user who has closed one direction hears of the peer's FIN before the
// connection is gone.
func TestTCPClose_NoTimeWaitTellsEOF(t *testing.T) {
	runScript(t, noTimeWait(), established+`
		shutdown
		> FA 1 ack=1
		< A 1 ack=2
		state FIN-WAIT-2
		< FA 1 len=100 ack=2
		got 100
		eof
		err closed
		> A 2 ack=102
		stat pcbs 1
	`)
	runScript(t, noTimeWait(), established+`
		shutdown
		> FA 1 ack=1
		< FA 1 ack=2
		eof
		err closed
		> A 2 ack=2
		stat pcbs 1
	`)
}

// Data that the user has refused is not lost with the connection.
func TestTCPClose_NoTimeWaitKeepsRefusedData(t *testing.T) {
	runScript(t, noTimeWait(), established+`
		shutdown
		> FA 1 ack=1
		< A 1 ack=2
		pause
		< FA 1 len=100 ack=2
		> A 2 ack=102
		resume
		+1s
		got 100
		eof
		close
		+21s
		stat pcbs 1
	`)
}
