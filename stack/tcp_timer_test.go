package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// The wheel's entry of a connection that has ended serves the next one that
// takes its PCB: that one's timers run neither early nor late, and nothing
// happens when no one has taken it.
func TestTimerEntryOutlivesItsConnection(t *testing.T) {
	h := newHost(t, hostConfig{})
	syn := func() *TCP {
		c := h.NewTCP()
		require.NoError(t, c.Connect(ap(peerIP, 80), nil))
		f := h.one()
		require.Equal(t, header.TCPSyn, f.tcp.Flags())
		return c
	}
	first := syn()
	h.advance(700 * time.Millisecond)
	first.Abort()
	h.take()

	second := syn()
	require.Same(t, first, second, "the same PCB again")
	h.advance(999 * time.Millisecond) // past the time of first's timer
	h.none()
	h.advance(3 * time.Millisecond)
	require.Equal(t, header.TCPSyn, h.one().tcp.Flags(), "RFC 6298 2.1: after a second")
	second.Abort()
	h.take()

	h.advance(time.Minute)
	h.none()
	require.Zero(t, h.tcp.wheel.count)
}
