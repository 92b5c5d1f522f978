package pbuf

import "sync"

// Limits of a process.
const (
	MaxPools   = 256  // pool IDs; 0 is none
	MaxRegions = 1024 // Region ids; 0 is none
)

// The registry finds pools and regions by the small numbers that buffers hold.
// mu serialises those who make and close them. The data path reads without it:
// an entry is written before the first buffer with its number exists, and
// cleared after the last is gone.
var (
	mu      sync.Mutex
	pools   [MaxPools]*Pool
	regions [MaxRegions]*Region
)

// register gives pl the lowest free ID.
func register(pl *Pool) error {
	mu.Lock()
	defer mu.Unlock()
	for id := 1; id < MaxPools; id++ {
		if pools[id] == nil {
			pl.id = uint8(id)
			pools[id] = pl
			return nil
		}
	}
	return ErrLimit
}

func unregister(pl *Pool) {
	mu.Lock()
	defer mu.Unlock()
	pools[pl.id] = nil
}

// ByID returns the open pool with this ID, nil if there is none. It may be
// called from any thread.
func ByID(id uint8) *Pool {
	mu.Lock()
	defer mu.Unlock()
	return pools[id]
}
