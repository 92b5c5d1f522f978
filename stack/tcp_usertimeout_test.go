package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTCPUserTimeout_RFC9293_3_8_3_UnacknowledgedData(t *testing.T) {
	cfg := noTS()
	cfg.TCP.UserTimeout = 5 * time.Second
	runScript(t, cfg, established+`
		write 10
		> A 1 len=10
		+1010ms
		> A 1 len=10
		+2010ms
		> A 1 len=10
		+1900ms
		>
		+100ms               # 5 s after it was first sent
		> RA 11 ack=1
		err timeout
		stat usertimeouts 1
	`)
}

// TestTCPUserTimeout_TakesThePlaceOfRetries: a long one outlasts them.
func TestTCPUserTimeout_TakesThePlaceOfRetries(t *testing.T) {
	cfg := noTS()
	cfg.TCP.Retries = 2
	sc := runScript(t, cfg, established)
	sc.pcb.SetUserTimeout(20 * time.Second)
	sc.run(`
		write 10
		> A 1 len=10
		+1010ms
		> A 1 len=10
		+2010ms
		> A 1 len=10
		+4010ms
		> A 1 len=10
		+8010ms
		> A 1 len=10
		err none
		+5s
		> RA 11 ack=1
		err timeout
	`)
}

func TestTCPUserTimeout_ProgressStartsItAnew(t *testing.T) {
	cfg := noTS()
	cfg.TCP.UserTimeout = 5 * time.Second
	runScript(t, cfg, established+`
		write 10
		> A 1 len=10
		+1010ms
		> A 1 len=10
		< A 1 ack=11
		+3s
		write 10
		> A 11 len=10
		+1010ms
		> A 11 len=10
		+1s                # 6 s after the first was sent
		err none
		state ESTABLISHED
		+3s
		> A 11 len=10
		> RA 21 ack=1
		err timeout
	`)
}

func TestTCPUserTimeout_ClosedWindow(t *testing.T) {
	cfg := noTS()
	cfg.TCP.UserTimeout = 5 * time.Second
	runScript(t, cfg, established+`
		< A 1 ack=1 win=0
		write 10
		>
		+1010ms
		> A 1 len=1
		< A 1 ack=1 win=0   # alive, but it takes nothing
		+2010ms
		> A 1 len=1
		< A 1 ack=1 win=0
		+2s
		> RA 2 ack=1
		err timeout
	`)
}

func TestTCPUserTimeout_Syn(t *testing.T) {
	cfg := noTS()
	cfg.TCP.UserTimeout = 2 * time.Second
	runScript(t, cfg, `
		connect
		> S 0
		+1010ms
		> S 0
		+1s
		>
		err timeout
	`)
}

func TestTCPUserTimeout_RFC5482_3_OptionIsSent(t *testing.T) {
	cfg := noTS()
	cfg.TCP.UserTimeout = 90 * time.Second
	sc := runScript(t, cfg, `
		connect
		> S 0 nouto
	`)
	sc.pcb.Abort()
	cfg.TCP.UserTimeoutOption = true
	sc = runScript(t, cfg, `
		connect
		> S 0 uto=90 mss=1460 ws=9
		< SA 0 ack=1 mss=1000
		> A 1 ack=1 nouto
	`)
	sc.pcb.SetUserTimeout(20 * time.Hour)
	sc.s.Flush(sc.now)
	sc.run("> A 1 ack=1 uto=33968") // 1200 minutes
	sc.pcb.SetUserTimeoutOption(false)
	sc.pcb.SetUserTimeout(time.Hour)
	sc.run(">")
}

// TestTCPUserTimeout_RFC5482_3_1_WhatIsTakenOver: the longer of both, within
// bounds, unless the user has set one.
func TestTCPUserTimeout_RFC5482_3_1_WhatIsTakenOver(t *testing.T) {
	for _, c := range []struct {
		name   string
		own    time.Duration // of the stack
		user   time.Duration // of the connection, 0: not set
		option bool
		peer   string
		want   time.Duration
	}{
		{"not used", 0, 0, false, "uto=500", 0},
		{"the peer's", 0, 0, true, "uto=500", 500 * time.Second},
		{"minutes", 0, 0, true, "uto=32778", 10 * time.Minute},
		{"least", 0, 0, true, "uto=5", 100 * time.Second},
		{"most", 0, 0, true, "uto=65535", 24 * time.Hour},
		{"ours is longer", 700 * time.Second, 0, true, "uto=500", 700 * time.Second},
		{"the user's counts", 0, 30 * time.Second, true, "uto=500", 30 * time.Second},
	} {
		cfg := noTS()
		cfg.TCP.UserTimeout, cfg.TCP.UserTimeoutOption = c.own, c.option
		sc := runScript(t, cfg, "listen")
		if c.user != 0 {
			sc.pcb.SetUserTimeout(c.user)
		}
		sc.run("< S 0 mss=1000 " + c.peer + "\n > SA 0 ack=1\n < A 1 ack=1")
		require.Equal(t, int64(c.want), sc.pcb.userTimeout(), c.name)
		sc.run("< A 1 ack=1 uto=800") // and while it is open
		if c.option && c.user == 0 {
			require.Equal(t, int64(max(c.own, 800*time.Second)), sc.pcb.userTimeout(), c.name)
		}
	}
}
