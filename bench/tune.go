package bench

import "time"

// Tune sets the knobs of the stacks as a traffic generator would, on the
// in-memory wire.
func Tune(o *Options) {
	t := &o.Stack.TCP
	t.TimeWait = -1 // ports are used again at once
	// With very many connections each waits longer than 40 ms for its turn: the
	// ACK of an answer had better wait for the next request, and the peer not probe
	// for it meanwhile.
	t.DelayedAck, t.MaxAckDelay = 450*time.Millisecond, 500*time.Millisecond
	t.MinRTO = time.Second // as RFC 6298 2.4 has it; nothing is lost here
	if o.Layout != Pairs {
		return
	}
	// Nothing is far away: what is in flight on a core had better stay in its
	// second-level cache.
	t.SendBuf, t.RecvBuf = 64<<10, 64<<10
	if o.Conns > 1024 { // within a burst the stack looks ahead
		o.Burst = 64
	}
	switch o.Offload {
	case OffloadSoft: // data and the frames made of it
		t.SendBuf, t.RecvBuf = 32<<10, 32<<10
	case OffloadPort: // several segments of 64 KiB
		t.SendBuf, t.RecvBuf = 256<<10, 256<<10
	}
	if o.Bulk && o.GSOMax == 0 {
		tuneBulk(o)
	}
}

// tuneBulk is Tune for bulk transfers. Connections take turns, so that what is in flight
// on all of them stays in the cache. They write whole segments, of 1448 bytes with
// timestamps, an even number of them, so that none is left whose acknowledgement is
// delayed: 64 KiB, three such writes being under way, or where GRO joins them, what a
// packet of 128 KiB has (GROMax), one at a time. Frames go by reference, packets that
// the wire takes whole do not.
func tuneBulk(o *Options) {
	t := &o.Stack.TCP
	if o.Offload == OffloadSoft {
		o.HandOver, o.Burst, o.GROMax = 2048, 128, 128<<10
		o.Write, o.InFlight = 90*1448, 90*1448
		t.SendBuf, t.RecvBuf = 256<<10, 256<<10
		return
	}
	o.Write, o.InFlight = 44*1448, 3*44*1448
	// While the congestion window still cuts a write one segment may be left over.
	// With three writes under way all connections would wait for its ACK, until their
	// windows are those of idle ones again (RFC 5681 4.1).
	t.DelayedAck = time.Millisecond
	if o.Offload == OffloadNone {
		o.HandOver, o.Burst = 2048, 64
		t.SendBuf, t.RecvBuf = 128<<10, 128<<10
	}
}
