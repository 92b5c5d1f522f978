package load

import (
	"errors"
	"net/netip"
	"time"

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
	freeEcho  []*echoConn
	block     []byte
	cb        serverCallbacks
}

// serverCallbacks are the services' callbacks, made once: a method value
// allocates.
type serverCallbacks struct {
	recvEcho, recvDiscard stack.RecvFunc
	sentEcho, sentChargen stack.SentFunc
	pollEcho, pollChargen stack.PollFunc
	errEcho, err          stack.ErrFunc

	recvExchange stack.RecvFunc
	sentExchange stack.SentFunc
	pollExchange stack.PollFunc
	errExchange  stack.ErrFunc
}

// ServerConfig says what a Server offers. The zero value of each field is its
// documented default.
type ServerConfig struct {
	// Addr to listen on. Default: any.
	Addr netip.Addr
	// Backlog of each listener. Default 4096.
	Backlog int
	// Body is the size of the HTTP answer to "/" in bytes. Default 64.
	Body int
	// Ports override the well-known ports; 0 is the well-known one.
	Echo, Discard, Chargen, HTTP, Exchange uint16
}

// service is one of a server's.
type service struct {
	port, def uint16
	accept    stack.AcceptFunc
}

// retryPoll is how often what lacked a buffer tries again.
const retryPoll = 10 * time.Millisecond

// NewServer starts all services on s.
func NewServer(s *stack.Stack, cfg ServerConfig) (*Server, error) {
	if cfg.Backlog == 0 {
		cfg.Backlog = 4096
	}
	if cfg.Body == 0 {
		cfg.Body = 64
	}
	sv := &Server{s: s, block: NewPattern(PatternSeed)}
	sv.cb = serverCallbacks{
		recvEcho: sv.recvEcho, recvDiscard: sv.recvDiscard, sentEcho: sv.sentEcho,
		pollEcho: sv.pollEcho, sentChargen: sv.sentChargen, pollChargen: sv.pollChargen, errEcho: sv.onErrEcho, err: sv.onErr,
		recvExchange: sv.recvExchange, sentExchange: sv.sentExchange, pollExchange: sv.pollExchange,
		errExchange: sv.errExchange,
	}
	http, err := newHTTPServer(sv, cfg.Body)
	if err != nil {
		return nil, err
	}
	sv.http = http
	for _, l := range []service{
		{cfg.Echo, PortEcho, sv.acceptEcho},
		{cfg.Discard, PortDiscard, sv.acceptDiscard},
		{cfg.Chargen, PortChargen, sv.acceptChargen},
		{cfg.HTTP, PortHTTP, sv.http.accept},
		{cfg.Exchange, PortExchange, sv.acceptExchange},
	} {
		if l.port == 0 {
			l.port = l.def
		}
		if err = sv.listen(netip.AddrPortFrom(cfg.Addr, l.port), cfg.Backlog, l.accept); err != nil {
			break
		}
	}
	if err == nil {
		err = sv.serveUDP(cfg)
	}
	if err != nil {
		sv.Stop()
		return nil, errors.Join(err, sv.Release())
	}
	return sv, nil
}

func (sv *Server) listen(at netip.AddrPort, backlog int, accept stack.AcceptFunc) error {
	l := sv.s.NewTCP()
	if l == nil {
		return stack.ErrMem
	}
	l.SetAccept(accept)
	l.SetNoDelay(true)
	err := l.Bind(at)
	if err == nil {
		err = l.Listen(backlog)
	}
	if err != nil {
		l.Abort()
		return err
	}
	sv.listeners = append(sv.listeners, l)
	return nil
}

// Stop closes the listeners and sockets; connections go on until their peers
// end them.
func (sv *Server) Stop() {
	for _, l := range sv.listeners {
		_ = l.Close() // a listener's never fails
	}
	for _, u := range sv.udp {
		u.Close()
	}
	sv.listeners, sv.udp = nil, nil
}

// Release gives back memory that packets may refer to: call it once, when the
// stack is closed. Any thread may, then.
func (sv *Server) Release() error { return sv.http.region.Close() }

// Counters are the server's.
func (sv *Server) Counters() *Counters { return &sv.n }

func (sv *Server) acceptDiscard(_ any, pcb *stack.TCP, _ error) error {
	sv.n.Opened++
	pcb.SetRecv(sv.cb.recvDiscard)
	pcb.SetErr(sv.cb.err)
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
	pcb.SetRecv(sv.cb.recvDiscard)
	pcb.SetSent(sv.cb.sentChargen)
	pcb.SetErr(sv.cb.err)
	pcb.SetPoll(sv.cb.pollChargen, retryPoll)
	return sv.pollChargen(nil, pcb)
}

func (sv *Server) sentChargen(_ any, pcb *stack.TCP, n int) error {
	sv.n.BytesOut += uint64(n)
	return sv.pollChargen(nil, pcb)
}

// chargenChunk is the bytes of the pattern that chargen sends over and over.
const chargenChunk = 16 << 10

// pollChargen keeps the send buffer full.
func (sv *Server) pollChargen(_ any, pcb *stack.TCP) error {
	for pcb.SndBuf() >= chargenChunk {
		if pcb.Write(sv.block[:chargenChunk], 0) != nil {
			break
		}
	}
	return nil
}

// onErr books a connection that broke; one that ended in order is booked
// before its PCB goes.
func (sv *Server) onErr(_ any, err error) {
	if !errors.Is(err, stack.ErrClosed) {
		sv.n.Failed++
	}
}
