package shard

import "golang.org/x/sys/unix"

// hugePages asks the kernel to back n bytes from start on by huge pages as far
// as they hold any: with very many connections nearly each packet's is looked up
// in the tables of pages, too. A kernel without them says no, which costs speed
// only.
func hugePages(start, n uintptr) {
	page := uintptr(unix.Getpagesize())
	first := (start + page - 1) &^ (page - 1)
	last := (start + n) &^ (page - 1)
	if first < last {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, first, last-first, unix.MADV_HUGEPAGE)
	}
}
