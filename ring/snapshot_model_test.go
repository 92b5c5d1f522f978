package ring

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// snapModel is Snapshot step by step, of a T of two words: a writer and two
// readers. Indices are kept as the code keeps them.
type snapModel struct {
	buf    [3][2]uint8
	back   uint32
	middle uint32
	front  uint32
	locked bool

	writer struct {
		pc    uint8
		count uint8
	}
	done   uint8 // publications that are complete
	reader [2]struct {
		pc, loads   uint8
		word, least uint8
	}
}

const (
	snapPublishes = 4
	snapLoads     = 3
)

// snapSpec says what is wrong with the snapshot, if anything.
type snapSpec struct {
	noLock   bool // readers do not exclude each other
	inPlace  bool // the reader reads the middle buffer where it is
	noFresh  bool // the reader exchanges without asking for something newer
	shortcut bool // the writer goes on in the buffer that it published
}

// run explores the model.
func (x *snapSpec) run() (states int, err error) {
	e := explorer[snapModel]{
		threads: 3,
		next: func(s snapModel, thread int) ([]snapModel, error) {
			if thread == 0 {
				return x.write(s)
			}
			return x.read(s, thread-1)
		},
		goal: func(s snapModel) bool {
			return s.done == snapPublishes && s.reader[0].loads == snapLoads && s.reader[1].loads == snapLoads
		},
	}
	return e.run(snapModel{})
}

// write is one step of Publish.
func (x *snapSpec) write(s snapModel) ([]snapModel, error) {
	w := &s.writer
	switch w.pc {
	case 0:
		if w.count == snapPublishes {
			return nil, nil
		}
		w.count++
		w.pc = 1
	case 1, 2: // the words
		s.buf[s.back][w.pc-1] = w.count
		w.pc++
	case 3:
		old := s.middle
		s.middle = (s.back ^ middleStart) | fresh
		if !x.shortcut {
			s.back = (old & indexMask) ^ middleStart
		}
		s.done = w.count
		w.pc = 0
	}
	return []snapModel{s}, nil
}

// read is one step of Load.
func (x *snapSpec) read(s snapModel, who int) ([]snapModel, error) {
	r := &s.reader[who]
	from := s.front ^ frontStart
	if x.inPlace {
		from = (s.middle & indexMask) ^ middleStart
	}
	switch r.pc {
	case 0:
		if r.loads == snapLoads || s.locked && !x.noLock {
			return nil, nil
		}
		// What is published now, or was seen before, is the least to expect.
		s.locked, r.least = true, max(r.least, s.done)
		r.pc = 1
	case 1:
		if r.pc = 2; s.middle&fresh == 0 && !x.noFresh || x.inPlace {
			r.pc = 3
		}
	case 2:
		old := s.middle
		s.middle = (s.front ^ frontStart) ^ middleStart
		s.front = ((old & indexMask) ^ middleStart) ^ frontStart
		r.pc = 3
	case 3:
		r.word = s.buf[from][0]
		r.pc = 4
	case 4:
		if v := s.buf[from][1]; v != r.word {
			return nil, fmt.Errorf("torn: %d and %d", r.word, v)
		}
		if r.word < r.least {
			return nil, fmt.Errorf("stale: %d instead of %d", r.word, r.least)
		}
		r.least, r.word = r.word, 0
		r.pc = 5
	case 5:
		s.locked = false
		r.loads++
		r.pc = 0
	}
	return []snapModel{s}, nil
}

// TestSnapshotModel tries every order of steps: no Load is torn or older than
// what was published when it began or what a Load got before.
func TestSnapshotModel(t *testing.T) {
	states, err := (&snapSpec{}).run()
	require.NoError(t, err)
	require.Greater(t, states, 1000)
}

// TestSnapshotModelFindsBugs shows what each part of the protocol is for.
func TestSnapshotModelFindsBugs(t *testing.T) {
	for name, c := range map[string]struct {
		bug  snapSpec
		want string
	}{
		"readers at once":           {snapSpec{noLock: true}, "torn"},
		"read in place":             {snapSpec{inPlace: true}, "torn"},
		"exchange for nothing new":  {snapSpec{noFresh: true}, "stale"},
		"write to what readers own": {snapSpec{shortcut: true}, "torn"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.bug.run()
			require.ErrorContains(t, err, c.want)
		})
	}
}
