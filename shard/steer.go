package shard

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// Steering says which shard a received frame belongs to. For TCP and UDP that
// is the RSS hash of addresses and ports, looked up in a table of shards, so
// that all packets of a connection meet on one shard whoever received them. A
// port with a queue for every shard has done that itself, and only what its
// RSS can't know has to be handed over:
//
//	fragments              to where the addresses' hash says, all of a packet
//	ICMP errors            to the shard of the connection that they quote
//	ICMP echo replies      to shard identifier mod shards
//	ND, MLD                to the first shard, which tells the others
//	other IP protocols     to where the addresses' hash says
//	group datagrams        to where the hash says, and on if nobody is there
//	ARP, all that is no IP stays where it arrived
//
// A port without RSS, or with fewer queues than there are shards, gets a table
// of the group's making.

// softRETA is the size of the tables that the group makes.
const softRETA = rss.MaxRETA

// steering is what a shard knows of a port. It never changes: a new one takes
// its place.
type steering struct {
	hasher *rss.Hasher
	table  rss.RETA // hash → shard
	shards int
	trust  kinds  // kinds of frames whose hash the port computes as we would
	same   bool   // the stack hashes with the same key, so packets keep theirs
	pass   bool   // nothing to do: one shard, and no hashes but those it may keep
	noHash bool   // the port gives none
	away   Cause  // why a packet with ports arrives elsewhere
	moved  *moved // nil: every flow is where table says
}

// kinds is a set of kinds of frames that are hashed with ports: bit k is Kind k.
type kinds uint8

const (
	allKinds  = kinds(1<<rss.KindTCP4 | 1<<rss.KindUDP4 | 1<<rss.KindTCP6 | 1<<rss.KindUDP6)
	needKinds = kinds(1<<rss.KindTCP4 | 1<<rss.KindUDP4) // what the stack has
)

func (k kinds) has(kind rss.Kind) bool { return k>>kind&1 != 0 }

// newSteering works out how the packets of a port spread over n shards. h is
// the stacks' hasher. Nothing that the port hashes is trusted yet.
func newSteering(info *port.Info, h *rss.Hasher, n int) (*steering, error) {
	st := &steering{hasher: h, shards: n, same: true, away: CauseWrongHash}
	if key := info.RSS.Key; !key.IsZero() && key != h.Key() {
		st.hasher, st.same = rss.NewHasher(key), false
	}
	// A port without RSS gives no hashes.
	st.noHash = info.RSS.Key.IsZero() && !info.Caps.Has(offload.RSSHash)
	st.pass = n == 1 && st.noHash
	var err error
	if reta := info.RSS.RETA; info.RSS.Key.IsZero() || reta.Size() == 0 {
		st.away = CauseNoRSS
		st.table, err = rss.NewRETA(softRETA, n)
	} else {
		if info.Queues < n {
			st.away = CauseFewQueues
		}
		st.table, err = dealRETA(&reta, info.Queues, n)
	}
	return st, err
}

// trusting is st with a set of kinds that are trusted.
func (st *steering) trusting(k kinds) *steering {
	t := *st
	t.trust = k
	t.pass = t.shards == 1 && (t.noHash || t.same && t.trust&needKinds == needKinds)
	return &t
}

// dealRETA turns a table of queues into one of shards. With at least as many
// queues as shards, shard q mod n owns queue q; with fewer, the entries of queue
// q are dealt to the shards q, q+queues, q+2·queues …, so that the shard that
// polls the queue keeps as much as the others get.
func dealRETA(reta *rss.RETA, queues, n int) (rss.RETA, error) {
	if err := reta.Validate(queues); err != nil {
		return rss.RETA{}, err
	}
	entries := reta.Entries()
	next := make([]int, queues)
	for i, q := range entries {
		if queues >= n {
			entries[i] = q % uint16(n)
			continue
		}
		share := (n - 1 - int(q)) / queues // shards beside q itself
		entries[i] = q + uint16(next[q]*queues)
		next[q] = (next[q] + 1) % (share + 1)
	}
	return rss.FromEntries(entries)
}

// home is the shard that a frame which arrived on self belongs to, and why it
// has to be handed over if that is another. It leaves in the packet the hash
// that the stack finds the connection by, and takes away one that it must not
// use.
func (st *steering) home(p *pbuf.Pbuf, self int) (int, Cause) {
	b := p.Payload()
	if len(b) < header.EthernetLen+header.IPv4Len+header.UDPLen || b[0]&1 != 0 ||
		(*header.Ethernet)(b).Type() != header.EtherTypeIPv4 {
		return st.homeSlow(p, b, self)
	}
	ip := (*header.IPv4)(b[header.EthernetLen:])
	proto := ip.Protocol()
	if ip[0] != 0x45 || proto != header.ProtoTCP && proto != header.ProtoUDP || ip.IsFragment() {
		return st.homeSlow(p, b, self)
	}
	kind := rss.KindTCP4
	if proto == header.ProtoUDP {
		kind = rss.KindUDP4
	}
	hash := p.Hash
	if p.Flags&pbuf.RxHash == 0 || !st.trust.has(kind) {
		l4 := (*[4]byte)(b[header.EthernetLen+header.IPv4Len:])
		hash = st.hasher.Hash4(ip.Src().Uint32(), ip.Dst().Uint32(),
			uint16(l4[0])<<8|uint16(l4[1]), uint16(l4[2])<<8|uint16(l4[3]))
	}
	return st.byFlow(p, hash), st.away
}

