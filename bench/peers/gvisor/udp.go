package gvisor

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// udpBurst is how many datagrams are sent before those that arrived are taken.
const udpBurst = 32

// datagrams sends on one flow a core. The pipe delivers in the sender's
// goroutine, so the same goroutine then empties the receiving socket: nothing
// waits, nothing is lost, no other core is woken.
func datagrams(s *work.Spec, p *pair) (float64, error) {
	got := make([]work.Counter, len(s.Cores))
	for i := range got {
		to := tcpip.FullAddress{NIC: nic, Addr: serverAddr, Port: uint16(port + i)}
		in, err := socket(p.server)
		if err != nil {
			return 0, err
		}
		if err := in.Bind(to); err != nil {
			return 0, failed("Bind", err)
		}
		out, err := socket(p.client)
		if err != nil {
			return 0, err
		}
		if err := out.Connect(to); err != nil {
			return 0, failed("Connect", err)
		}
		go p.flow(s, out, in, &got[i])
	}
	return s.Rate(work.Sum(got))
}

func socket(s *stack.Stack) (tcpip.Endpoint, error) {
	ep, err := s.NewEndpoint(udp.ProtocolNumber, header.IPv4ProtocolNumber, new(waiter.Queue))
	if err != nil {
		return nil, failed("NewEndpoint", err)
	}
	return ep, nil
}

// flow runs until the pair is closed.
func (p *pair) flow(s *work.Spec, out, in tcpip.Endpoint, got *work.Counter) {
	var d discard
	for block := newPayload(s.Size); !p.stopped.Load(); {
		for range udpBurst {
			if _, err := block.write(out); err != nil {
				return
			}
		}
		for {
			_, err := in.Read(&d, tcpip.ReadOptions{})
			if _, ok := err.(*tcpip.ErrWouldBlock); ok {
				break
			}
			if err != nil {
				return
			}
			got.Add(1)
		}
	}
}
