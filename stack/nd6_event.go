package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
)

// ND6EventKind says what neighbour discovery has found.
type ND6EventKind uint8

// The kinds, and which fields of an ND6Event they have beside Addr.
const (
	ND6Advert    ND6EventKind = iota // a neighbour's advertisement: MAC, Flags (NDFlagSolicited …)
	ND6Stale                         // a neighbour that has sent something: MAC, Flags (NDFlagRouter)
	ND6Ready                         // our address: nobody else has it
	ND6Duplicate                     // our address: another node has it
	ND6Address                       // an address made of a router's prefix: Bits, Valid, Preferred
	ND6Prefix                        // a prefix on link: Bits, Valid
	ND6Router                        // a default router: Valid, Flags (its preference)
	ND6Params                        // an interface's: Hops, MTU, Reachable, Retrans
	ND6Redirect                      // Addr is reached by Via
	ND6PathMTU                       // the path to Addr: MTU
)

// ND6Event is something that neighbour discovery, or path MTU discovery, has
// found out on one shard and that all have to know. It has no pointers. Times are
// those of the stack's clock, in nanoseconds, Forever for no end.
type ND6Event struct {
	Addr, Via          header.Addr
	Valid, Preferred   int64
	Reachable, Retrans uint32 // milliseconds; 0: not said
	MTU                uint32 // 0: not said
	MAC                header.MAC
	HasMAC             bool
	Kind               ND6EventKind
	Flags              uint8
	Bits               uint8
	Hops               uint8 // 0: not said
}

// nd6Happens makes an event take effect, here and, by the hook, on other shards.
func (s *Stack) nd6Happens(nif *Netif, e ND6Event) {
	s.nd6Apply(nif, &e)
	if h := s.hooks.ND6Happened; h != nil {
		h(nif, e)
	}
}

// ApplyND6 makes an event that Hooks.ND6Happened of another stack was told of
// take effect here. The hook is not called.
func (s *Stack) ApplyND6(nif *Netif, e ND6Event) {
	if !s.closed {
		s.nd6Apply(nif, &e)
	}
}

func (s *Stack) nd6Apply(nif *Netif, e *ND6Event) {
	switch e.Kind {
	case ND6Advert:
		s.nd6LearnAdvert(nif, e)
	case ND6Stale:
		s.nd6LearnStale(nif, e)
	case ND6Ready:
		nif.ready6(e.Addr)
	case ND6Duplicate:
		nif.duplicate6(e.Addr)
	case ND6Address:
		s.nd6TakeAddress(nif, e)
	case ND6Prefix:
		nif.addPrefix6(prefix6Of(e.Addr, e.Bits), e.Valid, 0)
	case ND6Router:
		s.nd6TakeRouter(nif, e)
	case ND6Params:
		s.nd6TakeParams(nif, e)
	case ND6Redirect:
		s.nd6TakeRedirect(nif, e)
	case ND6PathMTU:
		s.pmtuLearn(e.Addr, int(e.MTU))
	}
}

func prefix6Of(a header.Addr, bits uint8) prefix {
	return makePrefix(netip.PrefixFrom(a.Netip(), int(bits)))
}

// nd6TakeParams takes what a router says of the link (RFC 4861 6.3.4).
func (s *Stack) nd6TakeParams(nif *Netif, e *ND6Event) {
	v := &nif.v6
	if e.Hops != 0 {
		v.hops = e.Hops
	}
	if e.Retrans != 0 {
		v.retrans = int64(e.Retrans) * 1_000_000
	}
	if e.Reachable != 0 && int64(e.Reachable)*1_000_000 != v.base {
		v.base = int64(e.Reachable) * 1_000_000
		s.nd6Renew(nif)
	}
	if mtu := int(e.MTU); mtu >= header.IPv6MinMTU && mtu <= nif.mtu {
		v.mtu = mtu
	}
}

// nd6Renew chooses the time that a neighbour counts as reachable anew: at random
// between half and one and a half of the base (RFC 4861 6.3.4).
func (s *Stack) nd6Renew(nif *Netif) {
	v := &nif.v6
	v.reachable = v.base/2 + int64(s.rng.below(1024))*(v.base/1024)
	v.renewAt = s.now + nd6RenewInterval
}
