// Package load holds the applications of a traffic generator, as callbacks on
// one stack: servers that echo, discard, exchange or speak HTTP, and clients
// for bulk transfer, request-response, connection rate, UDP, HTTP and ping.
//
// A client or server belongs to its stack's thread: it is made, started,
// polled and read there. Once its connections are open it allocates nothing.
package load

import (
	"net/netip"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/shardstack/shardstack/stack"
)

// Well-known ports of Server's services.
const (
	PortEcho     = 7  // returns what it gets (RFC 862)
	PortDiscard  = 9  // takes all it gets (RFC 863)
	PortChargen  = 19 // sends without end (RFC 864)
	PortHTTP     = 80
	PortExchange = 5201 // both ways at once, with hashes
)

// Counters are what a client or server has done. They only grow.
type Counters struct {
	Opened    uint64 // connections established
	Closed    uint64 // connections ended in order
	Failed    uint64 // connections refused, reset, timed out
	Ops       uint64 // transactions, requests, datagrams answered
	Errors    uint64 // wrong answers
	BytesIn   uint64 // application bytes received
	BytesOut  uint64 // application bytes acknowledged, or sent by UDP
	PacketsIn uint64 // datagrams received
	PacketOut uint64 // datagrams sent
}

// Add adds o to c.
func (c *Counters) Add(o *Counters) {
	c.Opened += o.Opened
	c.Closed += o.Closed
	c.Failed += o.Failed
	c.Ops += o.Ops
	c.Errors += o.Errors
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.PacketsIn += o.PacketsIn
	c.PacketOut += o.PacketOut
}

// Client is a load that runs on a stack.
type Client interface {
	// Start opens the first connections.
	Start() error
	// Poll does what is due by the clock (pacing, ping); it returns how much
	// it did. Next is when it wants to be called again, stack.Forever if
	// never.
	Poll(now int64) int
	Next() int64
	// Stop begins no new work and closes what is open.
	Stop()
	// Counters and Latency (nanoseconds; nil if the client has none) are live.
	Counters() *Counters
	Latency() *hdrhistogram.Histogram
	// Err is the first error that a connection met, nil if none.
	Err() error
}

// Config says what a client does. The zero value of each field but To is its
// documented default.
type Config struct {
	// To is the server.
	To netip.AddrPort
	// From are the local addresses to use in turn. Default: the stack's choice.
	From []netip.Addr
	// Conns is how many connections, or UDP flows, run at a time. Default 1.
	Conns int
	// Size is the bytes of a request and its answer, a write, or a datagram.
	// Default 64; bulk 16384.
	Size int
	// Rate bounds operations a second (connections for cps, transactions for
	// rr, datagrams for UDP, requests for HTTP and ping). 0: no bound.
	Rate float64
	// Count ends the client after so many operations. 0: never.
	Count uint64
	// Path is what HTTP asks for. Default "/".
	Path string
}

func (c *Config) setDefaults(size int) {
	if c.Conns <= 0 {
		c.Conns = 1
	}
	if c.Size <= 0 {
		c.Size = size
	}
	if c.Path == "" {
		c.Path = "/"
	}
}

// base is what all clients share.
type base struct {
	s       *stack.Stack
	cfg     Config
	n       Counters
	lat     *hdrhistogram.Histogram
	err     error
	stopped bool
	next    int // of cfg.From
	pace    pacer
}

func newBase(s *stack.Stack, cfg Config) base {
	return base{s: s, cfg: cfg, lat: newHistogram(), pace: pacer{rate: cfg.Rate}}
}

// newHistogram counts from 100 ns to 100 s with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(100, 100_000_000_000, 3) }

func (b *base) Counters() *Counters              { return &b.n }
func (b *base) Latency() *hdrhistogram.Histogram { return b.lat }
func (b *base) Err() error                       { return b.err }
func (b *base) Poll(int64) int                   { return 0 }
func (b *base) Next() int64                      { return stack.Forever }

// fail counts a connection that ended badly.
func (b *base) fail(err error) {
	b.n.Failed++
	if b.err == nil {
		b.err = err
	}
}

// done reports whether nothing new is to be begun.
func (b *base) done() bool { return b.stopped || b.cfg.Count != 0 && b.n.Ops >= b.cfg.Count }

func (b *base) record(ns int64) {
	if ns < 1 {
		ns = 1
	}
	_ = b.lat.RecordValue(min(ns, 100_000_000_000))
}

// newPCB makes a PCB, bound to the next local address if there are several.
func (b *base) newPCB() (*stack.TCP, error) {
	pcb := b.s.NewTCP()
	if pcb == nil {
		return nil, stack.ErrMem
	}
	if len(b.cfg.From) != 0 {
		from := b.cfg.From[b.next%len(b.cfg.From)]
		b.next++
		if err := pcb.Bind(netip.AddrPortFrom(from, 0)); err != nil {
			pcb.Abort()
			return nil, err
		}
	}
	return pcb, nil
}

// pacer spreads operations evenly over time; a zero rate lets all through.
type pacer struct {
	rate float64 // a second
	due  int64
}

// burst bounds how far a pacer may fall behind and catch up.
const pacerBurst = 10_000_000 // ns

// take reports whether an operation may begin now, and books it.
func (p *pacer) take(now int64) bool {
	if p.rate <= 0 {
		return true
	}
	if now < p.due {
		return false
	}
	if p.due < now-pacerBurst {
		p.due = now - pacerBurst
	}
	p.due += int64(1e9 / p.rate)
	return true
}
