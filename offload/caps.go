package offload

import "strings"

// Caps is the set of offloads that a port has. The zero value is none: then
// all work is done in software.
type Caps uint32

// What a port may do. For those with Tx in their name, and for TSO, USO and
// VLANInsert, the flag of that name in pbuf.Meta orders it for one packet; the
// others happen on their own.
const (
	TxIPCsum   Caps = 1 << iota // fills the IPv4 header checksum
	TxTCPCsum                   // fills the TCP checksum over a pseudo-header sum
	TxUDPCsum                   // fills the UDP checksum over a pseudo-header sum
	RxCsum                      // says of arriving checksums whether they are right
	TSO4                        // cuts TCP over IPv4 into segments, and fills their checksums
	TSO6                        // cuts TCP over IPv6 into segments, and fills their checksums
	TSOECN                      // cuts TCP so that CWR is on the first segment only (RFC 3168 6.1.2)
	USO                         // cuts UDP into at most MaxUSO datagrams, and fills their checksums
	LRO                         // joins arriving TCP segments
	UDPLRO                      // joins arriving UDP datagrams
	VLANInsert                  // puts a VLAN tag in
	VLANStrip                   // takes the VLAN tag out, into Meta.VLAN
	MultiSeg                    // sends chains of buffers
	RSSHash                     // gives the RSS hash of a packet in Meta.Hash
	RxTime                      // gives the time of arrival in Pbuf.Time
	BigTCP                      // with TSO: takes TCP packets of up to MaxBig bytes

	numCaps = iota
)

// TxCsum is all transmit checksums, TSO all that TCP in big segments asks for.
// Software is what this package does where a port can't: FinishTx, VerifyL4,
// Segmenter and GRO. All is every offload there is.
const (
	TxCsum   = TxIPCsum | TxTCPCsum | TxUDPCsum
	TSO      = TSO4 | TSO6 | TSOECN
	Software = TxCsum | RxCsum | TSO | USO | LRO | UDPLRO
	All      = Caps(1)<<numCaps - 1
)

// Limits of what a port cuts.
const (
	MaxUSO = 64    // datagrams made of one packet (Linux: UDP_MAX_SEGMENTS)
	MaxTSO = 65535 // bytes of an IP packet, IPv6 header not counted
	// MaxBig is MaxTSO with BigTCP, as in Linux (GSO_MAX_SIZE). Packets of more
	// than MaxTSO are jumbograms over IPv6 (RFC 2675), and have a total length of
	// 0 over IPv4; they are cut before they leave the machine.
	MaxBig = 512 << 10
)

var capNames = [numCaps]string{
	"TxIPCsum", "TxTCPCsum", "TxUDPCsum", "RxCsum", "TSO4", "TSO6", "TSOECN",
	"USO", "LRO", "UDPLRO", "VLANInsert", "VLANStrip", "MultiSeg", "RSSHash", "RxTime",
	"BigTCP",
}

// Has reports whether c includes all of want.
func (c Caps) Has(want Caps) bool { return c&want == want }

// MaxSegment is how many bytes of an IP packet, IPv6 header not counted, the port
// cuts: MaxTSO or MaxBig; 0 if it cuts no TCP at all.
func (c Caps) MaxSegment() int {
	switch {
	case c&(TSO4|TSO6) == 0:
		return 0
	case c.Has(BigTCP):
		return MaxBig
	}
	return MaxTSO
}

// String lists the offloads, separated by "|"; "none" for the empty set.
func (c Caps) String() string {
	if c == 0 {
		return "none"
	}
	var names []string
	for i, name := range capNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if c>>numCaps != 0 {
		names = append(names, "unknown")
	}
	return strings.Join(names, "|")
}
