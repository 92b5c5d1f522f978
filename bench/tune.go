package bench

import "time"

// Tune sets the knobs of the stacks as a traffic generator would, on the
// in-memory wire.
func Tune(o *Options) {
	t := &o.Stack.TCP
	t.TimeWait = -1 // ports are used again at once
	// With very many connections each waits longer than 40 ms for its turn: the
	// ACK of an answer had better wait for the next request.
	t.DelayedAck = 100 * time.Millisecond
	t.MinRTO = time.Second // as RFC 6298 2.4 has it; nothing is lost here
	if o.Layout == Pairs {
		// Nothing is far away: what is in flight on a core had better stay in its
		// second-level cache.
		t.SendBuf, t.RecvBuf = 64<<10, 64<<10
		switch o.Offload {
		case OffloadSoft: // data and the frames made of it
			t.SendBuf, t.RecvBuf = 32<<10, 32<<10
		case OffloadPort: // several segments of 64 KiB
			t.SendBuf, t.RecvBuf = 256<<10, 256<<10
		}
	}
}
