package stack

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeWaitScript brings a connection with the options of the SYN (without, with
// timestamps) into TIME-WAIT; the peer's last timestamp is 200.
func timeWaitScript(ts bool) string {
	o := func(n int) string {
		if ts {
			return fmt.Sprintf(" ts=%d:0", n)
		}
		return ""
	}
	return `
		listen
		< S 0 mss=1000` + o(100) + `
		> SA 0 ack=1
		< A 1 ack=1` + o(150) + `
		shutdown
		> FA 1 ack=1
		< FA 1 ack=2` + o(200) + `
		> A 2 ack=2
		state TIME-WAIT
	`
}

// TestTCPTimeWait_RFC6191_2_WhichSynReopens is the table of section 2.
func TestTCPTimeWait_RFC6191_2_WhichSynReopens(t *testing.T) {
	for _, c := range []struct {
		had  bool
		syn  string
		open bool
	}{
		{true, "1 ts=201:0", true},     // later timestamp, older number
		{true, "9000 ts=200:0", true},  // same timestamp, later number
		{true, "1 ts=200:0", false},    // same timestamp, older number
		{true, "9000 ts=199:0", false}, // older timestamp, whatever the number
		{true, "9000", true},           // none: the number decides
		{true, "1", false},
		{false, "1 ts=1:0", true}, // timestamps are new
		{false, "9000", true},
		{false, "1", false},
	} {
		sc := runScript(t, Config{}, timeWaitScript(c.had))
		old := sc.iss[peerPort].Add(2)
		sc.run("< S " + c.syn)
		sc.s.Flush(sc.now)
		require.Len(t, sc.out, 1, "%+v", c)
		reused := sc.s.stats.TCP.TimeWaitReused
		require.Equal(t, c.open, reused == 1, "%+v", c)
		if c.open {
			require.True(t, sc.out[0].seq.Greater(old), "RFC 9293 3.6.1: numbered beyond its predecessor")
		}
	}
}

// TestTCPTimeWait_RFC9293_3_6_1_NumbersGoOn: however much the old connection
// sent, the new one begins beyond it.
func TestTCPTimeWait_RFC9293_3_6_1_NumbersGoOn(t *testing.T) {
	cfg := noTS()
	cfg.TCP.ISN = ISNClock
	sc := runScript(t, cfg, timeWaitScript(false))
	var c *TCP
	sc.s.EachTCP(func(p *TCP) {
		if p.state == StateTimeWait {
			c = p
		}
	})
	c.sndMax = c.sndMax.Add(1 << 30) // as if it had been fast
	c.sndUna, c.sndNxt, c.sndLbb = c.sndMax, c.sndMax, c.sndMax
	end := c.sndMax
	sc.run("< S 9000\n > SA 0 ack=9001")
	require.Equal(t, end.Add(1<<16), sc.iss[peerPort])
}

// TestTCPTimeWait_RFC6191_3_ConnectReuses: a client with one port can connect to
// the same server again after a second, if both have timestamps.
func TestTCPTimeWait_RFC6191_3_ConnectReuses(t *testing.T) {
	for _, ts := range []bool{true, false} {
		for _, knob := range []bool{true, false} {
			var cfg Config
			cfg.TCP.PortMin, cfg.TCP.PortMax = 5000, 5000
			cfg.TCP.TimeWaitReuse = knob
			sc := newScript(t, cfg)
			o := func(n int) string {
				if ts {
					return fmt.Sprintf(" ts=%d:0", n)
				}
				return ""
			}
			sc.run(`
				connect
				> S 0
				< SA 0 ack=1` + o(100) + `
				> A 1 ack=1
				close
				> FA 1 ack=1
				< FA 1 ack=2` + o(110) + `
				> A 2 ack=2
				stat pcbs 1
			`)
			old := sc.iss[peerPort]
			again := func() error {
				sc.s.SetNow(sc.now)
				p := sc.s.NewTCP()
				err := p.Connect(ap(peerIP, peerPort), nil)
				if err != nil {
					p.Abort()
				}
				return err
			}
			sc.advance(int64(900 * time.Millisecond))
			require.ErrorIs(t, again(), ErrNoPort, "too soon")
			sc.advance(int64(200 * time.Millisecond))
			if !ts || !knob {
				require.ErrorIs(t, again(), ErrNoPort)
				continue
			}
			require.NoError(t, again())
			sc.s.Flush(sc.now)
			sc.run("> S 0")
			require.True(t, sc.iss[peerPort].Greater(old.Add(2)))
			require.Equal(t, uint64(1), sc.s.stats.TCP.TimeWaitReused)
			require.Equal(t, uint64(1), sc.s.stats.TCP.CurrPCBs)
		}
	}
}

func TestTCPTimeWait_LengthOfAConnection(t *testing.T) {
	for _, c := range []struct {
		set  time.Duration
		pcbs []int // after 1 ms, 5.1 s, 61 s
	}{
		{-1, []int{2, 2, 1}},
		{0, []int{1, 1, 1}},
		{5 * time.Second, []int{2, 1, 1}},
	} {
		sc := runScript(t, noTS(), "listen")
		sc.pcb.SetTimeWait(c.set) // inherited
		sc.run(`
			< S 0 mss=1000
			> SA 0 ack=1
			< A 1 ack=1
			close
			> FA 1 ack=1
			< FA 1 ack=2
			> A 2 ack=2
		`)
		sc.run(fmt.Sprintf("+1ms\n stat pcbs %d\n +5100ms\n stat pcbs %d\n +61s\n stat pcbs %d", c.pcbs[0], c.pcbs[1], c.pcbs[2]))
	}
}
