package affinity

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelCores is as many cores as a kernel can be built for; one that is asked
// with room for fewer than it was built for refuses.
const kernelCores = 8192

// Current is the set of the cores that the calling thread may run on. Cores
// from MaxCores on are left out.
func Current() (Set, error) {
	mask := unix.NewCPUSet(kernelCores)
	if err := unix.SchedGetaffinityDynamic(0, mask); err != nil {
		return Set{}, fmt.Errorf("affinity: sched_getaffinity: %w", err)
	}
	var s Set
	for c := range MaxCores {
		if mask.IsSet(c) {
			s.words[c/64] |= 1 << (c % 64)
		}
	}
	return s, nil
}

// Apply lets the calling thread run on the cores of s and no others. The caller
// has locked its goroutine to the thread (runtime.LockOSThread). ErrEmpty if s
// is empty; ErrNotAllowed, with the reason, if the kernel refuses all cores;
// ErrPin if it refuses some. The thread is then left with the others.
func Apply(s Set) error {
	if s.IsEmpty() {
		return ErrEmpty
	}
	var mask unix.CPUSet
	for _, c := range s.All() {
		mask.Set(c)
	}
	err := unix.SchedSetaffinity(0, &mask)
	if errors.Is(err, unix.EINVAL) {
		// The kernel does not say more than that no core is left.
		if why := s.Validate(); why != nil {
			return why
		}
	}
	if err != nil {
		return fmt.Errorf("affinity: sched_setaffinity %v: %w", s, err)
	}
	got, err := Current()
	if err != nil {
		return err
	}
	if got != s {
		return fmt.Errorf("%w: kernel gave %v of %v", ErrPin, got, s)
	}
	return nil
}

// CPU is the core that the calling thread runs on at this moment, and the NUMA
// node of that core.
func CPU() (core, node int, err error) {
	c, n, err := getcpu()
	if err != nil {
		return 0, 0, fmt.Errorf("affinity: getcpu: %w", err)
	}
	return c, n, nil
}
