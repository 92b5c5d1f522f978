package shard

import "golang.org/x/sys/unix"

// hugePage is the size of a huge page where base pages have 4 KiB.
const hugePage = 2 << 20

// hugePages asks the kernel to back n bytes from start on by huge pages: with very
// many connections nearly each packet's is looked up in the tables of pages, too,
// which a virtual machine has two of. The whole pages that the bytes lie in are
// meant, as little of a slab begins with one; neighbours on the heap gain as well
// (the heap grows by multiples of a huge page). Pages in use are copied together at
// once: those next to a slab would else stay small for good, and the pages of the
// slab with them. A kernel without all that says no, which costs speed only.
func hugePages(start, n uintptr) {
	first := start &^ (hugePage - 1)
	last := (start + n + hugePage - 1) &^ (hugePage - 1)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, first, last-first, unix.MADV_HUGEPAGE)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, first, last-first, unix.MADV_COLLAPSE)
}
