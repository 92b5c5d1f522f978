//go:build linux

package pbuf

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePageSize = 2 << 20

	mapProt  = unix.PROT_READ | unix.PROT_WRITE
	mapFlags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS

	mpolPreferred = 1 // linux/mempolicy.h
)

// mapMemory maps size bytes of zeroed memory.
func mapMemory(size int, huge HugePolicy, node NUMANode, prefault bool) (mapping, error) {
	m, err := mapPages(uintptr(size), huge)
	if err != nil {
		return mapping{}, err
	}
	if node != AnyNode {
		if err := m.prefer(int(node) - 1); err != nil {
			return mapping{}, joinUnmap(err, m)
		}
	}
	if prefault {
		if err := m.populate(); err != nil {
			return mapping{}, joinUnmap(err, m)
		}
	}
	return m, nil
}

// mapPages picks the kind of pages.
func mapPages(size uintptr, huge HugePolicy) (mapping, error) {
	if huge == HugeRequire || huge == HugeAuto && size >= hugePageSize {
		n := (size + hugePageSize - 1) &^ (hugePageSize - 1)
		// The kernel reserves all pages here or fails, so that touching them
		// later can't.
		p, err := unix.MmapPtr(-1, 0, nil, n, mapProt, mapFlags|unix.MAP_HUGETLB|unix.MAP_HUGE_2MB)
		if err == nil {
			return mapping{base: uintptr(p), size: n, pages: PagesHuge}, nil
		}
		if huge == HugeRequire {
			return mapping{}, fmt.Errorf("%w: %w", ErrNoHugePages, err)
		}
	}
	m, err := mapAligned(size)
	if err == nil && huge != HugeNever && size >= hugePageSize {
		// A kernel without transparent huge pages refuses, which is as good.
		if unix.Madvise(bytesAt(m.base, int(m.size)), unix.MADV_HUGEPAGE) == nil {
			m.pages = PagesTransparent
		}
	}
	return m, err
}

// mapAligned maps base pages at a huge page boundary, if there is at least one
// to fill, by mapping more and giving back both ends.
func mapAligned(size uintptr) (mapping, error) {
	page := uintptr(unix.Getpagesize())
	size = (size + page - 1) &^ (page - 1)
	extra := uintptr(0)
	if size >= hugePageSize {
		extra = hugePageSize
	}
	p, err := unix.MmapPtr(-1, 0, nil, size+extra, mapProt, mapFlags)
	if err != nil {
		return mapping{}, err
	}
	if extra == 0 {
		return mapping{base: uintptr(p), size: size}, nil
	}
	start := uintptr(p)
	base := (start + hugePageSize - 1) &^ (hugePageSize - 1)
	head := mapping{base: start, size: base - start}
	tail := mapping{base: base + size, size: start + extra - base}
	if err := errors.Join(head.unmap(), tail.unmap()); err != nil {
		return mapping{}, err
	}
	return mapping{base: base, size: size}, nil
}

// prefer asks for pages on a memory node, as long as it has any.
func (m mapping) prefer(node int) error {
	var mask [maxNodes/64 + 1]uint64
	mask[node/64] = 1 << (node % 64)
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, m.base, m.size, mpolPreferred,
		uintptr(unsafe.Pointer(&mask)), maxNodes+1, 0)
	if errno != 0 {
		return fmt.Errorf("memory on NUMA node %d: %w", node, errno)
	}
	return nil
}

// populate makes all pages present.
func (m mapping) populate() error {
	b := bytesAt(m.base, int(m.size))
	err := unix.Madvise(b, unix.MADV_POPULATE_WRITE)
	if errors.Is(err, unix.EINVAL) { // Linux before 5.14
		for i := 0; i < len(b); i += unix.Getpagesize() {
			b[i] = 0
		}
		return nil
	}
	return err
}

// unmap gives the memory back.
func (m mapping) unmap() error {
	if m.size == 0 {
		return nil
	}
	return unix.MunmapPtr(unsafe.Add(nil, m.base), m.size)
}
