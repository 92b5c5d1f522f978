package ring

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// bellModel is a consumer that sleeps on a Bell and two producers, step by
// step. A ring is the number of elements in it: that it works is SPSC's matter.
type bellModel struct {
	armed  bool
	signal bool // the eventfd: stays until the sleeper takes it
	buffer bool // a store of armed still in the consumer's store buffer

	prod [bellProducers]struct {
		pc, pushed, queued uint8
	}
	cons struct {
		pc   uint8
		rung bool // what Disarm returned
	}
	wakes uint8 // calls of Ring since Arm that returned true
}

const (
	bellProducers = 2
	bellPushes    = 2
)

// bellSpec says what is wrong with the bell, if anything.
type bellSpec struct {
	buffered  bool // Arm is a plain store: x86 lets later loads pass it
	unchecked bool // the consumer sleeps without looking at its rings
	early     bool // the producer rings before it pushes
	noCAS     bool // Ring loads and stores instead of exchanging
}

// waiting tells whether there is anything in the rings.
func (s *bellModel) waiting() bool {
	for _, p := range s.prod {
		if p.queued > 0 {
			return true
		}
	}
	return false
}

// run explores the model.
func (b *bellSpec) run() (states int, err error) {
	e := explorer[bellModel]{
		threads: bellProducers + 1,
		next: func(s bellModel, thread int) ([]bellModel, error) {
			if thread < bellProducers {
				return b.produce(s, thread)
			}
			return b.consume(s)
		},
		goal: func(s bellModel) bool {
			for _, p := range s.prod {
				if p.pushed < bellPushes {
					return false
				}
			}
			return !s.waiting()
		},
	}
	return e.run(bellModel{})
}

// produce is one step of a producer: push, load, exchange, wake.
func (b *bellSpec) produce(s bellModel, thread int) ([]bellModel, error) {
	p := &s.prod[thread]
	push := func() { p.queued++ }
	switch p.pc {
	case 0:
		if p.pushed == bellPushes {
			return nil, nil
		}
		if !b.early {
			push()
		}
		p.pc = 1
	case 1:
		p.pc = 4
		if s.armed {
			p.pc = 2
		}
	case 2: // the exchange, or what stands for it
		p.pc = 4
		if s.armed || b.noCAS {
			s.armed = false
			if s.wakes++; s.wakes > 1 {
				return nil, errors.New("woken twice")
			}
			p.pc = 3
		}
	case 3:
		s.signal = true
		p.pc = 4
	case 4:
		if b.early {
			push()
		}
		p.pushed++
		p.pc = 0
	}
	return []bellModel{s}, nil
}

// consume is one step of the consumer: arm, look, sleep, disarm, take all.
func (b *bellSpec) consume(s bellModel) ([]bellModel, error) {
	c := &s.cons
	var next []bellModel
	if s.buffer { // the store buffer may drain before any step
		o := s
		o.armed, o.buffer = true, false
		next = append(next, o)
	}
	switch c.pc {
	case 0:
		s.wakes = 0
		s.armed, s.buffer = !b.buffered, b.buffered
		c.pc = 1
	case 1:
		if c.pc = 2; s.waiting() && !b.unchecked {
			c.pc = 3
		}
	case 2: // asleep
		if !s.signal {
			return next, nil
		}
		s.signal = false
		c.pc = 3
	case 3:
		if s.buffer { // an exchange waits for the buffer
			return next, nil
		}
		if rung := !s.armed; rung != (s.wakes == 1) {
			return nil, errors.New("Disarm is wrong about Ring")
		}
		s.armed = false
		c.pc = 4
	case 4:
		for i := range s.prod {
			s.prod[i].queued = 0
		}
		c.pc = 0
	}
	return append(next, s), nil
}

// TestBellModel tries every order of steps: each element is taken in the end,
// nobody is woken twice, and Disarm knows whether somebody rang.
func TestBellModel(t *testing.T) {
	states, err := (&bellSpec{}).run()
	require.NoError(t, err)
	require.Greater(t, states, 500)
}

// TestBellModelFindsBugs shows what each part of the protocol is for.
func TestBellModelFindsBugs(t *testing.T) {
	for name, c := range map[string]struct {
		bug  bellSpec
		want string
	}{
		"arm without a fence":      {bellSpec{buffered: true}, errNoWay.Error()},
		"sleep without a look":     {bellSpec{unchecked: true}, errNoWay.Error()},
		"ring before push":         {bellSpec{early: true}, errNoWay.Error()},
		"two take the same wakeup": {bellSpec{noCAS: true}, "woken twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.bug.run()
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestBellSequence(t *testing.T) {
	var b Bell
	require.False(t, b.Ring(), "awake at first")
	b.Arm()
	require.False(t, b.Disarm(), "nobody rang")
	require.False(t, b.Ring())
	for range 3 {
		b.Arm()
		require.True(t, b.Ring())
		require.False(t, b.Ring())
		require.True(t, b.Disarm())
		require.False(t, b.Ring())
	}
}
