package header

import "encoding/binary"

// Lengths of multicast listener messages in bytes.
const (
	MLDLen         = 24 // MLDv1, and the part of an MLDv2 query that it shares
	MLDv2QueryLen  = 28 // without sources
	MLDv2ReportLen = 8  // without records
	MLDv2RecordLen = 20 // without sources
)

// MLD is a view of an MLDv1 message, and of the beginning of an MLDv2 query
// (RFC 2710 3, RFC 3810 5.1):
//
//	0 ICMPv6 type, code, checksum | 4 maximum response code | 6 reserved | 8 group
type MLD [MLDLen]byte

// MLDQuery is a query of either version.
type MLDQuery struct {
	V2       bool
	Group    Addr   // zero: a general query
	MaxDelay uint32 // milliseconds within which to respond
	Sources  int    // sources asked about; only V2 has any
}

// ParseMLDQuery is the gate of queries: b is the whole ICMPv6 message of the
// packet ip, its checksum apart. It comes from a link-local address with hop
// limit 1 (RFC 2710 3, RFC 3810 5.1.14), a group is a multicast address. 24
// bytes are version 1, 28 and more version 2 (RFC 3810 8.1).
func ParseMLDQuery(ip *IPv6, b []byte) (q MLDQuery, f Fault) {
	if len(b) < MLDLen || len(b) > MLDLen && len(b) < MLDv2QueryLen {
		return q, FaultMLDShort
	}
	if ip.HopLimit() != 1 || !ip.Src().IsLinkLocal() {
		return q, FaultMLDAddr
	}
	h := (*MLD)(b)
	q.Group = h.Group()
	if !q.Group.IsZero() && !q.Group.IsMulticast() {
		return q, FaultMLDAddr
	}
	code := uint32(h.MaxResponse())
	if len(b) == MLDLen {
		q.MaxDelay = code
		return q, OK
	}
	q.V2 = true
	q.Sources = int(binary.BigEndian.Uint16(b[26:28]))
	if len(b) < MLDv2QueryLen+16*q.Sources {
		return q, FaultMLDShort
	}
	if q.MaxDelay = code; code >= 0x8000 { // RFC 3810 5.1.3: a floating-point value
		q.MaxDelay = (code&0xfff | 0x1000) << (code>>12&7 + 3)
	}
	return q, OK
}

// ParseMLDReport is the gate of MLDv1 reports and done messages (RFC 2710 4).
func ParseMLDReport(ip *IPv6, b []byte) (*MLD, Fault) {
	if len(b) < MLDLen {
		return nil, FaultMLDShort
	}
	h := (*MLD)(b)
	if ip.HopLimit() != 1 || !ip.Src().IsLinkLocal() && !ip.Src().IsZero() || !h.Group().IsMulticast() {
		return nil, FaultMLDAddr
	}
	return h, OK
}

// MaxResponse returns the maximum response code.
func (h *MLD) MaxResponse() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// Group returns the group; zero in a general query.
func (h *MLD) Group() Addr { return getAddr((*[16]byte)(h[8:24])) }

// Encode fills the 24 bytes with a checksum of 0.
func (h *MLD) Encode(typ uint8, maxResponse uint16, group Addr) {
	(*ICMPv6)(h[0:8]).Encode(typ, 0, uint32(maxResponse)<<16)
	putAddr((*[16]byte)(h[8:24]), group.Unzoned())
}

// MLDv2Record is what a listener reports of a group (RFC 3810 5.2.12).
type MLDv2Record uint8

// The types of records without sources that a node reports which filters none.
const (
	MLDv2IsExclude MLDv2Record = 2 // it listens: answer to a query
	MLDv2ToInclude MLDv2Record = 3 // it has left
	MLDv2ToExclude MLDv2Record = 4 // it has joined
)

// PutMLDv2Report writes the head of a report of n records to b, of 8 bytes, with
// a checksum of 0.
func PutMLDv2Report(b []byte, n int) {
	(*ICMPv6)(b).Encode(ICMPv6MLDv2Report, 0, uint32(n))
}

// PutMLDv2Record writes a record without sources to b and returns the bytes
// written: 20.
func PutMLDv2Record(b []byte, typ MLDv2Record, group Addr) int {
	r := (*[MLDv2RecordLen]byte)(b)
	binary.BigEndian.PutUint32(r[0:4], uint32(typ)<<24)
	putAddr((*[16]byte)(r[4:20]), group.Unzoned())
	return MLDv2RecordLen
}

// PutRouterAlert writes a hop-by-hop options header with a router alert for MLD
// to b and returns the bytes written: 8 (RFC 2711 2.1, RFC 2710 3).
func PutRouterAlert(b []byte, next Protocol) int {
	*(*[8]byte)(b) = [8]byte{byte(next), 0, ipv6OptRouterAlert, 2, 0, 0, ipv6OptPadN, 0}
	return 8
}
