// Package load holds the applications of a traffic generator, as callbacks on
// one stack: servers that echo, discard, exchange or speak HTTP, and clients
// for bulk transfer, request-response, connection rate, connection storms, idle
// connections, UDP, HTTP and ping.
//
// A client or server belongs to its stack's thread: it is made, started,
// polled and read there. Once its connections are open it allocates nothing.
package load

import (
	"net/netip"

	"github.com/HdrHistogram/hdrhistogram-go"
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
	Opened     uint64 // connections established
	Closed     uint64 // connections ended in order
	Failed     uint64 // connections refused, reset, timed out
	Ops        uint64 // transactions, requests, writes, datagrams answered
	Errors     uint64 // wrong answers
	BytesIn    uint64 // application bytes received
	BytesOut   uint64 // application bytes acknowledged, or sent by UDP
	PacketsIn  uint64 // datagrams received
	PacketsOut uint64 // datagrams sent
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
	c.PacketsOut += o.PacketsOut
}

// Client is a load that runs on a stack.
type Client interface {
	// Start begins to open connections.
	Start() error
	// Poll does what is due by the clock (opening, pacing, closing); it
	// returns how much it did. Next is when it wants to be called again,
	// stack.Forever if never.
	Poll(now int64) int
	Next() int64
	// Stop begins no new work; Poll then closes what is open, a few
	// connections at a time.
	Stop()
	// Done reports that there is nothing left to wait for: Config.Count is
	// reached, or no connection could be opened at all.
	Done() bool
	// Counters and Latency (nanoseconds; empty if the client measures none)
	// are live.
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
	// Default 64; bulk 16384; exchange 1 MiB; ping 56.
	Size int
	// Rate bounds operations a second (connections for cps, transactions for
	// rr, writes for bulk, datagrams for UDP, requests for HTTP and ping).
	// 0: no bound; ping then sends when the last answer has come, or is late.
	Rate float64
	// InFlight bounds how many answers may be due at a time (rr), or how many bytes
	// written and not acknowledged, of which there may be a write in any case (bulk);
	// the connections take turns. 0: one answer on each, all that each takes.
	InFlight int
	// Count ends the client after so many operations. 0: never.
	Count uint64
	// Path is what HTTP asks for. Default "/".
	Path string
	// FastOpen sends the request with the SYN (cps; RFC 7413), if the stack's
	// TCP.FastOpen.Connect is set and there is a cookie of the server.
	FastOpen bool
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
