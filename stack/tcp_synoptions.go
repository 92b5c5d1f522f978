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

// synAll reports whether the configuration has SYNs carry just what nearly all do.
func (t *TCPConfig) synAll() bool {
	return !t.NoTimestamps && !t.NoSACK && !t.NoWindowScale && !t.UserTimeoutOption
}

// plainSYN reports whether our SYN or SYN-ACK has those options and no other:
// header.PutSYN's.
func (t *TCP) plainSYN() bool {
	const all = tfTimestamps | tfSack | tfWScale
	return t.cold == nil && t.s.tcp.synAll &&
		(t.flags&all == all || t.state == StateSynSent || t.state == StateClosed)
}

// putSYN writes the options of a SYN or SYN-ACK, optionsLen of them, to b, and
// returns their sum.
func (t *TCP) putSYN(b []byte) uint64 {
	if t.plainSYN() {
		return header.PutSYN(b, uint16(t.maxMSS()), t.s.tcp.rcvScale, t.s.tsNow+t.tsOffset, t.tsRecent)
	}
	t.putOptions(b, true)
	return uint64(header.Checksum(b, 0))
}
