package pbuf

import "strings"

// Meta is what driver and stack tell each other about a packet. It belongs to
// the buffer it is in; the one that counts is that of a packet's first buffer.
// A new buffer made from another one (Clone, Coalesce, Split) gets a copy.
type Meta struct {
	Hash    uint32 // RSS hash as the NIC computed it, valid with RxHash; or see TxDataSum
	Flags   Flags  // what the other fields and the checksums are good for
	SegSize uint16 // payload bytes a segment: TxTSO, TxUSO asked for, RxLRO found
	VLAN    uint16 // tag control information, valid with RxVLAN or TxVLAN
	L2Len   uint8  // bytes of link header in front of the network header
	L3Len   uint8  // bytes of network header, options included
	L4Len   uint8  // bytes of transport header, options included
	Netif   uint8  // index of the interface it came from or goes to
}

// Flags are the offload and receive flags of a packet. Those from FlagsUser up
// are never set or read by drivers: they are the stack's.
type Flags uint32

// Receive flags are set by the driver or by package offload, Tx flags by the
// stack as orders that driver or package offload carry out.
const (
	RxHash        Flags = 1 << iota // Meta.Hash is valid
	RxTime                          // Pbuf.Time is valid
	RxVLAN                          // Meta.VLAN was stripped from the frame
	RxIPCsumGood                    // IPv4 header checksum verified
	RxIPCsumBad                     // IPv4 header checksum found wrong
	RxL4CsumGood                    // TCP or UDP checksum verified
	RxL4CsumBad                     // TCP or UDP checksum found wrong
	RxLRO                           // several segments of SegSize bytes in one
	TxIPCsum                        // fill the IPv4 header checksum
	TxTCPCsum                       // fill the TCP checksum
	TxUDPCsum                       // fill the UDP checksum
	TxTSO                           // cut into TCP segments of SegSize bytes
	TxUSO                           // cut into UDP datagrams of SegSize bytes
	TxVLAN                          // insert Meta.VLAN
	LinkBroadcast                   // sent to the link-level broadcast address
	LinkMulticast                   // sent to a link-level group
	RxL4Partial                     // with RxL4CsumGood: the field has the pseudo-header sum only
	TxDataSum                       // Hash has a sum of data, see SetDataSum
	FlagsUser     Flags = 1 << 24   // first of eight bits free for the stack
)

var flagNames = [...]string{
	"RxHash", "RxTime", "RxVLAN", "RxIPCsumGood", "RxIPCsumBad", "RxL4CsumGood",
	"RxL4CsumBad", "RxLRO", "TxIPCsum", "TxTCPCsum", "TxUDPCsum", "TxTSO",
	"TxUSO", "TxVLAN", "LinkBroadcast", "LinkMulticast", "RxL4Partial", "TxDataSum",
}

// String lists the named flags that are set, separated by "|".
func (f Flags) String() string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}
