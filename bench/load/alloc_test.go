package load

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Clients and servers of the hot loops allocate nothing once warm.
func TestNothingIsAllocatedOnceWarm(t *testing.T) {
	for name, mk := range map[string]func(s *stack.Stack) Client{
		"rr":    func(s *stack.Stack) Client { return NewRR(s, Config{To: to(PortEcho), Conns: 8}) },
		"bulk":  func(s *stack.Stack) Client { return NewBulk(s, Config{To: to(PortDiscard), Conns: 2}) },
		"cps":   func(s *stack.Stack) Client { return NewCPS(s, Config{To: to(PortEcho), Conns: 8}) },
		"http":  func(s *stack.Stack) Client { return NewHTTP(s, Config{To: to(PortHTTP), Conns: 8}) },
		"storm": func(s *stack.Stack) Client { return NewStorm(s, Config{To: to(PortDiscard), Conns: 8}) },
		"udp":   func(s *stack.Stack) Client { return NewUDP(s, Config{To: to(PortEcho), Rate: 100_000}) },
		"ping":  func(s *stack.Stack) Client { return NewPing(s, Config{To: to(1)}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, pbuf.Config{Buffers: 2048, Small: 2048}, func(c *stack.Config) { c.TCP.TimeWait = -1 })
			w.serve(ServerConfig{})
			c := mk(w.client.s)
			w.start(c)
			w.run(second / 10)
			before := c.Counters().Ops
			require.Zero(t, testing.AllocsPerRun(5, func() { w.run(second / 100) }))
			require.Greater(t, c.Counters().Ops, before+10)
		})
	}
}
