package header

// IPv4 option kinds (RFC 791 3.1).
const (
	IPv4OptEnd         = 0
	IPv4OptNOP         = 1
	IPv4OptRecordRoute = 7
	IPv4OptTimestamp   = 68
	IPv4OptLSRR        = 131 // loose source and record route
	IPv4OptSSRR        = 137 // strict source and record route
	IPv4OptRouterAlert = 148 // RFC 2113
)

// IPv4Options is what the options of an IPv4 header say. Offsets are in bytes
// from the start of the IPv4 header, as the pointer of an ICMP parameter
// problem counts them; 0 = absent.
type IPv4Options struct {
	SourceRoute uint8 // LSRR or SSRR: its kind byte
	RecordRoute uint8
	Timestamp   uint8
	RouterAlert bool
	Bad         uint8 // on FaultIPv4Option: the offending byte
}

// ParseIPv4Options is the gate of IPv4 options (RFC 791 3.1, RFC 1122
// 3.2.1.8): b is what lies between the 20 bytes and the header length. It sets
// all of *o. Unknown options are skipped by their length. FaultIPv4Option is a
// length or pointer that can't be, or a second source route (RFC 1122 3.2.1.8
// (c)); then Bad tells where. Whether source routes are obeyed is the caller's
// business.
func ParseIPv4Options(b []byte, o *IPv4Options) Fault {
	*o = IPv4Options{}
	for r := b; len(r) > 0; {
		kind, off := r[0], uint8(IPv4Len+len(b)-len(r))
		if kind == IPv4OptNOP {
			r = r[1:]
			continue
		}
		if kind == IPv4OptEnd {
			return OK
		}
		if len(r) < 2 {
			o.Bad = off
			return FaultIPv4Option
		}
		n := int(r[1])
		if n < 2 || n > len(r) {
			o.Bad = off + 1
			return FaultIPv4Option
		}
		if bad := o.set(r[:n], off); bad >= 0 {
			o.Bad = off + uint8(bad)
			return FaultIPv4Option
		}
		r = r[n:]
	}
	return OK
}

// set takes the option v, with kind and length, which starts at offset off. It
// returns the index of the offending byte, or -1.
func (o *IPv4Options) set(v []byte, off uint8) (bad int) {
	switch v[0] {
	case IPv4OptLSRR, IPv4OptSSRR:
		if o.SourceRoute != 0 {
			return 0
		}
		o.SourceRoute = off
		return badRoute(v)
	case IPv4OptRecordRoute:
		o.RecordRoute = off
		return badRoute(v)
	case IPv4OptTimestamp:
		o.Timestamp = off
		if len(v) < 4 {
			return 1
		}
		if v[2] < 5 {
			return 2
		}
	case IPv4OptRouterAlert:
		if len(v) != 4 {
			return 1
		}
		o.RouterAlert = true
	}
	return -1
}

// badRoute checks a list of addresses: whole ones, and a pointer to the start
// of one or past them all (RFC 791 3.1: the smallest is 4).
func badRoute(v []byte) int {
	if len(v) < 3 || (len(v)-3)&3 != 0 {
		return 1
	}
	if v[2] < 4 || v[2]&3 != 0 {
		return 2
	}
	return -1
}
