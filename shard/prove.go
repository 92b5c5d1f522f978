package shard

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// A wrong hash sends packets to shards that do not know them, so no port is
// believed before its hash has been compared with ours. A port that can say what
// it makes of a frame (port.HashProber) is asked at the start; of others, each
// shard compares the first frames of each kind that come with a hash. What the
// comparison finds:
//
//	the hash of addresses and ports under the reported key: it is used from then on
//	the same under the key in another byte order, or another known key, where the
//	  port reports none: that key is used
//	the hash of the addresses alone, or anything else: hashes of this kind are
//	  computed, and what arrives elsewhere is handed over, with a Warning

// proofs is how many frames of a kind are compared. A hash that is wrong agrees
// by chance with one frame in 2^32.
const proofs = 16

// proof is what a shard has found out about the hashes of a port's frames.
type proof struct {
	keys  []candidate
	kinds [rss.KindUDP6 + 1]evidence
	left  kinds // kinds that are not decided yet
}

// evidence counts, for one kind, the frames and with whose hash they agreed.
type evidence struct {
	frames   int
	ports    []int // by candidate: hash of addresses and ports
	addrs    []int // hash of addresses
	wrongQue int   // frames in another queue than the hash says
}

// candidate is a key under which a port may hash.
type candidate struct {
	name   string
	hasher *rss.Hasher
}

// candidates are the keys to try, the reported one first: cards take it as bytes,
// and drivers have given it to them as words of either order.
func candidates(key rss.Key) (list []candidate) {
	add := func(name string, k rss.Key) {
		for _, c := range list {
			if c.hasher.Key() == k {
				return
			}
		}
		list = append(list, candidate{name, rss.NewHasher(k)})
	}
	if !key.IsZero() {
		add("its key", key)
		add("its key with the bytes of each 32-bit word reversed", swapKey(key, true))
		add("its key reversed", swapKey(key, false))
	}
	add("the default key", rss.DefaultKey)
	add("the symmetric key", rss.SymmetricKey)
	return list
}

