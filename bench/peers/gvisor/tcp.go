package gvisor

import (
	"bytes"
	"io"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	readable = waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr
	writable = waiter.WritableEvents | waiter.EventHUp | waiter.EventErr
	backlog  = 4096
)

// listen opens the server's port and gives each connection that is accepted to
// fn, on one goroutine.
func (p *pair) listen(fn func(ep tcpip.Endpoint, wq *waiter.Queue)) error {
	var wq waiter.Queue
	ep, err := p.server.NewEndpoint(tcp.ProtocolNumber, header.IPv4ProtocolNumber, &wq)
	if err != nil {
		return failed("NewEndpoint", err)
	}
	if err := ep.Bind(serverPort); err != nil {
		return failed("Bind", err)
	}
	if err := ep.Listen(backlog); err != nil {
		return failed("Listen", err)
	}
	entry, ch := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&entry)
	go func() {
		for {
			n, nwq, err := ep.Accept(nil)
			switch err.(type) {
			case nil:
				fn(n, nwq)
			case *tcpip.ErrWouldBlock:
				<-ch
			default:
				return
			}
		}
	}()
	return nil
}

// open makes an endpoint, begins to connect it, and has it served by ready.
func open(s *stack.Stack, l *loop, ready func(*conn)) (*conn, error) {
	wq := new(waiter.Queue)
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, header.IPv4ProtocolNumber, wq)
	if err != nil {
		return nil, failed("NewEndpoint", err)
	}
	c := l.add(ep, wq, readable|writable, ready)
	if err := ep.Connect(serverPort); err != nil {
		if _, ok := err.(*tcpip.ErrConnectStarted); !ok {
			return nil, failed("Connect", err)
		}
	}
	return c, nil
}

// dial connects and waits until the connection stands.
func dial(s *stack.Stack) (tcpip.Endpoint, *waiter.Queue, error) {
	wq := new(waiter.Queue)
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, header.IPv4ProtocolNumber, wq)
	if err != nil {
		return nil, nil, failed("NewEndpoint", err)
	}
	entry, ch := waiter.NewChannelEntry(writable)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if err := ep.Connect(serverPort); err != nil {
		if _, ok := err.(*tcpip.ErrConnectStarted); !ok {
			return nil, nil, failed("Connect", err)
		}
		<-ch
		if err := ep.LastError(); err != nil {
			return nil, nil, failed("Connect", err)
		}
	}
	return ep, wq, nil
}

// discard counts what is written to it; the bytes are not copied.
type discard struct{ n int }

func (d *discard) Write(b []byte) (int, error) {
	d.n += len(b)
	return len(b), nil
}

var _ io.Writer = (*discard)(nil)

// readAll takes what an endpoint has; open is false when the peer has closed
// or the connection is broken.
func readAll(ep tcpip.Endpoint, d *discard) (n int, open bool) {
	for {
		r, err := ep.Read(d, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			n += r.Count
		case *tcpip.ErrWouldBlock:
			return n, true
		default:
			return n, false
		}
	}
}

// payload is what is sent, as gVisor wants it.
type payload struct {
	b []byte
	r bytes.Reader
}

func newPayload(n int) *payload { return &payload{b: make([]byte, n)} }

// write sends the whole block or what the send buffer takes.
func (p *payload) write(ep tcpip.Endpoint) (int64, tcpip.Error) {
	p.r.Reset(p.b)
	return ep.Write(&p.r, tcpip.WriteOptions{})
}
