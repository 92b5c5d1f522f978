package offload

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Forward turns what reception left undone in a TCP or UDP packet into orders
// for transmission, so that it can be sent on: the checksum if the field has the
// pseudo-header sum only (RxL4Partial), and cutting it up again if it was joined
// of several (RxLRO). The flags of reception are cleared, but for those of
// pbuf.FlagsUser and above. L2Len has to be set to that of the new link header,
// L3Len and L4Len are those of the packet; whether each of the frames that it
// will be fits an MTU is told by SegNetLen. Only the thread that owns p may call
// it; p stays the caller's.
//
// A packet that is neither is left as it arrived: its checksum is the sender's.
func Forward(p *pbuf.Pbuf, proto header.Protocol) {
	csum, cut := pbuf.TxTCPCsum, pbuf.TxTSO
	if proto == header.ProtoUDP {
		csum, cut = pbuf.TxUDPCsum, pbuf.TxUSO
	}
	orders := p.Flags &^ (pbuf.FlagsUser - 1)
	if p.Flags&pbuf.RxL4Partial != 0 {
		orders |= csum
	}
	if p.Flags&pbuf.RxLRO != 0 {
		orders |= cut
	}
	p.Flags = orders
}
