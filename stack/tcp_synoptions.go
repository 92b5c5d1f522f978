package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Options of SYN and SYN-ACK that few connections have, beside those of
// tcp_out.go.

// synExtraLen is the length of those options.
func (t *TCP) synExtraLen() int {
	if t.cold == nil && !t.s.cfg.TCP.UserTimeoutOption {
		return 0
	}
	n := 0
	if t.advertisesUserTimeout() {
		n += header.TCPUserTimeoutLen
	}
	return n + t.fastOptionLen() - t.packedLen()
}

// putSynExtra writes them to b and returns their length.
func (t *TCP) putSynExtra(b []byte) int {
	if t.cold == nil && !t.s.cfg.TCP.UserTimeoutOption {
		return 0
	}
	n := 0
	if t.advertisesUserTimeout() {
		n += t.putUserTimeout(b)
	}
	return n + t.putFastOpen(b[n:])
}
