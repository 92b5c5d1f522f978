package stack

// ccState is what the stack's own loss-based controllers know of a connection
// beyond its window. It comes from a free list of the stack when the window first
// grows beyond stateFrom segments, or something is lost: most connections never
// need one, and the window itself stays in the PCB.
type ccState struct {
	next    uint32 // in the free list
	acked   uint32 // NewReno: bytes acknowledged since Cwnd grew (RFC 3465 2.1)
	use     windowUse
	hystart hystart
	cubic   cubic

	// Before the latest reduction, for when it was for nothing.
	priorCwnd, priorSsthresh uint32
	priorCubic               cubic
}

// stateFrom segments are a window that is worth watching. What a smaller one
// could gain by leaving slow start early is less than a round trip.
const stateFrom = 16

// remember keeps what a reduction changes.
func (st *ccState) remember(c *Congestion) {
	st.priorCwnd, st.priorSsthresh, st.priorCubic = c.Cwnd, c.Ssthresh, st.cubic
}

// undo takes the latest reduction back (RFC 4015 3.2, RFC 9438 4.9). The window
// that the sender has used since may be larger than the old one.
func (st *ccState) undo(c *Congestion) {
	st.use.loss = 0
	if st.priorCwnd != 0 {
		c.Cwnd, c.Ssthresh = max(c.Cwnd, st.priorCwnd), max(c.Ssthresh, st.priorSsthresh)
		st.cubic = st.priorCubic
		st.priorCwnd = 0
	}
}

// recovered ends a recovery: one that began while the window was not used leaves
// less of it (RFC 7661 4.4.1), and the threshold there (RFC 5681 3.2 step 6). beta
// is the controller's factor.
func (st *ccState) recovered(c *Congestion, a *AckSample, beta float64) {
	if n := st.use.recovered(a); n != 0 {
		c.Cwnd = min(c.Cwnd, max(uint32(float64(n)*beta), c.MSS))
		c.Ssthresh = max(c.Cwnd, 2*c.MSS)
	}
}

// ccStates numbers the states from 1, in chunks that never move.
type ccStates struct {
	chunks []*[ccStateChunk]ccState
	used   uint32 // numbers that were ever given out
	free   uint32 // first of the free list, 0: empty
}

const ccStateChunk = 64

func (cs *ccStates) at(n uint32) *ccState { return &cs.chunks[(n-1)/ccStateChunk][(n-1)%ccStateChunk] }

// get gives a cleared state.
func (cs *ccStates) get() uint32 {
	if n := cs.free; n != 0 {
		st := cs.at(n)
		cs.free = st.next
		*st = ccState{}
		return n
	}
	if int(cs.used) == len(cs.chunks)*ccStateChunk {
		cs.chunks = append(cs.chunks, new([ccStateChunk]ccState))
	}
	cs.used++
	return cs.used
}

// put takes a state back; 0 is none.
func (cs *ccStates) put(n uint32) {
	if n != 0 {
		cs.at(n).next, cs.free = cs.free, n
	}
}

// ccState is the connection's state, made at first use.
func (t *TCP) ccState() *ccState {
	cs := &t.s.tcp.ccs
	if t.cc.state == 0 {
		t.cc.state = cs.get()
	}
	return cs.at(t.cc.state)
}
