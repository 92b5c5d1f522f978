package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// ringModel is SPSC step by step: a producer that pushes batches of any size
// up to modelBatch until it has pushed modelTotal, a consumer that pops batches
// of any size, and an observer that calls Len. Elements are numbered from 1; 0
// is a cleared slot. Indices wrap at 2^8.
type ringModel struct {
	head, tail uint8 // shared
	slots      [4]uint8
	prod, cons modelSide
	lenPC      uint8 // the observer's
	lenFirst   uint8
}

// modelSide is what one of the two keeps: the index of the other as last seen;
// of the call under way its place in the program, its own index at the start,
// the size of the batch and how much of a loop over it is done.
type modelSide struct {
	peer         uint8
	pc, at, n, i uint8
}

const (
	modelBatch = 3
	modelTotal = 9
)

// ringOp is what a call does in one step, or in one step per element.
type ringOp int

const (
	lookOp    ringOp = iota // load the other's index
	moveOp                  // copy one slot
	wipeOp                  // clear one slot
	publishOp               // store one's own index
)

// ringSpec is the ring that is modelled, and what is wrong with it, if anything.
type ringSpec struct {
	capacity, start uint8
	prod, cons      []ringOp
	extra           uint8 // room that is not there
	tailFirst       bool  // Len loads tail before head
}

// newRingSpec is SPSC as it is, with indices that begin at start.
func newRingSpec(capacity, start uint8) *ringSpec {
	return &ringSpec{
		capacity: capacity,
		start:    start,
		prod:     []ringOp{lookOp, moveOp, publishOp},
		cons:     []ringOp{lookOp, moveOp, wipeOp, publishOp},
	}
}

// run explores the model.
func (r *ringSpec) run() (states int, err error) {
	e := explorer[ringModel]{
		threads: 3,
		next: func(s ringModel, thread int) ([]ringModel, error) {
			switch thread {
			case 0:
				return r.produce(s)
			case 1:
				return r.consume(s)
			default:
				return r.observe(s)
			}
		},
		goal: func(s ringModel) bool { return s.head-r.start == modelTotal && s.cons.pc == 0 },
	}
	side := modelSide{peer: r.start}
	return e.run(ringModel{head: r.start, tail: r.start, prod: side, cons: side})
}

// begin starts a call with a batch of n at index at, of which the cached index
// of the other side is known to allow so many.
func (s *modelSide) begin(at, n, allowed uint8, program []ringOp) {
	*s = modelSide{peer: s.peer, pc: 1, at: at, n: n}
	if program[0] == lookOp && allowed >= n {
		s.pc = 2
	}
}

// looked goes on with what the other's index allows, or ends the call.
func (s *modelSide) looked(allowed uint8) {
	s.n = min(s.n, allowed)
	if s.pc++; s.n == 0 {
		*s = modelSide{peer: s.peer}
	}
}

// advance goes on after a step: in the loop, in the program, or to its end.
func (s *modelSide) advance(op ringOp, program []ringOp) {
	if op == moveOp || op == wipeOp {
		if s.i++; s.i < s.n {
			return
		}
	}
	s.i = 0
	if s.pc++; int(s.pc) > len(program) {
		*s = modelSide{peer: s.peer}
	}
}

// produce is one step of the producer.
func (r *ringSpec) produce(s ringModel) ([]ringModel, error) {
	p := &s.prod
	room := func() uint8 { return r.capacity - (s.tail - p.peer) + r.extra }
	if p.pc == 0 {
		var next []ringModel
		for n := uint8(1); n <= modelBatch && s.tail-r.start+n <= modelTotal; n++ {
			o := s
			o.prod.begin(s.tail, n, room(), r.prod)
			next = append(next, o)
		}
		return next, nil
	}
	op := r.prod[p.pc-1]
	switch op {
	case lookOp:
		p.peer = s.head
		p.looked(room())
		return []ringModel{s}, nil
	case moveOp:
		slot, v := &s.slots[(p.at+p.i)%r.capacity], p.at+p.i-r.start+1
		if *slot != 0 {
			return nil, fmt.Errorf("element %d overwrites %d", v, *slot)
		}
		*slot = v
	case publishOp:
		s.tail = p.at + p.n
	}
	p.advance(op, r.prod)
	return []ringModel{s}, nil
}

// consume is one step of the consumer.
func (r *ringSpec) consume(s ringModel) ([]ringModel, error) {
	c := &s.cons
	if c.pc == 0 {
		var next []ringModel
		for n := uint8(1); n <= modelBatch; n++ {
			o := s
			o.cons.begin(s.head, n, c.peer-s.head, r.cons)
			next = append(next, o)
		}
		return next, nil
	}
	op := r.cons[c.pc-1]
	slot, v := &s.slots[(c.at+c.i)%r.capacity], c.at+c.i-r.start+1
	switch op {
	case lookOp:
		c.peer = s.tail
		c.looked(c.peer - s.head)
		return []ringModel{s}, nil
	case moveOp:
		if *slot != v {
			return nil, fmt.Errorf("popped %d instead of %d", *slot, v)
		}
	case wipeOp:
		if *slot != v {
			return nil, fmt.Errorf("cleared %d instead of %d", *slot, v)
		}
		*slot = 0
	case publishOp:
		s.head = c.at + c.n
	}
	c.advance(op, r.cons)
	return []ringModel{s}, nil
}

