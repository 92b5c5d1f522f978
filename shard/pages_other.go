//go:build !linux

package shard

// hugePages does nothing where the pages of the heap can't be chosen.
func hugePages(_, _ uintptr) {}
