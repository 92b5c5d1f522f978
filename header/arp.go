package header

import "encoding/binary"

// ARPLen is the length of an ARP packet for IPv4 over Ethernet in bytes.
const ARPLen = 28

// ARP operations (RFC 826).
const (
	ARPRequest uint16 = 1
	ARPReply   uint16 = 2
)

// arpKind is the first six bytes of ARP for IPv4 over Ethernet: hardware type
// 1, protocol type 0x0800, address lengths 6 and 4.
const arpKind = 0x0001_0800_0604

// ARP is a view of an ARP packet for IPv4 over Ethernet (RFC 826):
//
//	0 htype | 2 ptype | 4 hlen | 5 plen | 6 operation
//	8 sender MAC | 14 sender IP | 18 target MAC | 24 target IP
type ARP [ARPLen]byte

// ParseARP is the gate of ARP: b holds a whole packet and it is of the one kind
// we speak. The operation is not checked: RFC 826 looks at it last, after the
// sender's address was learnt.
func ParseARP(b []byte) (*ARP, Fault) {
	if len(b) < ARPLen {
		return nil, FaultARPShort
	}
	h := (*ARP)(b)
	if binary.BigEndian.Uint64(h[0:8])>>16 != arpKind {
		return nil, FaultARPKind
	}
	return h, OK
}

// Op returns the operation, ARPRequest or ARPReply or something unknown.
func (h *ARP) Op() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// SenderMAC returns the sender's hardware address.
func (h *ARP) SenderMAC() MAC { return MAC(h[8:14]) }

// SenderIP returns the sender's protocol address; 0.0.0.0 in a probe (RFC 5227
// 1.1).
func (h *ARP) SenderIP() Addr { return AddrFrom4Uint(binary.BigEndian.Uint32(h[14:18])) }

// TargetMAC returns the target's hardware address; without meaning in a
// request.
func (h *ARP) TargetMAC() MAC { return MAC(h[18:24]) }

// TargetIP returns the protocol address that is asked for.
func (h *ARP) TargetIP() Addr { return AddrFrom4Uint(binary.BigEndian.Uint32(h[24:28])) }

// SetOp sets the operation.
func (h *ARP) SetOp(op uint16) { binary.BigEndian.PutUint16(h[6:8], op) }

// ARPFields is what varies in an ARP packet. The addresses are IPv4.
type ARPFields struct {
	Op        uint16
	SenderMAC MAC
	SenderIP  Addr
	TargetMAC MAC // zero in requests and probes
	TargetIP  Addr
}

// Encode fills the whole packet.
func (h *ARP) Encode(f *ARPFields) {
	binary.BigEndian.PutUint64(h[0:8], arpKind<<16|uint64(f.Op))
	*(*MAC)(h[8:14]) = f.SenderMAC
	binary.BigEndian.PutUint32(h[14:18], f.SenderIP.Uint32())
	*(*MAC)(h[18:24]) = f.TargetMAC
	binary.BigEndian.PutUint32(h[24:28], f.TargetIP.Uint32())
}
