//go:build !amd64 && !arm64

package stack

func prefetchPCB(*TCP)       {}
func prefetchSlot(*flowSlot) {}