// byFlow is the shard of a packet with ports.
func (st *steering) byFlow(p *pbuf.Pbuf, hash uint32) int {
	if st.same {
		p.Hash = hash
		p.Flags |= pbuf.RxHash
	} else {
		p.Flags &^= pbuf.RxHash
	}
	return int(st.table.Queue(hash))
}

// homeSlow takes what is not a plain IPv4 packet with ports.
func (st *steering) homeSlow(p *pbuf.Pbuf, b []byte, self int) (int, Cause) {
	hash, kind := st.hasher.HashFrame(b)
	if kind.HasPorts() {
		return st.byFlow(p, hash), st.portsCause(b, kind)
	}
	// A hash of addresses is not one that a connection could be found by.
	p.Flags &^= pbuf.RxHash
	if kind == rss.KindNone {
		return self, CauseProtocol
	}
	n, _ := linkLen(b)
	why := CauseProtocol
	switch kind {
	case rss.KindIPv4:
		if h, ok := st.homeICMP(b[n:]); ok {
			return h, CauseICMP
		}
		if (*header.IPv4)(b[n:]).IsFragment() {
			why = CauseFragment
		}
	case rss.KindIPv6:
		if h, why, ok := st.homeICMP6(b[n:]); ok {
			return h, why
		}
		if (*header.IPv6)(b[n:]).NextHeader() == header.ProtoFragment {
			why = CauseFragment
		}
	}
	return int(st.table.Queue(hash)), why
}

// portsCause is why a frame with ports that is not plain arrives elsewhere: its
// group's members may be anywhere, and ports may not look past tags.
func (st *steering) portsCause(b []byte, kind rss.Kind) Cause {
	switch typ := (*header.Ethernet)(b).Type(); {
	case b[0]&1 != 0 && (kind == rss.KindUDP4 || kind == rss.KindUDP6):
		return CauseGroup
	case st.away == CauseWrongHash && (typ == header.EtherTypeVLAN || typ == header.EtherTypeQinQ):
		return CauseTunnel
	}
	return st.away
}

// homeICMP is the shard of an ICMP message that is about something that one
// shard has sent; false for all else. b is an IPv4 packet. Seen from here the
// packet that an error quotes goes out, so its ends are swapped.
func (st *steering) homeICMP(b []byte) (int, bool) {
	ip := (*header.IPv4)(b)
	if ip.Protocol() != header.ProtoICMP || ip.IsFragment() || len(b) < ip.HdrLen() {
		return 0, false
	}
	b = b[ip.HdrLen():]
	icmp, fault := header.ParseICMPv4(b)
	if fault != header.OK {
		return 0, false
	}
	if icmp.Type() == header.ICMPv4EchoReply {
		return int(icmp.EchoID()) % st.shards, true
	}
	if !icmp.IsError() {
		return 0, false
	}
	b = b[header.ICMPv4Len:]
	if f, ok := quotedFlow(b); ok {
		return int(st.table.Queue(st.hashOf(&f))), true
	}
	if id, ok := quotedEcho(b); ok {
		return int(id) % st.shards, true
	}
	return 0, false
}

// homeICMP6 is homeICMP for an IPv6 packet b. What is about the link goes to the
// first shard, which tells the others what it has found out.
func (st *steering) homeICMP6(b []byte) (int, Cause, bool) {
	if (*header.IPv6)(b).NextHeader() == header.ProtoFragment {
		return 0, 0, false
	}
	proto, l4, ok := upper6(b)
	if !ok || proto != header.ProtoICMPv6 || len(l4) < header.ICMPv6Len {
		return 0, 0, false
	}
	icmp := (*header.ICMPv6)(l4)
	switch typ := icmp.Type(); {
	case typ == header.ICMPv6EchoReply:
		return int(icmp.EchoID()) % st.shards, CauseICMP, true
	case typ >= header.ICMPv6MLDQuery && typ <= header.ICMPv6Redirect:
		return 0, CauseND, true
	case !icmp.IsError():
		return 0, 0, false
	}
	l4 = l4[header.ICMPv6Len:]
	if f, ok := quotedFlow6(l4, 0); ok {
		return int(st.table.Queue(st.hashOf(&f))), CauseICMP, true
	}
	if proto, echo, ok := upper6(l4); ok && proto == header.ProtoICMPv6 && len(echo) >= header.ICMPv6Len && echo[0] == header.ICMPv6Echo {
		return int((*header.ICMPv6)(echo).EchoID()) % st.shards, CauseICMP, true
	}
	return 0, 0, false
}

// hashOf is the hash of the packets that come by a flow.
func (st *steering) hashOf(f *flow) uint32 {
	return st.hasher.HashTuple(f.remote.Unzoned(), f.local.Unzoned(), f.rport, f.lport)
}

// quotedEcho is the identifier of the echo request that an ICMP error quotes.
func quotedEcho(b []byte) (id uint16, ok bool) {
	if len(b) < header.IPv4Len {
		return 0, false
	}
	ip := (*header.IPv4)(b)
	n := ip.HdrLen()
	if ip.Version() != 4 || n < header.IPv4Len || len(b) < n+header.ICMPv4Len ||
		ip.FragOffset() != 0 || ip.Protocol() != header.ProtoICMP || b[n] != header.ICMPv4Echo {
		return 0, false
	}
	return (*header.ICMPv4)(b[n:]).EchoID(), true
}
