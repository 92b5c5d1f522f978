package stack

import (
	"net/netip"
	"slices"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Multicast listener discovery (mld6.c): routers, and switches that look into it,
// hear which groups an interface is in. Version 2 (RFC 3810), all sources being
// wanted of each group; version 1 (RFC 2710) as long as a router speaks that.

const (
	mldRobustness  = 2               // RFC 3810 9.1
	mldUnsolicited = 1 * nd6Second   // RFC 3810 9.11
	mldOlderQuery  = 260 * nd6Second // RFC 3810 9.12, with the default intervals
	mldV1Report    = 10 * nd6Second  // RFC 2710 7.10
	mldMaxRecords  = (header.IPv6MinMTU - header.IPv6Len - 8 - header.MLDv2ReportLen) / header.MLDv2RecordLen
)

// mldState is an interface's part.
type mldState struct {
	v1Until  int64 // a router of version 1 was heard of not long ago
	answerAt int64 // when a general query is to be answered, 0: none is
}

// group6 is a group that an interface is in, or has left and is to report.
type group6 struct {
	addr     header.Addr // zoned if of link-local scope
	refs     int
	left     uint8 // reports of the change that are still to be sent
	changeAt int64
	answerAt int64 // when a query is to be answered, 0: none is
	last     bool  // version 1: our report was the last that was heard
}

// JoinGroup has the interface receive packets to an IPv6 group, and tells routers
// (mld6_joingroup_netif). Each call needs a LeaveGroup. In a group of shards all
// have to join (shard.Group.JoinGroup). ErrVal: no multicast address of more than
// interface-local scope; errors of AddLinkLocal.
func (nif *Netif) JoinGroup(a netip.Addr) error {
	g := header.FromNetip(a)
	if g.Is4() || !g.IsMulticast() || g.Scope() <= 1 || g.DirtyZone() {
		return ErrVal
	}
	if err := nif.enable6(); err != nil {
		return err
	}
	nif.join(g)
	return nil
}

// LeaveGroup undoes one JoinGroup (mld6_leavegroup_netif). ErrVal: the interface
// is not in the group.
func (nif *Netif) LeaveGroup(a netip.Addr) error {
	if g := header.FromNetip(a).WithZone(nif.index); nif.inGroup(g) && !g.IsAllNodes() {
		nif.leave(g)
		return nil
	}
	return ErrVal
}

// inGroup reports whether the interface is in a group, which is zoned. All nodes
// is one that all are in, for which nobody reports (RFC 3810 5).
func (nif *Netif) inGroup(a header.Addr) bool {
	if a.IsAllNodes() {
		return nif.v6.on
	}
	e := nif.s.locals.find(a)
	if e == nil || !e.group {
		return false
	}
	return a.NeedsZone() || nif.group(a) != nil
}

func (nif *Netif) group(a header.Addr) *group6 {
	for i := range nif.v6.groups {
		if g := &nif.v6.groups[i]; g.addr == a && g.refs > 0 {
			return g
		}
	}
	return nil
}

func (nif *Netif) join(a header.Addr) {
	s := nif.s
	a = a.WithZone(nif.index)
	i := slices.IndexFunc(nif.v6.groups, func(g group6) bool { return g.addr == a })
	if i < 0 {
		i = len(nif.v6.groups)
		nif.v6.groups = append(nif.v6.groups, group6{addr: a})
	}
	g := &nif.v6.groups[i]
	if g.refs++; g.refs == 1 {
		s.locals.add(a).group = true
		s.mldChanged(g)
	}
}

func (nif *Netif) leave(a header.Addr) {
	a = a.WithZone(nif.index)
	if g := nif.group(a); g != nil {
		if g.refs--; g.refs == 0 {
			nif.s.locals.add(a).group = nif.s.joinedElsewhere(a)
			g.answerAt = 0
			nif.s.mldChanged(g)
		}
	}
}

// joinedElsewhere reports whether an interface is in a group.
func (s *Stack) joinedElsewhere(a header.Addr) bool {
	for _, nif := range s.netifs {
		if nif.group(a) != nil {
			return true
		}
	}
	return false
}

// mldChanged has a join or a leave reported, at the next Poll, with others.
func (s *Stack) mldChanged(g *group6) {
	g.left, g.changeAt = mldRobustness, s.now
	s.nd6WakeAt(s.now)
}

// mldAgain reports all groups again: the link may be another.
func (s *Stack) mldAgain(nif *Netif) {
	nif.v6.mld = mldState{}
	for i := range nif.v6.groups {
		s.mldChanged(&nif.v6.groups[i])
	}
}

// mldInput takes a message, payload at the ICMPv6 header, whose checksum is right
// and which lies in one buffer. It owns p.
func (s *Stack) mldInput(nif *Netif, p *pbuf.Pbuf, ip *header.IPv6) {
	b := p.Payload()
	var fault header.Fault
	switch b[0] {
	case header.ICMPv6MLDQuery:
		var q header.MLDQuery
		if q, fault = header.ParseMLDQuery(ip, b); fault == 0 {
			s.stats.MLD6.InQueries++
			s.mldQuery(nif, &q)
		}
	case header.ICMPv6MLDReport:
		var h *header.MLD
		if h, fault = header.ParseMLDReport(ip, b); fault == 0 {
			s.stats.MLD6.InReports++
			// RFC 2710 4: one report a group is enough.
			if g := nif.group(h.Group().WithZone(nif.index)); g != nil && s.now < nif.v6.mld.v1Until {
				g.answerAt, g.last = 0, false
			}
		}
	}
	if fault != 0 {
		s.stats.MLD6.InErrors++
		s.drop(p, DropND6Malformed)
		return
	}
	p.Free()
}

// mldQuery schedules the answer to a query, after a random part of the time that
// it gives (RFC 3810 6.2, RFC 2710 4).
func (s *Stack) mldQuery(nif *Netif, q *header.MLDQuery) {
	m := &nif.v6.mld
	if !q.V2 {
		m.v1Until = s.now + mldOlderQuery // RFC 3810 8.2.1
	}
	delay := int64(q.MaxDelay) * 1_000_000
	at := s.now + 1 + int64(s.rng.below(1<<16))*(delay>>16)
	v1 := s.now < m.v1Until
	if q.Group.IsZero() && !v1 {
		if m.answerAt == 0 || at < m.answerAt {
			m.answerAt = at
			s.nd6WakeAt(at)
		}
		return
	}
	want := q.Group.WithZone(nif.index)
	for i := range nif.v6.groups {
		g := &nif.v6.groups[i]
		if g.refs == 0 || !q.Group.IsZero() && g.addr != want {
			continue
		}
		if v1 {
			at = s.now + 1 + int64(s.rng.below(1<<16))*(delay>>16)
		}
		if g.answerAt == 0 || at < g.answerAt {
			g.answerAt = at
			s.nd6WakeAt(at)
		}
	}
}

// mldTimer sends the reports that are due.
func (s *Stack) mldTimer(nif *Netif) {
	if !nif.up {
		return
	}
	m := &nif.v6.mld
	v1 := s.now < m.v1Until
	all := m.answerAt != 0 && s.now >= m.answerAt
	if all {
		m.answerAt = 0
	} else if m.answerAt != 0 {
		s.nd6WakeAt(m.answerAt)
	}
	var r mldReport
	for i := range nif.v6.groups {
		g := &nif.v6.groups[i]
		if g.left != 0 && s.now >= g.changeAt {
			s.mldChange(nif, g, &r, v1)
		} else if g.refs > 0 && (all || g.answerAt != 0 && s.now >= g.answerAt) {
			g.answerAt, g.last = 0, true
			s.mldAdd(nif, &r, header.MLDv2IsExclude, g.addr, v1)
		}
		if g.left != 0 {
			s.nd6WakeAt(g.changeAt)
		}
		if g.answerAt != 0 {
			s.nd6WakeAt(g.answerAt)
		}
	}
	s.mldFlush(nif, &r)
	nif.v6.groups = slices.DeleteFunc(nif.v6.groups, func(g group6) bool { return g.refs == 0 && g.left == 0 })
}

// mldChange reports that a group was joined or left, some times, as a report may
// get lost (RFC 3810 6.1, RFC 2710 4).
func (s *Stack) mldChange(nif *Netif, g *group6, r *mldReport, v1 bool) {
	g.left--
	again := mldUnsolicited
	if v1 {
		again = mldV1Report
	}
	g.changeAt = s.now + 1 + int64(s.rng.below(1000))*int64(again/1000)
	switch {
	case g.refs > 0:
		g.last = true
		s.mldAdd(nif, r, header.MLDv2ToExclude, g.addr, v1)
	case !v1:
		s.mldAdd(nif, r, header.MLDv2ToInclude, g.addr, v1)
	default: // RFC 2710 4: done, once, and only if nobody has reported since
		if g.left = 0; g.last {
			s.mldV1(nif, header.ICMPv6MLDDone, g.addr, header.AddrAllRouters)
		}
	}
}

// mldReport is a report of version 2 in the making.
type mldReport struct {
	p *pbuf.Pbuf
	n int
}

// mldAdd reports a group, in version 2 with others in one message.
func (s *Stack) mldAdd(nif *Netif, r *mldReport, typ header.MLDv2Record, g header.Addr, v1 bool) {
	if s.cfg.IPv6.Follower {
		return // another shard is in the same groups, and reports
	}
	if v1 {
		s.mldV1(nif, header.ICMPv6MLDReport, g, g)
		return
	}
	if r.p == nil {
		r.p = s.alloc(pbuf.LayerTransport, header.MLDv2ReportLen+mldMaxRecords*header.MLDv2RecordLen, pbuf.KindRAM)
		if r.p == nil {
			s.stats.Drops[DropNoBuf]++
			return
		}
	}
	header.PutMLDv2Record(r.p.Payload()[header.MLDv2ReportLen+r.n*header.MLDv2RecordLen:], typ, g)
	if r.n++; r.n == mldMaxRecords {
		s.mldFlush(nif, r)
	}
}

// mldFlush sends the report.
func (s *Stack) mldFlush(nif *Netif, r *mldReport) {
	if r.p == nil {
		return
	}
	r.p.Realloc(header.MLDv2ReportLen + r.n*header.MLDv2RecordLen)
	header.PutMLDv2Report(r.p.Payload(), r.n)
	s.mldSend(nif, r.p, header.AddrMLDv2Routers)
	*r = mldReport{}
}

// mldV1 sends a message of version 1.
func (s *Stack) mldV1(nif *Netif, typ uint8, group, dst header.Addr) {
	if s.cfg.IPv6.Follower {
		return
	}
	p := s.alloc(pbuf.LayerTransport, header.MLDLen, pbuf.KindRAM)
	if p == nil {
		s.stats.Drops[DropNoBuf]++
		return
	}
	(*header.MLD)(p.Payload()).Encode(typ, 0, group)
	s.mldSend(nif, p, dst)
}

// mldSend sends a message with a router alert and hop limit 1 from the link-local
// address, or from :: while that is tentative (RFC 3810 5.2.13, RFC 3590 4). It
// owns p.
func (s *Stack) mldSend(nif *Netif, p *pbuf.Pbuf, dst header.Addr) {
	src := header.LinkLocalOf(nif.v6.linkID).WithZone(nif.index)
	if !s.isLocal(src) {
		src = header.Addr{}
	}
	s.icmp6Sum(p, src, dst)
	p.AddHeader(8)
	header.PutRouterAlert(p.Payload(), header.ProtoICMPv6)
	s.stats.MLD6.OutReports++
	s.stats.ICMP6.OutMsgs++
	s.ip6Link(nif, p, &header.IPv6Fields{HopLimit: 1, NextHeader: header.ProtoHopByHop, Src: src, Dst: dst})
}
