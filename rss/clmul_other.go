//go:build !amd64 || purego

package rss

import "github.com/shardstack/shardstack/header"

// hash6 is the hash of an IPv6 input; ports are source<<16 | destination, or 0
// for none.
func (h *Hasher) hash6(src, dst header.Addr, ports uint32) uint32 {
	return h.tables6(src, dst, ports)
}
