// Package gvisor does the works on gVisor's netstack: two stacks in one
// process, joined by its own in-memory pipe, driven through tcpip.Endpoint
// with waiter callbacks, or, for the works over net.Conn, through gonet.
package gvisor

import (
	"fmt"
	"time"

	"go.uber.org/atomic"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/shardstack/shardstack/bench/peers/work"
)

const (
	nic  = tcpip.NICID(1)
	port = 7
	// bufSize is that of TCP's send and receive buffers.
	bufSize = 2 << 20
	// gsoMax is the largest segment with offload.
	gsoMax = 64 << 10
)

var (
	clientAddr = tcpip.AddrFrom4([4]byte{198, 18, 0, 1})
	serverAddr = tcpip.AddrFrom4([4]byte{198, 19, 0, 1})
	serverPort = tcpip.FullAddress{NIC: nic, Addr: serverAddr, Port: port}
)

// wire is one end of a pipe that can be told to carry segments whole and to be
// trusted with checksums.
type wire struct {
	*pipe.Endpoint
	offload bool
}

func (w *wire) Capabilities() stack.LinkEndpointCapabilities {
	if !w.offload {
		return 0
	}
	return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
}

// GSOMaxSize and SupportedGSO make wire a stack.GSOEndpoint.
func (w *wire) GSOMaxSize() uint32 { return gsoMax }

func (w *wire) SupportedGSO() stack.SupportedGSO {
	if !w.offload {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// pair is two stacks and the wire between them.
type pair struct {
	client, server *stack.Stack
	stopped        atomic.Bool // the loads are to end
}

func newPair(s *work.Spec) (*pair, error) {
	a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", uint32(s.MTU))
	c, err := newStack(&wire{a, s.Offload}, clientAddr)
	if err != nil {
		return nil, err
	}
	sv, err := newStack(&wire{b, s.Offload}, serverAddr)
	if err != nil {
		return nil, err
	}
	return &pair{client: c, server: sv}, nil
}

func newStack(link stack.LinkEndpoint, addr tcpip.Address) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack, moderate, delay := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(false), tcpip.TCPDelayEnabled(false)
	// Ports are free again at once, as in a generator.
	timeWait, reuse := tcpip.TCPTimeWaitTimeoutOption(time.Millisecond), tcpip.TCPTimeWaitReuseOption(tcpip.TCPTimeWaitReuseGlobal)
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: bufSize, Max: 2 * bufSize}
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: bufSize, Max: 2 * bufSize}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &delay, &timeWait, &reuse, &snd, &rcv} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return nil, failed("option %T", err, o)
		}
	}
	if err := s.SetPortRange(1024, 65535); err != nil {
		return nil, failed("port range", err)
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return nil, failed("CreateNIC", err)
	}
	pa := tcpip.ProtocolAddress{Protocol: header.IPv4ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: 15}}
	if err := s.AddProtocolAddress(nic, pa, stack.AddressProperties{}); err != nil {
		return nil, failed("AddProtocolAddress", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s, nil
}

// close stops the loads and then both stacks. It doesn't wait for connections
// to end: a trial has its own process.
func (p *pair) close() {
	p.stopped.Store(true)
	p.client.Close()
	p.server.Close()
}

// failed makes an error of gVisor's, which is not one of Go's.
func failed(format string, err tcpip.Error, args ...any) error {
	return fmt.Errorf("gvisor: "+format+": %s", append(args, err)...)
}
