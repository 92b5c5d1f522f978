package stack

import (
	"github.com/shardstack/shardstack/header"
)

// destCache remembers something of destinations beyond single connections: the
// path MTU (RFC 1191 6.3). It is made at first use, never grows, and forgets what
// was used longest ago.
type destCache struct {
	sets [][destWays]destEntry
}

const destWays = 4

// destEntry is what is remembered of a destination; the zero address: nothing.
type destEntry struct {
	addr     header.Addr
	used     int64
	mtuUntil int64
	mtu      uint16 // 0: not known to be less than the interface's
	guess    bool   // mtu is what a search has found so far (RFC 4821)
}

// set is where a destination may be.
func (c *destCache) set(a header.Addr) *[destWays]destEntry {
	h := (a.Hi() ^ a.Lo()) * 0x9e3779b97f4a7c15 >> 32
	return &c.sets[h&uint64(len(c.sets)-1)]
}

// find is what is known of a destination, or nil.
func (c *destCache) find(a header.Addr) *destEntry {
	if c.sets == nil {
		return nil
	}
	set := c.set(a)
	for i := range set {
		if set[i].addr == a {
			return &set[i]
		}
	}
	return nil
}

// init makes the cache for n destinations.
func (c *destCache) init(n int) {
	sets := 1
	for sets*destWays < n {
		sets *= 2
	}
	c.sets = make([][destWays]destEntry, sets)
}

// dest is the entry of a destination, which takes another's place if need be.
func (s *Stack) dest(a header.Addr) *destEntry {
	c := &s.tcp.dests
	if c.sets == nil {
		c.init(s.cfg.TCP.DestCache)
	}
	set := c.set(a)
	old := &set[0]
	for i := range set {
		e := &set[i]
		if e.addr == a {
			e.used = s.now
			return e
		}
		if !old.addr.IsZero() && (e.addr.IsZero() || e.used < old.used) {
			old = e
		}
	}
	*old = destEntry{addr: a, used: s.now}
	return old
}
