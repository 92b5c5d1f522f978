package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Source address selection (RFC 6724 5) among the addresses of the interface that
// a packet leaves by.

// label6 is the label of an address by the default policy table (RFC 6724 2.1).
func label6(a header.Addr) uint8 {
	hi, lo := a.Hi(), a.Lo()
	switch {
	case hi == 0 && lo == 1: // ::1
		return 0
	case a.Is4():
		return 4
	case hi>>48 == 0x2002: // 6to4
		return 2
	case hi>>32 == 0x20010000: // Teredo
		return 5
	case hi>>57 == 0xfc>>1: // unique local
		return 13
	case hi>>54 == 0xfec0>>6: // site-local
		return 11
	case hi>>48 == 0x3ffe: // 6bone
		return 12
	case hi == 0 && lo>>32 == 0: // IPv4-compatible
		return 3
	}
	return 1
}

// sourceFor6 is the source address for packets to dst that leave by nif, if it
// has one.
func (nif *Netif) sourceFor6(dst header.Addr) (header.Addr, bool) {
	var best *addr6
	for i := range nif.v6.addrs {
		a := &nif.v6.addrs[i]
		if a.usable() && (best == nil || better6(a, best, dst)) {
			best = a
		}
	}
	if best == nil {
		return header.Addr{}, false
	}
	return best.addr, true
}

// better6 reports whether a is a better source for dst than b by the rules of RFC
// 6724 5. Rule 4 (home addresses) and 7 (temporary ones) are about what is not
// here, 5 is the choice of the interface.
func better6(a, b *addr6, dst header.Addr) bool {
	if a.addr == dst || b.addr == dst { // rule 1
		return a.addr == dst
	}
	sa, sb, sd := a.addr.Scope(), b.addr.Scope(), dst.Scope()
	if sa != sb { // rule 2: the smallest scope that reaches dst
		if sa < sb {
			return sa >= sd
		}
		return sb < sd
	}
	if a.state != b.state { // rule 3: avoid deprecated addresses
		return a.state == addrPreferred
	}
	if la, lb := label6(a.addr) == label6(dst), label6(b.addr) == label6(dst); la != lb { // rule 6
		return la
	}
	// Rule 8: the longest prefix in common, no longer than that of the source.
	return min(a.addr.Unzoned().CommonPrefix(dst.Unzoned()), a.prefix.Bits()) >
		min(b.addr.Unzoned().CommonPrefix(dst.Unzoned()), b.prefix.Bits())
}
