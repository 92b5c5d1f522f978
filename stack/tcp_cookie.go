package stack

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/shardstack/shardstack/header"
)

// SYN cookies (RFC 4987 3.6): when a listener's backlog is full, the SYN-ACK's
// sequence number is a keyed hash of what we would have to remember, and nothing
// is kept. The ACK of the handshake brings it back, one higher:
//
//	31 30 29    27 26                0
//	├─────┼────────┼──────────────────┤
//	│epoch│  MSS   │  SipHash-2-4     │  of both ends, the peer's ISN and the MSS
//	└─────┴────────┴──────────────────┘
//
// What else the SYN agreed on travels in the low bits of our timestamp, which
// the ACK echoes: the peer's window scale, SACK-permitted and ECN. Without
// timestamps they are not offered. The key changes with every epoch, and the
// cookies of this epoch and the one before are good. Keys are derived from
// Config.FlowSecret, so that any shard of a group takes another's cookies.

const (
	cookieEpoch    = 64_000_000_000 // ns that a key is used
	cookieHashBits = 27
	cookieHashMask = 1<<cookieHashBits - 1

	// The bits in the timestamp.
	cookieTSBits   = 6
	cookieTSMask   = 1<<cookieTSBits - 1
	cookieScale    = 0x0f // the peer's shift; all set: none
	cookieSACK     = 0x10
	cookieECN      = 0x20
	cookieNoScale  = cookieScale
	cookieMaxScale = header.TCPMaxWScale
)

// cookieMSS are the segment sizes that a cookie can carry: what tunnels, PPPoE
// and Ethernet leave, and the least and the most.
var cookieMSS = [8]uint16{64, 536, 1200, 1300, 1400, 1440, 1460, 8960}

// cookieMSSIndex is the largest of cookieMSS that is not over mss.
func cookieMSSIndex(mss uint16) uint32 {
	i := len(cookieMSS) - 1
	for i > 0 && cookieMSS[i] > mss {
		i--
	}
	return uint32(i)
}

// epochKey is a SipHash key that is used for an epoch.
type epochKey struct {
	k0, k1 uint64
	epoch  uint64
	valid  bool
}

// epochKeys are the keys of the present epoch and the one before.
type epochKeys struct {
	label uint64 // tells uses of the same secret apart
	keys  [2]epochKey
}

// key is the key of an epoch, derived from the stack's secret.
func (e *epochKeys) key(s *Stack, epoch uint64) *epochKey {
	k := &e.keys[epoch&1]
	if !k.valid || k.epoch != epoch {
		var b [24]byte
		binary.LittleEndian.PutUint64(b[0:], e.label)
		binary.LittleEndian.PutUint64(b[8:], epoch)
		m := &s.tcp.isnKey
		k.k0 = siphash.Hash(m[2], m[3], b[:])
		b[16] = 1
		k.k1 = siphash.Hash(m[2], m[3], b[:])
		k.epoch, k.valid = epoch, true
	}
	return k
}

// cookieHash is the keyed hash of what a cookie vouches for.
func cookieHash(k *epochKey, f flowEnds, irs header.Seq, mss uint32) uint32 {
	var b [44]byte
	be := binary.BigEndian
	be.PutUint64(b[0:], f.local.Hi())
	be.PutUint64(b[8:], f.local.Lo())
	be.PutUint64(b[16:], f.remote.Hi())
	be.PutUint64(b[24:], f.remote.Lo())
	be.PutUint32(b[32:], uint32(f.lport)<<16|uint32(f.rport))
	be.PutUint32(b[36:], uint32(irs))
	be.PutUint32(b[40:], mss)
	return uint32(siphash.Hash(k.k0, k.k1, b[:])) & cookieHashMask
}

// synCookie is the initial sequence number of the answer to a SYN numbered irs.
func (s *Stack) synCookie(f flowEnds, irs header.Seq, mss uint16) header.Seq {
	i := cookieMSSIndex(mss)
	epoch := uint64(s.now) / cookieEpoch
	k := s.tcp.cookies.key(s, epoch)
	return header.Seq(uint32(epoch)<<30 | i<<cookieHashBits | cookieHash(k, f, irs, i))
}

// checkCookie says whether a sequence number is a cookie of ours for the peer's
// SYN irs, and which MSS it carries.
func (s *Stack) checkCookie(cookie, irs header.Seq, f flowEnds) (mss uint16, ok bool) {
	i := uint32(cookie) >> cookieHashBits & uint32(len(cookieMSS)-1)
	now := uint64(s.now) / cookieEpoch
	for _, epoch := range [2]uint64{now, now - 1} {
		if uint32(epoch)<<30 == uint32(cookie)&^(1<<30-1) &&
			cookieHash(s.tcp.cookies.key(s, epoch), f, irs, i) == uint32(cookie)&cookieHashMask {
			return cookieMSS[i], true
		}
	}
	return 0, false
}

// cookieTimestamp puts what a SYN's options agree on into the low bits of our
// timestamp clock, ts, so that the result is not later than ts.
func cookieTimestamp(ts uint32, o *header.TCPOptions, ecn bool) uint32 {
	v := uint32(cookieNoScale)
	if o.WScale >= 0 {
		v = uint32(min(o.WScale, cookieMaxScale))
	}
	if o.SACKPermitted {
		v |= cookieSACK
	}
	if ecn {
		v |= cookieECN
	}
	if r := ts&^cookieTSMask | v; int32(ts-r) >= 0 {
		return r
	}
	return (ts&^cookieTSMask | v) - (1 << cookieTSBits)
}

// cookieOptions are the options of the SYN that a cookie was the answer to, as
// the ACK in work tells.
func cookieOptions(mss uint16, ack *header.TCPOptions, timestamps bool) (o header.TCPOptions, ecn bool) {
	o = header.TCPOptions{MSS: mss, WScale: -1}
	if !timestamps || !ack.HasTS {
		return o, false
	}
	o.HasTS, o.TSVal, o.TSEcr = true, ack.TSVal, 0
	if shift := ack.TSEcr & cookieScale; shift <= cookieMaxScale {
		o.WScale = int8(shift)
	}
	o.SACKPermitted = ack.TSEcr&cookieSACK != 0
	return o, ack.TSEcr&cookieECN != 0
}

// labelCookie tells the keys of cookies from others derived from the secret.
const labelCookie = 1
