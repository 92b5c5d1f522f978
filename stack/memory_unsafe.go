package stack

import "unsafe"

// PCBs are allocated in chunks, once there are many in slabs of chunks.
const (
	pcbChunk = 256
	slabFrom = 64 // chunks that are allocated one by one
	slabSize = 32 // chunks of a slab: 3 MiB

	chunkBytes = pcbChunk * unsafe.Sizeof(TCP{})
	slabBytes  = slabSize * chunkBytes
)

// pcb is the PCB with that number, of which there must be that many. The compiler would
// read the first of its chunk, lest there be none: a cache line more to wait for.
func (s *Stack) pcb(id uint32) *TCP {
	chunk := unsafe.Pointer(s.tcp.chunks[id/pcbChunk])
	return (*TCP)(unsafe.Add(chunk, uintptr(id%pcbChunk)*unsafe.Sizeof(TCP{})))
}

// growPCBs makes room for more PCBs.
func (s *Stack) growPCBs() {
	ts := &s.tcp
	if len(ts.chunks) < slabFrom {
		ts.chunks = append(ts.chunks, new([pcbChunk]TCP))
	} else {
		if len(ts.chunks) == slabFrom {
			for _, c := range ts.chunks {
				s.largeMemory(unsafe.Pointer(c), chunkBytes)
			}
		}
		slab := new([slabSize][pcbChunk]TCP)
		for i := range slab {
			ts.chunks = append(ts.chunks, &slab[i])
		}
		s.largeMemory(unsafe.Pointer(slab), slabBytes)
	}
	ts.wheel.grow(len(ts.chunks) * pcbChunk)
}

// largeMemory tells the hook.
func (s *Stack) largeMemory(p unsafe.Pointer, n uintptr) {
	if h := s.hooks.LargeMemory; h != nil {
		h(uintptr(p), n)
	}
}
