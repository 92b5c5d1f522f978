package stack

import "github.com/shardstack/shardstack/header"

// What a client remembers of servers (RFC 7413 4.1.3): the cookie, which is of its own
// address and the server's, the MSS, and whether data in SYNs gets there at all. The
// cache is made at first use, never grows, and forgets in each set what was used
// longest ago.

const fastWays = 4

type fastSet [fastWays]fastServer

// fastServer is what is remembered of one of our addresses at one server; the zero
// server: nothing.
type fastServer struct {
	local, server header.Addr
	used          int64
	pausedUntil   int64
	cookie        [header.TCPFastOpenMost]byte
	mss           uint16 // of the latest SYN-ACK; 0: not known
	cookieLen     uint8
	exp           bool // the cookie came in the experimental option
	tryExp        fastTry
	fails         uint8 // attempts in a row of which no data came through
}

// fastTry is which option asks for a cookie: a server that answers the one with none
// is asked by the other, once.
type fastTry uint8

const (
	fastTryOption fastTry = iota
	fastTryExp
	fastTryNoMore
)

// fastSetOf is where a pair of addresses may be.
func (s *Stack) fastSetOf(local, server header.Addr) *fastSet {
	sets := s.tcp.fast.servers
	h := (local.Hi() ^ local.Lo() + server.Hi()*3 ^ server.Lo()*5) * 0x9e3779b97f4a7c15 >> 32
	return &sets[h&uint64(len(sets)-1)]
}

// fastFind is what is remembered of a server, or nil.
func (s *Stack) fastFind(local, server header.Addr) *fastServer {
	if s.tcp.fast.servers == nil {
		return nil
	}
	set := s.fastSetOf(local, server)
	for i := range set {
		if e := &set[i]; e.server == server && e.local == local {
			e.used = s.now
			return e
		}
	}
	return nil
}

// fastServer is fastFind for a server of which something is to be remembered: it
// takes another's place if need be.
func (s *Stack) fastServer(local, server header.Addr) *fastServer {
	if e := s.fastFind(local, server); e != nil {
		return e
	}
	f := &s.tcp.fast
	if f.servers == nil {
		n := 1
		for n*fastWays < s.cfg.TCP.FastOpen.Servers {
			n *= 2
		}
		f.servers = make([]fastSet, n)
	}
	set := s.fastSetOf(local, server)
	old := &set[0]
	for i := range set {
		if e := &set[i]; e.server.IsZero() || !old.server.IsZero() && e.used < old.used {
			old = e
		}
	}
	*old = fastServer{local: local, server: server, used: s.now}
	return old
}

// FlushFastOpen forgets what is remembered of servers, as after a start.
func (s *Stack) FlushFastOpen() {
	clear(s.tcp.fast.servers)
	s.tcp.fast.pausedUntil, s.tcp.fast.pauses = 0, 0
}

// doubled is d, doubled n times, at most 6.
func doubled(d int64, n uint8) int64 { return d << min(n, 6) }

// failed is told of an attempt that came to nothing (RFC 7413 4.1.3.1). A single loss
// may be chance.
func (e *fastServer) failed(s *Stack) {
	e.fails = min(e.fails+1, 100)
	if p := int64(s.cfg.TCP.FastOpen.Pause); e.fails > 1 && p > 0 {
		e.pausedUntil = s.now + doubled(p, e.fails-2)
	}
}

// fastBlackHole is called when a connection has timed out so often that its path may
// drop all that belongs to a Fast Open (RFC 7413 7.1).
func (t *TCP) fastBlackHole() {
	s := t.s
	d := int64(s.cfg.TCP.FastOpen.BlackHole)
	if d == 0 || t.cold == nil || t.cold.fastInfo&fastTried == 0 {
		return
	}
	f := &s.tcp.fast
	f.pausedUntil = s.now + doubled(d, f.pauses)
	f.pauses = min(f.pauses+1, 100)
	s.stats.TCP.FastOpenBlackHoles++
}
