package pbuf

import "fmt"

// Region is application memory that packets can point into without a copy. It
// is outside the Go heap: what lies there must not contain Go pointers.
type Region struct {
	base uintptr
	size int
	id   uint16 // 0 = closed
	mem  mapping
}

// RegionConfig describes a Region.
type RegionConfig struct {
	Size      int        // bytes, positive
	HugePages HugePolicy // zero = HugeAuto
	NUMANode  NUMANode   // zero = AnyNode
	Prefault  bool       // touch all pages now; false = on first use
}

// NewRegion maps a Region of size zeroed bytes.
func NewRegion(size int) (*Region, error) {
	return NewRegionConfig(RegionConfig{Size: size})
}

// NewRegionConfig maps a Region of zeroed bytes. Errors match ErrConfig,
// ErrLimit, ErrNoHugePages or are the kernel's.
func NewRegionConfig(cfg RegionConfig) (*Region, error) {
	if cfg.Size <= 0 || cfg.HugePages > HugeRequire || cfg.NUMANode < 0 || cfg.NUMANode > maxNodes {
		return nil, fmt.Errorf("%w: region %+v", ErrConfig, cfg)
	}
	mem, err := mapMemory(cfg.Size, cfg.HugePages, cfg.NUMANode, cfg.Prefault)
	if err != nil {
		return nil, fmt.Errorf("pbuf: region of %d bytes: %w", cfg.Size, err)
	}
	r := &Region{base: mem.base, size: cfg.Size, mem: mem}
	mu.Lock()
	for id := 1; id < MaxRegions && r.id == 0; id++ {
		if regions[id] == nil {
			regions[id] = r
			r.id = uint16(id)
		}
	}
	mu.Unlock()
	if r.id == 0 {
		return nil, joinUnmap(ErrLimit, mem)
	}
	return r, nil
}

// Bytes returns the Region's memory, nil once it is closed. What packets still
// point to should not be changed: it may be sent, or sent again, at any time.
func (r *Region) Bytes() []byte {
	if r.id == 0 {
		return nil
	}
	return bytesAt(r.base, r.size)
}

// Refs returns how many buffers, of all pools, point into the Region. The
// caller makes sure that no thread is using the Region meanwhile, as each pool
// counts its own buffers without a lock.
func (r *Region) Refs() int {
	mu.Lock()
	defer mu.Unlock()
	return r.refs()
}

func (r *Region) refs() int {
	n := 0
	if r.id == 0 {
		return 0
	}
	for _, pl := range pools {
		if pl != nil {
			n += int(pl.regionRefs[r.id])
		}
	}
	return n
}

// Close unmaps the Region. It returns ErrBusy, and the Region stays as it was,
// while buffers point into it, and ErrClosed after it was closed. As with Refs,
// no other thread may be using the Region.
func (r *Region) Close() error {
	mu.Lock()
	defer mu.Unlock()
	if r.id == 0 {
		return ErrClosed
	}
	if n := r.refs(); n != 0 {
		return fmt.Errorf("%w: %d buffers point into the region", ErrBusy, n)
	}
	regions[r.id] = nil
	r.id = 0
	r.size = 0
	return r.mem.unmap()
}