// swapKey is a key with the bytes of its words, or all its bytes, in the other
// order.
func swapKey(key rss.Key, words bool) rss.Key {
	b := key.Bytes()
	if words {
		for i := 0; i+4 <= len(b); i += 4 {
			binary.BigEndian.PutUint32(b[i:], bits.ReverseBytes32(binary.BigEndian.Uint32(b[i:])))
		}
	} else {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	k, err := rss.NewKey(b)
	if err != nil {
		return key // not with a length that a key had
	}
	return k
}

// proofOf begins to compare; nil if the port gives no hashes.
func proofOf(cfg *PortConfig, info *port.Info) *proof {
	if cfg.Rehash || !info.Caps.Has(offload.RSSHash) {
		return nil
	}
	return newProof(info.RSS.Key)
}

// newProof begins to compare with a port's reported key.
func newProof(key rss.Key) *proof {
	pr := &proof{keys: candidates(key), left: allKinds}
	for k := range pr.kinds {
		pr.kinds[k].ports = make([]int, len(pr.keys))
		pr.kinds[k].addrs = make([]int, len(pr.keys))
	}
	return pr
}

// see compares the hash that came with a frame, and reports whether its kind is
// decided by it.
func (pr *proof) see(frame []byte, hash uint32, wrongQueue bool) (kind rss.Kind, decided bool) {
	_, kind = pr.keys[0].hasher.HashFrame(frame)
	if !kind.HasPorts() || !pr.left.has(kind) {
		return kind, false
	}
	e := &pr.kinds[kind]
	e.frames++
	if wrongQueue {
		e.wrongQue++
	}
	for i := range pr.keys {
		h := pr.keys[i].hasher
		if full, _ := h.HashFrame(frame); full == hash {
			e.ports[i]++
		}
		if addrsHash(h, frame) == hash {
			e.addrs[i]++
		}
	}
	if e.frames < proofs {
		return kind, false
	}
	pr.left &^= 1 << kind
	return kind, true
}

// addrsHash is the hash of the addresses of a frame that HashFrame knows.
func addrsHash(h *rss.Hasher, frame []byte) uint32 {
	n, typ := linkLen(frame)
	if typ == header.EtherTypeIPv6 {
		ip := (*header.IPv6)(frame[n:])
		return h.Hash6Addr(ip.Src(), ip.Dst())
	}
	ip := (*header.IPv4)(frame[n:])
	return h.HashAddrs(ip.Src(), ip.Dst())
}

// verdict is the key that all frames of a kind agreed with, -1 for none, and
// whether ports took part.
func (e *evidence) verdict() (key int, ports bool) {
	for i := range e.ports {
		if e.ports[i] == e.frames {
			return i, true
		}
	}
	for i := range e.addrs {
		if e.addrs[i] == e.frames {
			return i, false
		}
	}
	return -1, false
}

// prove compares the hashes of a burst that came by queue q.
func (s *Shard) prove(sp *shardPort, q int, ps []*pbuf.Pbuf) {
	info := &s.g.port(sp.index).info
	for _, p := range ps {
		if p.Flags&pbuf.RxHash == 0 {
			continue
		}
		wrong := sp.steer.moved == nil && sp.steer.away == CauseWrongHash && int(info.RSS.RETA.Queue(p.Hash)) != q
		kind, decided := sp.proof.see(p.Payload(), p.Hash, wrong)
		if !decided {
			continue
		}
		e := &sp.proof.kinds[kind]
		s.judge(sp, kind, e)
		if sp.proof.left == 0 {
			sp.proof = nil
			return
		}
	}
}

// judge acts on what was found out about a kind.
func (s *Shard) judge(sp *shardPort, kind rss.Kind, e *evidence) {
	key, ports := e.verdict()
	name := s.g.portName(sp.index)
	says := func(format string, args ...any) {
		s.g.warn(Warning{Kind: WarnHash, Shard: s.id, Port: sp.index, Text: name + ": " + fmt.Sprintf(format, args...)})
	}
	c := candidate{}
	if key >= 0 {
		c = sp.proof.keys[key]
	}
	st := sp.steer
	switch {
	case key < 0:
		s.n.HashWrong += uint64(e.frames)
		says("its hashes of %v are none that is known; they are computed", kind)
		return
	case !ports:
		s.n.HashWrong += uint64(e.frames)
		says("%v is hashed by %s without its ports; it is handed over", kind, c.name)
		return
	case c.hasher.Key() != st.hasher.Key():
		s.n.HashWrong += uint64(e.frames)
		says("%v is hashed by %s", kind, c.name)
		s.g.learnKey(sp.index, st.hasher.Key(), c.hasher.Key())
		return
	case e.wrongQue > 0:
		says("%d of %d frames of %v came by another queue than its table says", e.wrongQue, e.frames, kind)
	}
	sp.steer = st.trusting(st.trust | 1<<kind)
}

// learnKey has all shards use the key that a port was found to hash with, in
// place of another. Kinds are compared anew, under the new key. From any
// shard's thread.
func (g *Group) learnKey(i int, from, key rss.Key) {
	h := rss.NewHasher(key)
	learn := func(st *steering) *steering {
		t := *st
		t.hasher, t.same = h, key == g.hasher.Key()
		return t.trusting(0)
	}
	if st := g.port(i).steer.Load(); st.hasher.Key() != from || !g.port(i).steer.Swap(st, learn(st)) {
		return // another shard has found out, too
	}
	for _, s := range g.shards {
		_ = s.Do(func(s *Shard) { // ErrStopped: it needs no key
			sp := &s.ports[i]
			sp.steer = learn(sp.steer)
			if sp.proof != nil {
				*sp.proof = *newProof(g.port(i).info.RSS.Key)
			}
			if err := s.solve(sp); err != nil {
				s.Fail(err)
			}
		})
	}
}

// askHash asks a port that can say what its hashes are, at the start, and
// reports which kinds are right. Not ok: it can't.
func (g *Group) askHash(i int) (right kinds, ok bool) {
	info := &g.port(i).info
	pb, ok := port.As[port.HashProber](g.port(i).cfg.Port)
	if !ok || info.RSS.Key.IsZero() || g.port(i).cfg.Rehash {
		return 0, false
	}
	pr := newProof(info.RSS.Key)
	var frame [probeLen]byte
	for kind := rss.KindTCP4; kind <= rss.KindUDP6; kind++ {
		if !kind.HasPorts() {
			continue
		}
		for n := range proofs {
			b := frame[:probeFrame(frame[:], kind, n)]
			hash, queue, err := pb.ProbeHash(b)
			if err != nil {
				return 0, false
			}
			pr.see(b, hash, queue != int(info.RSS.RETA.Queue(hash)))
		}
		e := &pr.kinds[kind]
		switch key, ports := e.verdict(); {
		case key != 0 || !ports:
			g.warn(Warning{Kind: WarnHash, Shard: -1, Port: i,
				Text: fmt.Sprintf("%s: its hashes of %v are not those of its key; they are computed", g.portName(i), kind)})
		case e.wrongQue > 0:
			g.warn(Warning{Kind: WarnHash, Shard: -1, Port: i,
				Text: fmt.Sprintf("%s: frames of %v come by other queues than its table says", g.portName(i), kind)})
			right |= 1 << kind
		default:
			right |= 1 << kind
		}
	}
	return right, true
}

// probeLen is room for a probe frame.
const probeLen = header.EthernetLen + header.IPv6Len + header.TCPLen

// probeFrame writes frame number n of a kind, with addresses and ports that
// differ in many bits, and returns its length.
func probeFrame(b []byte, kind rss.Kind, n int) int {
	clear(b)
	r := uint64(n+1) * 0x9e3779b97f4a7c15
	typ, ipLen := header.EtherTypeIPv4, header.IPv4Len
	proto, l4Len := header.ProtoTCP, header.TCPLen
	if kind == rss.KindUDP4 || kind == rss.KindUDP6 {
		proto, l4Len = header.ProtoUDP, header.UDPLen
	}
	if kind >= rss.KindIPv6 {
		typ, ipLen = header.EtherTypeIPv6, header.IPv6Len
	}
	(*header.Ethernet)(b).Encode(header.MAC{2}, header.MAC{2, 1}, typ)
	ip := b[header.EthernetLen:]
	if kind >= rss.KindIPv6 {
		(*header.IPv6)(ip).Encode(&header.IPv6Fields{PayloadLen: uint16(l4Len), NextHeader: proto, HopLimit: 64,
			Src: probeAddr(r>>40, r), Dst: probeAddr(0, r*r)})
	} else {
		(*header.IPv4)(ip).Encode(&header.IPv4Fields{TotalLen: uint16(ipLen + l4Len), TTL: 64, Protocol: proto,
			Src: header.AddrFrom4Uint(198<<24 | 18<<16 | uint32(r>>20)&0xffff), Dst: header.AddrFrom4Uint(198<<24 | 19<<16 | uint32(r>>36)&0xffff)})
	}
	l4 := ip[ipLen:]
	binary.BigEndian.PutUint16(l4, uint16(r>>7)|1)
	binary.BigEndian.PutUint16(l4[2:], uint16(r>>23)|1)
	if proto == header.ProtoUDP {
		(*header.UDP)(l4).SetLength(header.UDPLen)
	} else {
		l4[12] = header.TCPLen / 4 << 4
	}
	return header.EthernetLen + ipLen + l4Len
}

// probeAddr is an address of the network for documentation.
func probeAddr(hi, lo uint64) header.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], 0x20010db8<<32|hi&0xffffffff)
	binary.BigEndian.PutUint64(b[8:], lo)
	return header.AddrFrom16(b)
}
