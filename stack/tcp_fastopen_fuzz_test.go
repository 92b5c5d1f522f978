package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// FuzzTCPFastOpen opens a connection with data in the SYN, from either side, and goes
// on with arbitrary segments around its windows and arbitrary calls of the user; the
// invariants hold after each, and in the end nothing is left.
func FuzzTCPFastOpen(f *testing.F) {
	f.Add([]byte{0, 10, 2, 1, 0, 0x10, 1, 1, 0, 200, 2, 3, 0, 0x11, 1, 1, 0, 200})
	f.Add([]byte{0, 200, 3, 1, 1, 100, 2, 60, 2, 100, 3})
	f.Add([]byte{0, 0, 2, 0, 5, 9, 0, 4, 1, 0, 0, 10, 2, 255})
	f.Add([]byte{1, 100, 9, 0x12, 1, 2, 0, 200, 0, 0x10, 1, 0, 4, 100})
	f.Add([]byte{1, 250, 2, 55, 9, 0x12, 1, 1, 5, 9, 2, 55, 1, 100})
	f.Add([]byte{1, 100, 9, 2, 1, 0, 9, 9, 9, 0x12, 1, 1, 0, 90, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		cfg := tfo()
		cfg.TCP.RecvBuf, cfg.TCP.SendBuf, cfg.TCP.DelayedAck = 4000, 8000, 10*time.Millisecond
		cfg.TCP.FastOpen.BlackHole = time.Minute
		sc := newScript(t, cfg)
		next := func() int {
			if len(ops) == 0 {
				return 0
			}
			b := ops[0]
			ops = ops[1:]
			return int(b)
		}
		client := next()&1 != 0
		if client {
			sc.warm("0102030405060708", "mss=1000")
			sc.out = nil
			sc.dial(next() * 8)
		} else {
			sc.run("listen 2")
			l := sc.pcb
			hold := next()
			l.SetAccept(func(_ any, pcb *TCP, _ error) error {
				sc.attach(pcb)
				if hold&1 != 0 {
					pcb.BacklogDelayed(l)
				}
				if hold&2 != 0 {
					return pcb.Write(make([]byte, hold), 0)
				}
				return nil
			})
			flags := []string{"S", "SF"}[next()&1]
			sc.in(strings.Fields(fmt.Sprintf("%s 0 len=%d fo=good mss=1000 win=%d", flags, hold*8, next()*100)))
		}
		for n := 0; n == 0 || len(ops) > 0 && n < 100; n++ {
			switch op := next() % 11; {
			case op == 9:
				sc.fuzzFastSegment(next)
			case op == 10 && sc.pcb.s != nil && sc.pcb.state != StateListen && sc.err == nil:
				sc.pcb.BacklogAccepted()
			default:
				ops = append([]byte{byte(op % 9)}, ops...)
				sc.fuzzStep(next)
			}
			sc.s.Flush(sc.now)
			checkInvariants(t, sc.s)
			checkFastOpen(t, sc.s)
			sc.out = sc.out[:0]
		}
		sc.s.EachTCP(func(c *TCP) { c.Abort() })
		require.Zero(t, sc.s.tcp.halfOpen)
		require.Zero(t, sc.s.stats.TCP.CurrPCBs)
	})
}

// fuzzFastSegment is fuzzSegment with a SYN and its options.
func (sc *script) fuzzFastSegment(next func() int) {
	var c *TCP
	sc.s.EachTCP(func(p *TCP) {
		if p.state != StateListen {
			c = p
		}
	})
	ack := 1
	if c != nil {
		ack = int(int32(c.sndMax.Sub(sc.iss[peerPort]))) - next()
	}
	opts := []string{"", " mss=500", " mss=1000 fo=", " fo=good", " fo=ffff0000ffff0000 mss=90"}[next()%5]
	flags := header.TCPFlags(next()) | header.TCPSyn
	sc.in(strings.Fields(fmt.Sprintf("%v %d len=%d ack=%d win=%d%s", flags, next()&1, next()*8, ack, next()*40, opts)))
}

// checkFastOpen checks that what listeners count is there.
func checkFastOpen(t testing.TB, s *Stack) {
	t.Helper()
	pending, held, half := map[*TCP]int{}, map[*TCP]int{}, 0
	s.EachTCP(func(c *TCP) {
		require.Equal(t, c.flags&tfFast != 0, c.cold != nil && c.cold.fast != nil && c.state > StateListen, "tfFast in %v", c.state)
		if c.early() && c.cold.fast.listener != nil {
			pending[c.cold.fast.listener]++
		}
		if c.listener != nil {
			held[c.listener]++
			half += b2i(c.state == StateSynRcvd)
		}
	})
	require.Equal(t, half, s.tcp.halfOpen, "half-open connections")
	s.EachTCP(func(c *TCP) {
		if c.state == StateListen {
			require.Equal(t, held[c], c.cold.pending, "backlog")
			require.Equal(t, pending[c]+len(c.cold.fast.resets), c.cold.fast.pending, "pending")
		}
	})
}
