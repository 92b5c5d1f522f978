package bench

import "time"

// Tune sets the knobs of the stacks as a traffic generator would, on the
// in-memory wire.
func Tune(o *Options) {
	t := &o.Stack.TCP
	t.TimeWait = -1 // ports are used again at once
	// With very many connections each waits longer than 40 ms for its turn: the
	// ACK of an answer had better wait for the next request, but not so long that
	// the peer probes for it, after 200 ms (RFC 8985 7.2).
	t.DelayedAck = 150 * time.Millisecond
	t.MinRTO = time.Second // as RFC 6298 2.4 has it; nothing is lost here
	if o.Layout != Pairs {
		return
	}
	// Nothing is far away: what is in flight on a core had better stay in its
	// second-level cache.
	t.SendBuf, t.RecvBuf = 64<<10, 64<<10
	switch o.Offload {
	case OffloadSoft: // data and the frames made of it
		t.SendBuf, t.RecvBuf = 32<<10, 32<<10
	case OffloadPort: // several segments of 64 KiB
		t.SendBuf, t.RecvBuf = 256<<10, 256<<10
	}
	if o.Bulk && o.Offload != OffloadPort {
		tuneBulk(o)
	}
}

// tuneBulk is Tune for bulk transfers in frames: they go by reference, in bursts
// that GRO gets long packets of, and few connections share the cache.
func tuneBulk(o *Options) {
	o.HandOver, o.Burst = 2048, 64
	most := 64 << 10
	if o.Offload == OffloadSoft {
		o.Burst, most = 128, 128<<10
	}
	if n := max(1, o.Conns/o.Cores.Len()); n <= 32 {
		win := min(most, max(16<<10, 256<<10/n))
		o.Stack.TCP.SendBuf, o.Stack.TCP.RecvBuf = win, win
	}
}
