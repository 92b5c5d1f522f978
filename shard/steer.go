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
//	other IP protocols     to where the addresses' hash says
//	ARP, all that is no IP stays where it arrived
//
// A port without RSS, or with fewer queues than there are shards, gets a table
// of the group's making.

// softRETA is the size of the tables that the group makes.
const softRETA = rss.MaxRETA

// steering is what all shards know of a port. It never changes.
type steering struct {
	hasher   *rss.Hasher
	table    rss.RETA // hash → shard
	shards   int
	reliable bool // the port's hashes are right under its key
	same     bool // the stack hashes with the same key, so packets keep theirs
	pass     bool // nothing to do: one shard, and no hashes but those it may keep
}

// newSteering works out how the packets of a port spread over n shards. h is
// the stacks' hasher.
func newSteering(cfg *PortConfig, info *port.Info, h *rss.Hasher, n int) (*steering, error) {
	st := &steering{hasher: h, shards: n, same: true}
	if key := info.RSS.Key; !key.IsZero() {
		st.reliable = !cfg.Rehash
		if key != h.Key() {
			st.hasher, st.same = rss.NewHasher(key), false
		}
	}
	// A port without RSS gives no hashes.
	noHash := info.RSS.Key.IsZero() && !info.Caps.Has(offload.RSSHash)
	st.pass = n == 1 && (st.same && st.reliable || noHash)
	var err error
	if reta := info.RSS.RETA; info.RSS.Key.IsZero() || reta.Size() == 0 {
		st.table, err = rss.NewRETA(softRETA, n)
	} else {
		st.table, err = dealRETA(&reta, info.Queues, n)
	}
	return st, err
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

// home is the shard that a frame which arrived on self belongs to. It leaves
// in the packet the hash that the stack finds the connection by, and takes
// away one that it must not use.
func (st *steering) home(p *pbuf.Pbuf, self int) int {
	b := p.Payload()
	if len(b) < header.EthernetLen+header.IPv4Len+header.UDPLen ||
		(*header.Ethernet)(b).Type() != header.EtherTypeIPv4 {
		return st.homeSlow(p, b, self)
	}
	ip := (*header.IPv4)(b[header.EthernetLen:])
	proto := ip.Protocol()
	if ip[0] != 0x45 || proto != header.ProtoTCP && proto != header.ProtoUDP || ip.IsFragment() {
		return st.homeSlow(p, b, self)
	}
	hash := p.Hash
	if p.Flags&pbuf.RxHash == 0 || !st.reliable {
		l4 := (*[4]byte)(b[header.EthernetLen+header.IPv4Len:])
		hash = st.hasher.Hash4(ip.Src().Uint32(), ip.Dst().Uint32(),
			uint16(l4[0])<<8|uint16(l4[1]), uint16(l4[2])<<8|uint16(l4[3]))
	}
	return st.byFlow(p, hash)
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
func (st *steering) homeSlow(p *pbuf.Pbuf, b []byte, self int) int {
	hash, kind := st.hasher.HashFrame(b)
	if kind.HasPorts() {
		return st.byFlow(p, hash)
	}
	// A hash of addresses is not one that a connection could be found by.
	p.Flags &^= pbuf.RxHash
	switch kind {
	case rss.KindNone:
		return self
	case rss.KindIPv4:
		if h, ok := st.homeICMP(b); ok {
			return h
		}
	}
	return int(st.table.Queue(hash))
}

// homeICMP is the shard of an ICMP message that is about something that one
// shard has sent; false for all else. b is an IPv4 frame.
func (st *steering) homeICMP(b []byte) (int, bool) {
	b = b[linkLen(b):]
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
	return st.homeQuoted(b[header.ICMPv4Len:])
}

// homeQuoted is the shard that sent the packet which an ICMP error quotes: the
// IP header and at least 8 bytes (RFC 792), so the ports. Seen from here the
// quoted packet goes out, so its ends are swapped.
func (st *steering) homeQuoted(b []byte) (int, bool) {
	if len(b) < header.IPv4Len {
		return 0, false
	}
	ip := (*header.IPv4)(b)
	n := ip.HdrLen()
	if ip.Version() != 4 || n < header.IPv4Len || len(b) < n+8 || ip.FragOffset() != 0 {
		return 0, false
	}
	l4 := (*[8]byte)(b[n:])
	switch ip.Protocol() {
	case header.ProtoTCP, header.ProtoUDP:
		hash := st.hasher.Hash4(ip.Dst().Uint32(), ip.Src().Uint32(),
			uint16(l4[2])<<8|uint16(l4[3]), uint16(l4[0])<<8|uint16(l4[1]))
		return int(st.table.Queue(hash)), true
	case header.ProtoICMP:
		if l4[0] == header.ICMPv4Echo {
			return int((*header.ICMPv4)(l4[:]).EchoID()) % st.shards, true
		}
	}
	return 0, false
}

// linkLen is the length of the Ethernet header with its tags. b is a frame that
// HashFrame found to be IP.
func linkLen(b []byte) int {
	n := header.EthernetLen
	typ := (*header.Ethernet)(b).Type()
	for typ == header.EtherTypeVLAN || typ == header.EtherTypeQinQ {
		typ = (*header.VLAN)(b[n:]).Type()
		n += header.VLANLen
	}
	return n
}
