package stack

import (
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"

	"github.com/shardstack/shardstack/header"
)

// Cookies of TCP Fast Open (RFC 7413 4.1.2) are SipHash-2-4 of the client's and the
// server's address, as Linux makes them since 5.3: a client that comes to another
// shard, stack or host with the same key is known there. Keys change, and the one
// before is good for a while.

// FastOpenCookieLen is how long our cookies are.
const FastOpenCookieLen = 8

const (
	fastKeyLife   = 3600_000_000_000 // ns that a derived key makes cookies
	labelFastOpen = 2                // see labelCookie
)

// fastKey is a FastOpenKey as SipHash wants it.
type fastKey struct{ k0, k1 uint64 }

// fastKeys are keys that were set; n is 0 if none were.
type fastKeys struct {
	k [2]fastKey
	n int
}

func (f *fastKeys) set(keys []FastOpenKey) {
	*f = fastKeys{n: len(keys)}
	for i := range keys {
		f.k[i] = fastKey{binary.LittleEndian.Uint64(keys[i][:]), binary.LittleEndian.Uint64(keys[i][8:])}
	}
}

// list is the keys as they were set; nil: none were.
func (f *fastKeys) list() (keys []FastOpenKey) {
	for _, k := range f.k[:f.n] {
		var b FastOpenKey
		binary.LittleEndian.PutUint64(b[:], k.k0)
		binary.LittleEndian.PutUint64(b[8:], k.k1)
		keys = append(keys, b)
	}
	return keys
}

// SetFastOpenKeys sets the keys of cookies, of all listeners without keys of their
// own (Linux's tcp_fastopen_key): the first makes them, and both are good. To change
// a key without refusing those who have a cookie of the last one, give the new one
// and that. None: keys that are derived from Config.FlowSecret. ErrVal: more than
// two.
func (s *Stack) SetFastOpenKeys(keys ...FastOpenKey) error {
	if len(keys) > 2 {
		return ErrVal
	}
	s.tcp.fast.keys.set(keys)
	return nil
}

// FastOpenCookie is the cookie of a client at a server of this stack. ErrVal: they
// are no two addresses of one family.
func (s *Stack) FastOpenCookie(client, server netip.Addr) (c [FastOpenCookieLen]byte, err error) {
	a, b := header.FromNetip(client.Unmap()), header.FromNetip(server.Unmap())
	if !client.IsValid() || !server.IsValid() || a.Is4() != b.Is4() {
		return c, ErrVal
	}
	keys, _ := s.fastKeys(&s.tcp.fast.keys)
	binary.LittleEndian.PutUint64(c[:], keys[0].cookie(a, b))
	return c, nil
}

// fastKeys are the keys that are good now, the one that makes cookies first.
func (s *Stack) fastKeys(own *fastKeys) (keys [2]fastKey, n int) {
	if own.n == 0 {
		own = &s.tcp.fast.keys
	}
	if own.n != 0 {
		return own.k, own.n
	}
	epoch := uint64(s.now) / fastKeyLife
	for i := range keys {
		k := s.tcp.fast.hourly.key(s, epoch-uint64(i))
		keys[i] = fastKey{k.k0, k.k1}
	}
	return keys, len(keys)
}

// cookie is the keyed hash of two addresses, as on the wire.
func (k fastKey) cookie(client, server header.Addr) uint64 {
	var b [32]byte
	if client.Is4() {
		binary.BigEndian.PutUint32(b[0:], client.Uint32())
		binary.BigEndian.PutUint32(b[4:], server.Uint32())
		return siphash.Hash(k.k0, k.k1, b[:8])
	}
	client, server = client.Unzoned(), server.Unzoned()
	binary.BigEndian.PutUint64(b[0:], client.Hi())
	binary.BigEndian.PutUint64(b[8:], client.Lo())
	binary.BigEndian.PutUint64(b[16:], server.Hi())
	binary.BigEndian.PutUint64(b[24:], server.Lo())
	return siphash.Hash(k.k0, k.k1, b[:])
}

// fastCheck looks at the cookie of the SYN in work. good: it is one of ours; renew:
// it is none, or of the key before, and fresh is the one to send.
func (t *TCP) fastCheck(in *inSegment) (good, renew bool, fresh uint64) {
	keys, n := t.s.fastKeys(&t.cold.fast.keys)
	fresh = keys[0].cookie(in.src, in.dst)
	if c := in.fastCookie(); len(c) == FastOpenCookieLen {
		have := binary.LittleEndian.Uint64(c)
		if have == fresh {
			return true, false, fresh
		}
		if n == 2 && have == keys[1].cookie(in.src, in.dst) {
			return true, true, fresh
		}
	}
	return false, true, fresh
}

// fastCookie is the cookie of the segment in work; empty: it asks for one, or has no
// such option.
func (in *inSegment) fastCookie() []byte {
	off := header.TCPLen + int(in.opts.FastOpenOff)
	return in.p.Payload()[off : off+int(in.opts.FastOpenLen)]
}
