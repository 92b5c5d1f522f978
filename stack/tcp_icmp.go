package stack

import (
	"github.com/shardstack/shardstack/header"
)

// minPathMTU is the least path MTU that is believed (RFC 1191 3, RFC 5927 7.2):
// less would let a forged error make us send crumbs.
const minPathMTU = 576

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
		t.lowerMSS(int(q.mtu))
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

// lowerMSS takes a smaller path MTU (RFC 1191 6.4): what is in flight goes out
// again in segments that fit.
func (t *TCP) lowerMSS(mtu int) {
	mss := max(mtu, minPathMTU) - ipLen(t.remote) - header.TCPLen
	if t.flags&tfTimestamps != 0 {
		mss -= header.TCPTimestampLen
	}
	if mss >= int(t.mss) || t.state < StateEstablished {
		return
	}
	t.mss, t.cc.MSS = uint16(mss), uint32(mss)
	t.unsent, t.sndNxt = t.sndq.Head(), t.sndUna
	t.flags |= tfRTO // no fast retransmit, no prediction, until all is acknowledged
	t.recover = t.sndMax
	_ = t.Output()
}
