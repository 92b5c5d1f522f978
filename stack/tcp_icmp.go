package stack

import (
	"github.com/shardstack/shardstack/header"
)

// tcpICMPError takes an ICMP error about a segment of ours (RFC 1122 4.2.3.9).
// It counts only if it quotes data that is in flight (RFC 5927 4.1). False: it
// is about no connection, or a forgery.
func (s *Stack) tcpICMPError(q *icmpQuote) bool {
	t := s.lookup(q.local, q.remote, q.lport, q.rport, s.hashFlow(q.local, q.remote, q.lport, q.rport))
	if t == nil {
		return false
	}
	if q.seq.Less(t.sndUna) || q.seq.GreaterEq(t.sndMax) {
		s.stats.TCP.ICMPRejected++
		return false
	}
	if q.typ != header.ICMPv4DstUnreachable {
		t.softError()
		return true
	}
	switch q.code {
	case header.ICMPv4FragNeeded:
		t.packetTooBig(int(q.mtu), int(q.size), q.seq)
	case header.ICMPv4ProtoUnreachable, header.ICMPv4PortUnreachable:
		// RFC 5927 6.1: hard only as long as the connection is not established.
		if t.state == StateSynSent {
			t.abandon(ErrRefused, false)
			return true
		}
		t.softError()
	default:
		t.softError() // a timeout will say ErrUnreachable
	}
	return true
}

// softError notes that the peer could not be reached for once: a connection is
// not given up for that, but a timeout will say so (RFC 5927 6.1, RFC 1122
// 4.2.3.9).
func (t *TCP) softError() {
	t.s.stats.TCP.SoftErrors++
	t.flags |= tfSoftError
}
