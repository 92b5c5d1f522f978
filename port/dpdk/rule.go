package dpdk

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
)

// Rule steers packets to a queue, whatever their hash: control traffic to one
// shard, or an exact flow. A field that is zero matches anything.
type Rule struct {
	// EtherType alone, as header.EtherTypeARP: with nothing else set.
	EtherType header.EtherType
	// Src and Dst are networks or, of full length, hosts, of one family.
	Src, Dst netip.Prefix
	// Proto is TCP or UDP, for the ports.
	Proto            header.Protocol
	SrcPort, DstPort uint16
	// Queue gets the packets.
	Queue int
}

// Validate returns an error that matches port.ErrConfig if r contradicts itself,
// or port.ErrQueue if there is no such queue among so many.
func (r *Rule) Validate(queues int) error {
	bad := func(what string) error { return fmt.Errorf("%w: dpdk: a rule with %s", port.ErrConfig, what) }
	l4 := r.Proto == header.ProtoTCP || r.Proto == header.ProtoUDP
	switch {
	case r.Queue < 0 || r.Queue >= queues:
		return fmt.Errorf("%w: %d of %d", port.ErrQueue, r.Queue, queues)
	case *r == Rule{Queue: r.Queue}:
		return bad("nothing to match")
	case r.EtherType != 0 && *r != Rule{EtherType: r.EtherType, Queue: r.Queue}:
		return bad("an EtherType and more")
	case r.EtherType != 0:
		return nil
	case r.Src.IsValid() && r.Dst.IsValid() && r.Src.Addr().Is4() != r.Dst.Addr().Is4():
		return bad("addresses of two families")
	case !r.Src.IsValid() && !r.Dst.IsValid():
		return bad("no address: which family?")
	case (r.SrcPort != 0 || r.DstPort != 0) && !l4:
		return bad("ports, and neither TCP nor UDP")
	case r.Proto != 0 && !l4:
		return bad("a protocol that is neither TCP nor UDP")
	}
	return nil
}
