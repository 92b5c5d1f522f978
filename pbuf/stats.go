package pbuf

// ClassStats counts for one class since the pool was made.
type ClassStats struct {
	Cap       int    // buffers
	Avail     int    // free now
	Allocs    uint64 // buffers handed out
	Frees     uint64 // buffers taken back
	Failures  uint64 // allocations that found nothing
	Fallbacks uint64 // allocations that had to look in the next larger class
}

// Stats counts for a pool since it was made.
type Stats struct {
	Class        [NumClasses]ClassStats
	ForeignFrees uint64 // buffers of others freed while this pool held them
	ForeignHeld  int    // of these, not taken by TakeForeign yet
	Returned     uint64 // buffers of this pool that came back by Return
}

// Stats returns the pool's counters.
func (pl *Pool) Stats() Stats {
	s := Stats{ForeignFrees: pl.foreignSum, ForeignHeld: pl.foreignN, Returned: pl.returned}
	for i := range NumClasses {
		c := &pl.classes[i]
		s.Class[i] = ClassStats{
			Cap: c.limit, Avail: c.limit - c.out(), Allocs: c.allocs, Frees: c.frees,
			Failures: c.failures, Fallbacks: c.fallbacks,
		}
	}
	return s
}
