package gvisor

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// idle gives the memory of one end of a connection: what the heap and the
// stacks grew by for s.Conns of them, both ends counted, the halves being
// alike.
func idle(s *work.Spec, p *pair) (float64, error) {
	var eps, accepted []tcpip.Endpoint
	var n work.Counter
	err := p.listen(func(ep tcpip.Endpoint, _ *waiter.Queue) {
		accepted = append(accepted, ep)
		n.Add(1)
	})
	if err != nil {
		return 0, err
	}
	per, err := work.Grown(2*s.Conns, func() error {
		for range s.Conns {
			ep, _, err := dial(p.client)
			if err != nil {
				return err
			}
			eps = append(eps, ep)
		}
		return work.Until("accept", func() bool { return n.Load() == uint64(s.Conns) })
	})
	for _, ep := range append(eps, accepted...) {
		ep.Abort()
	}
	return per, err
}
