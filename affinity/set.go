package affinity

import (
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// MaxCores is the number of cores that a Set can tell apart, 0 to MaxCores-1.
// It is the size of the C library's cpu_set_t.
const MaxCores = 1024

// Set is a set of CPU cores, by the kernel's numbers, in ascending order. It
// is a value: copies are independent, == compares. The zero value is empty.
type Set struct {
	words [MaxCores / 64]uint64
}

// Of makes a set of the given cores; ErrRange if one is not from 0 to
// MaxCores-1. A core may be given more than once.
func Of(cores ...int) (Set, error) {
	var s Set
	for _, c := range cores {
		if err := s.Add(c); err != nil {
			return Set{}, err
		}
	}
	return s, nil
}

// Add puts a core into the set; ErrRange if it is not from 0 to MaxCores-1.
func (s *Set) Add(core int) error {
	if core < 0 || core >= MaxCores {
		return fmt.Errorf("%w: %d", ErrRange, core)
	}
	s.words[core/64] |= 1 << (core % 64)
	return nil
}

// Remove takes a core out of the set, if it is there.
func (s *Set) Remove(core int) {
	if core >= 0 && core < MaxCores {
		s.words[core/64] &^= 1 << (core % 64)
	}
}

// Contains tells whether the core is in the set.
func (s Set) Contains(core int) bool {
	return core >= 0 && core < MaxCores && s.words[core/64]&(1<<(core%64)) != 0
}

// Len is the number of cores.
func (s Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsEmpty tells whether there is no core in the set.
func (s Set) IsEmpty() bool { return s == Set{} }

// All gives each core with its place in the order: 0 and the lowest core first.
func (s Set) All() iter.Seq2[int, int] {
	return func(yield func(i, core int) bool) {
		i := 0
		for w, word := range s.words {
			for ; word != 0; word &= word - 1 {
				if !yield(i, w*64+bits.TrailingZeros64(word)) {
					return
				}
				i++
			}
		}
	}
}

// Cores lists the cores in ascending order; nil if there are none.
func (s Set) Cores() []int {
	var cores []int
	for _, c := range s.All() {
		cores = append(cores, c)
	}
	return cores
}

// At is the core at place i in the order, 0 being the lowest; -1 if i is not
// from 0 to Len()-1.
func (s Set) At(i int) int {
	for n, c := range s.All() {
		if n == i {
			return c
		}
	}
	return -1
}

// First is the set of the n lowest cores, or all if there are no more than n.
func (s Set) First(n int) Set {
	var f Set
	for i, c := range s.All() {
		if i >= n {
			break
		}
		f.words[c/64] |= 1 << (c % 64)
	}
	return f
}

// Union is the set of the cores that are in s, in o, or in both.
func (s Set) Union(o Set) Set {
	for i, w := range o.words {
		s.words[i] |= w
	}
	return s
}

// Intersect is the set of the cores that are in both s and o.
func (s Set) Intersect(o Set) Set {
	for i, w := range o.words {
		s.words[i] &= w
	}
	return s
}

// Minus is the set of the cores of s that are not in o.
func (s Set) Minus(o Set) Set {
	for i, w := range o.words {
		s.words[i] &^= w
	}
	return s
}

// String is the list that ParseList reads, as short as can be: "0-3,8"; "" for
// the empty set.
func (s Set) String() string {
	var b strings.Builder
	first, last := -1, -1
	flush := func() {
		if first < 0 {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		if last > first {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
	}
	for _, c := range s.All() {
		if first < 0 || c != last+1 {
			flush()
			first = c
		}
		last = c
	}
	flush()
	return b.String()
}

// Mask is the mask that ParseMask reads: "0x10f", core 0 being the lowest bit;
// "0x0" for the empty set.
func (s Set) Mask() string {
	top := len(s.words) - 1
	for top > 0 && s.words[top] == 0 {
		top--
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0x%x", s.words[top])
	for i := top - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "%016x", s.words[i])
	}
	return b.String()
}
