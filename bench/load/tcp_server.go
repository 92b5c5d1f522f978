package load

import (
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Server runs the services of a generator's far end on one stack.
type Server struct {
	s         *stack.Stack
	n         Counters
	listeners []*stack.TCP
	udp       []*stack.UDP
	http      *httpServer
	free      []*exchange
	block     []byte
}

// ServerConfig says what a Server offers.
type ServerConfig struct {
	// Addr to listen on. Default: any.
	Addr netip.Addr
	// Backlog of each listener. Default 4096.
	Backlog int
	// Body is the size of the HTTP answer to "/". Default 64 bytes.
	Body int
	// Ports override the well-known ports; 0 is the well-known one.
	Echo, Discard, Chargen, HTTP, Exchange uint16
}

// NewServer starts all services on s.
func NewServer(s *stack.Stack, cfg ServerConfig) (*Server, error) {
	if cfg.Backlog == 0 {
		cfg.Backlog = 4096
	}
	if cfg.Body == 0 {
		cfg.Body = 64
	}
	sv := &Server{s: s, block: NewPattern(patternSeed)}
	http, err := newHTTPServer(sv, cfg.Body)
	if err != nil {
		return nil, err
	}
	sv.http = http
	for _, l := range []struct {
		port, def uint16
		accept    stack.AcceptFunc
	}{
		{cfg.Echo, PortEcho, sv.acceptEcho},
		{cfg.Discard, PortDiscard, sv.acceptDiscard},
		{cfg.Chargen, PortChargen, sv.acceptChargen},
		{cfg.HTTP, PortHTTP, sv.http.accept},
		{cfg.Exchange, PortExchange, sv.acceptExchange},
	} {
		if l.port == 0 {
			l.port = l.def
		}
		if err := sv.listen(netip.AddrPortFrom(cfg.Addr, l.port), cfg.Backlog, l.accept); err != nil {
			sv.Stop()
			return nil, err
		}
	}
	if err := sv.serveUDP(cfg); err != nil {
		sv.Stop()
		return nil, err
	}
	return sv, nil
}

func (sv *Server) listen(at netip.AddrPort, backlog int, accept stack.AcceptFunc) error {
	l := sv.s.NewTCP()
	if l == nil {
		return stack.ErrMem
	}
	if err := l.Bind(at); err != nil {
		l.Abort()
		return err
	}
	l.SetAccept(accept)
	if err := l.Listen(backlog); err != nil {
		l.Abort()
		return err
	}
	l.SetNoDelay(true)
	sv.listeners = append(sv.listeners, l)
	return nil
}

// Stop closes the listeners and sockets; connections go on until their peers
// end them.
func (sv *Server) Stop() {
	for _, l := range sv.listeners {
		_ = l.Close()
	}
	for _, u := range sv.udp {
		u.Close()
	}
	sv.listeners, sv.udp = nil, nil
	if sv.http != nil {
		sv.http.release()
		sv.http = nil
	}
}

// Counters are the server's.
func (sv *Server) Counters() *Counters { return &sv.n }

// acceptEcho returns what it gets. What does not fit the send buffer is
// refused, so that the peer's window closes.
func (sv *Server) acceptEcho(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	pcb.SetRecv(sv.recvEcho)
	pcb.SetErr(sv.onErr)
	return nil
}

func (sv *Server) recvEcho(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		sv.n.Closed++
		return pcb.Close()
	}
	n := p.TotLen()
	if pcb.SndBuf() < n {
		return stack.ErrMem
	}
	for q := p; q != nil; q = q.Next() {
		if err := pcb.Write(q.Payload(), 0); err != nil {
			return err
		}
	}
	p.Free()
	pcb.Recved(n)
	sv.n.Ops++
	sv.n.BytesIn += uint64(n)
	sv.n.BytesOut += uint64(n)
	return nil
}

func (sv *Server) acceptDiscard(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	pcb.SetRecv(sv.recvDiscard)
	pcb.SetErr(sv.onErr)
	return nil
}

func (sv *Server) recvDiscard(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		sv.n.Closed++
		return pcb.Close()
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	sv.n.BytesIn += uint64(n)
	return nil
}

func (sv *Server) acceptChargen(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	pcb.SetRecv(sv.recvDiscard)
	pcb.SetSent(sv.sendChargen)
	pcb.SetErr(sv.onErr)
	return sv.sendChargen(nil, pcb, 0)
}

// sendChargen keeps the send buffer full of the pattern.
func (sv *Server) sendChargen(_ any, pcb *stack.TCP, n int) error {
	sv.n.BytesOut += uint64(n)
	const chunk = 16 << 10
	for pcb.SndBuf() >= chunk {
		if pcb.Write(sv.block[:chunk], 0) != nil {
			break
		}
	}
	return nil
}

func (sv *Server) onErr(_ any, err error) {
	if err != stack.ErrClosed {
		sv.n.Failed++
	}
}
