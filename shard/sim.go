package shard

import (
	"errors"
	"fmt"
	"time"

	"github.com/shardstack/shardstack/stack"
)

// Simulation runs Manual groups together, on the caller's thread, in simulated
// time: as many virtual shards as a process has pools for, whatever the machine
// has of cores. Time advances by a tick while there is work, and else jumps to
// the next event, so that the same configuration and seeds give the same
// packets at the same times.
//
// What a shard does in a round takes no simulated time: a simulation shows what
// happens, not how fast.
type Simulation struct {
	groups []*Group
	now    int64
	tick   int64
}

// DefaultTick is how long a round with work lasts in a Simulation.
const DefaultTick = 10 * time.Microsecond

// simStart is the time at which a simulation begins: stacks take 0 for "not set".
const simStart = int64(time.Second)

// Errors of Simulation.Run.
var (
	// ErrQuiet: nothing is left that could happen.
	ErrQuiet = errors.New("shard: simulation has come to rest")
	// ErrLimit: the simulated time is up.
	ErrLimit = errors.New("shard: simulated time is up")
)

// NewSimulation makes a simulation of Manual groups, which are stepped in this
// order. ErrConfig: one of them is not Manual. The groups stay the caller's, to
// be stopped.
func NewSimulation(groups ...*Group) (*Simulation, error) {
	for i, g := range groups {
		if !g.cfg.Manual {
			return nil, fmt.Errorf("%w: group %d of the simulation is not Manual", ErrConfig, i)
		}
	}
	return &Simulation{groups: groups, now: simStart, tick: int64(DefaultTick)}, nil
}

// Now is the simulated time in ns.
func (m *Simulation) Now() int64 { return m.now }

// SetTick sets how long a round with work lasts; at least a nanosecond.
func (m *Simulation) SetTick(d time.Duration) { m.tick = max(int64(d), 1) }

// Step runs a round of every group and returns how much they did; then time is a
// tick later. Errors of Group.Step.
func (m *Simulation) Step() (work int, err error) {
	for _, g := range m.groups {
		n, err := g.Step(m.now)
		if err != nil {
			return work, err
		}
		work += n
	}
	m.now += m.tick
	return work, nil
}

// Next is when the next thing happens: now or later, stack.Forever for never.
func (m *Simulation) Next() int64 {
	t := int64(stack.Forever)
	for _, g := range m.groups {
		t = min(t, g.Next())
	}
	return max(t, m.now)
}

// Run steps until cond holds, for at most limit of simulated time. ErrLimit,
// ErrQuiet, or errors of Step: cond does not hold.
func (m *Simulation) Run(cond func() bool, limit time.Duration) error {
	end := m.now + int64(limit)
	for !cond() {
		if m.now > end {
			return fmt.Errorf("%w: %v", ErrLimit, limit)
		}
		work, err := m.Step()
		if err != nil {
			return err
		}
		if work != 0 || cond() {
			continue
		}
		if m.now = m.Next(); m.now == stack.Forever {
			m.now = end
			return ErrQuiet
		}
	}
	return nil
}

// Skip lets d of simulated time pass.
func (m *Simulation) Skip(d time.Duration) error {
	end := m.now + int64(d)
	for m.now < end {
		work, err := m.Step()
		if err != nil {
			return err
		}
		if work == 0 {
			m.now = min(m.Next(), end)
		}
	}
	return nil
}
