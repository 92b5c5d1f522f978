//go:build unix && !linux

package pbuf

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapMemory maps size bytes of zeroed memory in pages of the base size. Huge
// pages are not to be had here, and the memory node is the kernel's choice.
func mapMemory(size int, huge HugePolicy, _ NUMANode, prefault bool) (mapping, error) {
	if huge == HugeRequire {
		return mapping{}, ErrNoHugePages
	}
	page := unix.Getpagesize()
	n := uintptr(roundUp(size, page))
	p, err := unix.MmapPtr(-1, 0, nil, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return mapping{}, err
	}
	m := mapping{base: uintptr(p), size: n}
	if prefault {
		b := bytesAt(m.base, int(n))
		for i := 0; i < len(b); i += page {
			b[i] = 0
		}
	}
	return m, nil
}

// unmap gives the memory back.
func (m mapping) unmap() error {
	if m.size == 0 {
		return nil
	}
	return unix.MunmapPtr(unsafe.Add(nil, m.base), m.size)
}
