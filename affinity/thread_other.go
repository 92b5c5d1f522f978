//go:build !linux

package affinity

// Current is not supported on this system.
func Current() (Set, error) { return Set{}, ErrNotSupported }

// Apply is not supported on this system.
func Apply(Set) error { return ErrNotSupported }

// CPU is not supported on this system.
func CPU() (core, node int, err error) { return 0, 0, ErrNotSupported }
