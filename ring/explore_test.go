package ring

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// explorer visits every state that the threads of a model can reach by taking
// turns in any order. A model is a value of S, which holds the shared memory
// and, of each thread, its program counter and variables; what one thread can
// do to memory in one indivisible step is one call of next.
//
// Go's atomics are sequentially consistent, and in a model a plain access is a
// step, too. So what no order of steps can break, no run of the code that the
// model is of can break, unless that has a data race; to find those is the
// race detector's part.
type explorer[S comparable] struct {
	threads int
	// next gives the states that thread can turn s into: none if it is done
	// or blocked, several where it has a choice. An error is a broken promise.
	next func(s S, thread int) ([]S, error)
	// goal tells states where all is done that was to be done. Not to be able
	// to get there any more, by a deadlock or in circles, breaks a promise.
	goal func(s S) bool
}

// errNoWay says that the goal cannot be reached from some state.
var errNoWay = errors.New("no way to the goal")

// visit is a state with the step that first led to it and all states that lead
// to it, by their numbers.
type visit[S comparable] struct {
	state          S
	before, thread int
	from           []int
}

// run explores from a first state. It gives the number of states, and the
// first broken promise with a shortest schedule that breaks it.
func (e *explorer[S]) run(first S) (states int, err error) {
	number := map[S]int{first: 0}
	visits := []visit[S]{{state: first, before: -1}}
	for i := 0; i < len(visits); i++ {
		for thread := range e.threads {
			next, err := e.next(visits[i].state, thread)
			if err != nil {
				return len(visits), fmt.Errorf("%w: schedule %s%d, state %+v",
					err, schedule(visits, i), thread, visits[i].state)
			}
			for _, s := range next {
				n, known := number[s]
				if !known {
					n = len(visits)
					number[s] = n
					visits = append(visits, visit[S]{state: s, before: i, thread: thread})
				}
				visits[n].from = append(visits[n].from, i)
			}
		}
	}
	return len(visits), e.ways(visits)
}

// ways checks that each state has a way to the goal, by going backwards.
func (e *explorer[S]) ways(visits []visit[S]) error {
	hasWay := make([]bool, len(visits))
	var open []int
	for i := range visits {
		if e.goal(visits[i].state) {
			hasWay[i] = true
			open = append(open, i)
		}
	}
	for len(open) > 0 {
		i := open[len(open)-1]
		open = open[:len(open)-1]
		for _, f := range visits[i].from {
			if !hasWay[f] {
				hasWay[f] = true
				open = append(open, f)
			}
		}
	}
	for i, ok := range hasWay {
		if !ok {
			return fmt.Errorf("%w: schedule %s, state %+v", errNoWay, schedule(visits, i), visits[i].state)
		}
	}
	return nil
}

// schedule lists which threads took steps, in turn, until state i.
func schedule[S comparable](visits []visit[S], i int) string {
	if visits[i].before < 0 {
		return ""
	}
	return schedule(visits, visits[i].before) + fmt.Sprint(visits[i].thread)
}

// TestExplorer loses an update of a counter that two threads load and store.
func TestExplorer(t *testing.T) {
	type state struct {
		n       int
		pc, reg [2]int
	}
	lossy := explorer[state]{
		threads: 2,
		next: func(s state, i int) ([]state, error) {
			switch s.pc[i] {
			case 0:
				s.reg[i] = s.n
			case 1:
				s.n = s.reg[i] + 1
			default:
				return nil, nil
			}
			s.pc[i]++
			return []state{s}, nil
		},
		goal: func(s state) bool { return s.n == 2 },
	}
	_, err := lossy.run(state{})
	require.ErrorIs(t, err, errNoWay)
	require.ErrorContains(t, err, "schedule 01,", "both have loaded 0")

	lossy.goal = func(s state) bool { return s.pc == [2]int{2, 2} }
	states, err := lossy.run(state{})
	require.NoError(t, err)
	require.Equal(t, 13, states)
}
