package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Path MTU discovery (RFC 1191, RFC 8201): TCP packets are never fragmented, and
// the router that can't pass one on says what would fit. That is remembered per
// destination, for all connections of the stack, and forgotten after a while, so
// that a path that has become wider is used (RFC 1191 6.3).

// minPathMTU is the least path MTU that is believed (RFC 1191 3, RFC 5927 7.2):
// less would let a forged error make us send crumbs. IPv6 has 1280 (RFC 8201 4).
const minPathMTU = 576

// mtuPlateaus are the sizes to try when a router does not say what fits
// (RFC 1191 7.1).
var mtuPlateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, minPathMTU}

// plateauBelow is the largest plateau under the size of a packet that did not
// fit.
func plateauBelow(size int) int {
	for _, m := range mtuPlateaus {
		if m < size {
			return m
		}
	}
	return minPathMTU
}

// mtuSweep is how often entries of the cache are looked through for old ones.
const mtuSweep = 30_000_000_000

// pathMSS is the payload of a full segment in packets of mtu bytes.
func (t *TCP) pathMSS(mtu int) int {
	n := mtu - ipLen(t.remote) - header.TCPLen
	if t.flags&tfTimestamps != 0 {
		n -= header.TCPTimestampLen
	}
	return n
}

// packetTooBig takes the news that packets of the connection must not be larger
// than mtu, 0 if the router does not say; size is that of the one that was
// dropped, which had the sequence number.
func (t *TCP) packetTooBig(mtu, size int, seq header.Seq) {
	if t.flags&tfProbe != 0 && t.probeTooBig(mtu, seq) {
		return
	}
	if mtu == 0 {
		own := int(t.mss) + ipLen(t.remote) + header.TCPLen
		if size == 0 || size > own {
			size = own
		}
		mtu = plateauBelow(size)
	}
	least := minPathMTU
	if !t.remote.Is4() {
		least = header.IPv6MinMTU
	}
	mtu = max(mtu, least)
	if t.pathMSS(mtu) >= int(t.mss) || t.fastTooBig(mtu) || t.state < StateEstablished {
		return
	}
	// RFC 5927 7.2: at first the size of the path has to be found at once. Later,
	// when longer packets may have arrived, it is believed only if progress stops.
	if int(t.sndUna.Sub(t.iss))-1 > t.pathMSS(mtu) {
		t.claim(mtu, seq)
		return
	}
	t.lowerMTU(mtu)
}

// mtuClaim is a path MTU that a router, or a forger, has claimed (RFC 5927 7.2).
type mtuClaim struct {
	mtu uint16     // 0: none
	seq header.Seq // of the first packet said to have been too long
}

// claim notes what has still to prove true.
func (t *TCP) claim(mtu int, seq header.Seq) {
	c := &t.coldPart().claim
	t.s.stats.TCP.MTUClaims++
	if c.mtu == 0 || c.seq.Less(t.sndUna) || seq.Less(c.seq) {
		c.seq = seq
	}
	c.mtu = uint16(mtu)
}

// claimHolds is asked when a timer says that there is no progress. If a packet was
// said to be too long, and has not arrived since, that is why: what is in flight
// goes out again in segments that fit, and there is no congestion (RFC 1191 6.4).
func (t *TCP) claimHolds() bool {
	if t.cold == nil || t.cold.claim.mtu == 0 {
		return false
	}
	c := t.cold.claim
	t.cold.claim = mtuClaim{}
	if c.seq.Less(t.sndUna) {
		t.s.stats.TCP.MTUClaimsFalse++
		return false
	}
	if t.pathMSS(int(c.mtu)) >= int(t.mss) {
		return false
	}
	t.lowerMTU(int(c.mtu))
	if t.s != nil && t.rtxAt == 0 {
		t.setRtx(t.s.now + t.rtt.rto())
	}
	return true
}

// RFC 4821 7.7: how many timeouts of a full segment in a row say that it may be
// too long.
const blackHoleRounds = 3

// blackHole is called when the segment in front has timed out; it makes segments
// smaller if it may be their size that no router complains of. The cache makes
// others to the same host begin there, and its age lets them try again.
func (t *TCP) blackHole() {
	s := t.s
	cfg := &s.cfg.TCP
	p := t.sndq.Head()
	if cfg.MTUProbing == MTUProbingOff || t.state < StateEstablished || p == nil || seg(p).n < uint32(t.mss) {
		return
	}
	mss := t.baseMSS()
	if mss >= int(t.mss) {
		mss = max(mss/2, cfg.MTUProbeFloor)
	}
	mtu := t.pathMTU(mss)
	if !t.remote.Is4() {
		mtu = max(mtu, header.IPv6MinMTU)
	}
	if t.pathMSS(mtu) >= int(t.mss) {
		return
	}
	s.stats.TCP.BlackHoles++
	s.learnMTU(t.remote, mtu, true)
	m := t.searchPart()
	*m = mtuSearch{low: mtu, high: t.pathMTU(int(t.mssMax)), at: s.now}
	t.setMSS(t.pathMSS(mtu))
}

// learnMTU remembers a path MTU. The other connections of the path look it up
// when they send next.
// guess: it is what a search has come to.
func (s *Stack) learnMTU(dst header.Addr, mtu int, guess bool) {
	e := s.dest(dst)
	e.guess = guess
	e.mtuUntil = s.now + int64(s.cfg.TCP.PathMTUAge)
	if e.mtu != uint16(mtu) {
		e.mtu = uint16(mtu)
		s.pathGen++
	}
	s.startCyclic(s.tcp.mtuTimer)
}

// ageMTUs forgets path MTUs that are old; the timer stops when none is left.
func (s *Stack) ageMTUs() {
	left := false
	for i := range s.tcp.dests.sets {
		set := &s.tcp.dests.sets[i]
		for j := range set {
			e := &set[j]
			switch {
			case e.mtu == 0:
			case s.now >= e.mtuUntil:
				e.mtu = 0
				s.pathGen++ // connections try larger segments
				s.stats.TCP.PathMTUExpired++
			default:
				left = true
			}
		}
	}
	if !left {
		s.stopCyclic(s.tcp.mtuTimer)
	}
}

// applyPathMTU fits the connection's segments to what is known of the path.
func (t *TCP) applyPathMTU() {
	e := t.s.tcp.dests.find(t.remote)
	mss := t.search(e)
	if e != nil && e.mtu != 0 {
		mss = min(mss, t.pathMSS(int(e.mtu)))
	}
	t.setMSS(mss)
}

// setMSS changes the payload of a full segment.
func (t *TCP) setMSS(mss int) {
	t.mss, t.cc.MSS = uint16(mss), uint32(mss)
	t.cc.Cwnd = max(t.cc.Cwnd, t.cc.MSS)
}

// lowerMTU takes a smaller path MTU (RFC 1191 6.4): what is in flight goes out
// again in segments that fit.
func (t *TCP) lowerMTU(mtu int) {
	t.s.stats.TCP.PathMTULowered++
	t.s.learnMTU(t.remote, mtu, false)
	if !t.remote.Is4() && t.nif != nil && mtu < t.s.pathMTU6(t.nif, t.remote) {
		t.s.nd6Happens(t.nif, ND6Event{Kind: ND6PathMTU, Addr: t.remote, MTU: uint32(mtu)})
	}
	if t.flags&tfProbe != 0 {
		*t.cold.search = mtuSearch{low: mtu, high: mtu, tried: true, at: t.s.now}
	}
	t.setMSS(t.pathMSS(mtu))
	t.resendInFlight()
}