// observe is one step of a thread that calls Len over and over.
func (r *ringSpec) observe(s ringModel) ([]ringModel, error) {
	if s.lenPC == 0 {
		s.lenPC, s.lenFirst = 1, s.head
		if r.tailFirst {
			s.lenFirst = s.tail
		}
		return []ringModel{s}, nil
	}
	n := s.tail - s.lenFirst
	if r.tailFirst {
		n = s.lenFirst - s.head
	}
	if n > modelTotal {
		return nil, fmt.Errorf("length %d", int8(n))
	}
	s.lenPC, s.lenFirst = 0, 0
	return []ringModel{s}, nil
}

// TestSPSCModel tries every order of steps, with indices that wrap on the way.
func TestSPSCModel(t *testing.T) {
	for _, capacity := range []uint8{2, 4} {
		for _, start := range []uint8{0, 250} {
			states, err := newRingSpec(capacity, start).run()
			require.NoError(t, err)
			require.Greater(t, states, 1000)
		}
	}
}

// TestSPSCModelFindsBugs shows that the model notices each way to get the
// order of steps wrong.
func TestSPSCModelFindsBugs(t *testing.T) {
	for _, c := range []struct {
		name string
		bug  func(r *ringSpec)
		want string
	}{
		{"published before written", func(r *ringSpec) { r.prod = []ringOp{lookOp, publishOp, moveOp} }, "popped 0 instead of 1"},
		{"written without a look", func(r *ringSpec) { r.prod = []ringOp{moveOp, publishOp} }, "overwrites"},
		{"read without a look", func(r *ringSpec) { r.cons = []ringOp{moveOp, wipeOp, publishOp} }, "popped 0 instead of 1"},
		{"released before read", func(r *ringSpec) { r.cons = []ringOp{lookOp, publishOp, moveOp, wipeOp} }, "overwrites"},
		{"released before cleared", func(r *ringSpec) { r.cons = []ringOp{lookOp, moveOp, publishOp, wipeOp} }, "overwrites"},
		{"never released", func(r *ringSpec) { r.cons = []ringOp{lookOp, moveOp, wipeOp} }, "popped 0 instead of 1"},
		{"never published", func(r *ringSpec) { r.prod = []ringOp{lookOp, moveOp} }, "overwrites"},
		{"one slot too many", func(r *ringSpec) { r.extra = 1 }, "overwrites"},
		{"no room ever", func(r *ringSpec) { r.extra = -r.capacity }, errNoWay.Error()},
		{"length from the wrong end", func(r *ringSpec) { r.tailFirst = true }, "length -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, capacity := range []uint8{2, 4} {
				r := newRingSpec(capacity, 0)
				c.bug(r)
				_, err := r.run()
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

// call runs one call of the model, with a batch of n, while the others rest.
func call(t *testing.T, s ringModel, n int, step func(ringModel) ([]ringModel, error)) ringModel {
	t.Helper()
	next, err := step(s)
	require.NoError(t, err)
	for s = next[n-1]; s.prod.pc+s.cons.pc != 0; s = next[0] {
		next, err = step(s)
		require.NoError(t, err)
		require.Len(t, next, 1)
	}
	return s
}

// TestSPSCModelIsTheCode runs the model and the ring side by side and compares
// every word that they keep, so that what holds of the one holds of the other.
func TestSPSCModelIsTheCode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		capacity := 2 << rng.IntN(2)
		r, spec := newSPSC[*uint8](t, capacity), newRingSpec(uint8(capacity), 0)
		var m ringModel
		for range 50 {
			batch := make([]*uint8, 1+rng.IntN(modelBatch))
			if rng.IntN(2) == 0 {
				n := min(len(batch), modelTotal-int(m.tail))
				if n == 0 {
					break
				}
				for i := range n {
					v := m.tail + uint8(i) + 1
					batch[i] = &v
				}
				r.PushBatch(batch[:n])
				m = call(t, m, n, spec.produce)
			} else {
				r.PopBatch(batch)
				m = call(t, m, len(batch), spec.consume)
			}
			require.EqualValues(t, m.tail, r.prod.load())
			require.EqualValues(t, m.head, r.cons.load())
			require.EqualValues(t, m.prod.peer, r.prod.peer)
			require.EqualValues(t, m.cons.peer, r.cons.peer)
			for i, p := range r.slots {
				var v uint8
				if p != nil {
					v = *p
				}
				require.Equal(t, m.slots[i], v, "slot %d", i)
			}
		}
	}
}
