package netconn

import (
	"github.com/shardstack/shardstack/pbuf"
)

// message is what the rings carry, in both directions: 32 bytes, so two a cache
// line. Who pops it owns p.
type message struct {
	to   endpoint
	p    *pbuf.Pbuf
	n    uint32
	op   op
	last bool // opWrite: send now; opClose: reset
}

// endpoint is what a message is about: a TCPConn, or a shard's part of a
// Listener or UDPConn. Each has a side of its own for goroutines and for the
// shard.
type endpoint interface {
	// request does what a goroutine asked for, on the shard's thread.
	request(s *side, m *message)
	// event takes in what the shard says, with the lane's lock held. It owns
	// m.p.
	event(l *lane, m *message)
	// wants reports whether somebody sleeps until such an event comes. On the
	// shard's thread, after the event was pushed.
	wants(m *message) bool
}

// op says what a message means.
type op uint8

// Requests.
const (
	opConnect   op = iota // open the connection; p, if not nil, is the first data
	opListen              // open the listener
	opBind                // open the UDP socket
	opWrite               // send p
	opRecved              // the application has taken n bytes; p is read, if not nil
	opAccepted            // the application has the connection
	opCredit              // say what is acknowledged, even if it is little
	opShutdown            // no more data comes: FIN
	opDiscard             // drop what is received from now on
	opClose               // the application is through with it
	opStop                // of the lane: abort everything
	evOpened              // connect, listen or bind has succeeded
	evAccept              // a listener has a new connection
	evData                // p was received; n bytes were acknowledged
	evSent                // n bytes were acknowledged
	evFin                 // the peer has closed its side
	evErr                 // it failed: nothing comes any more
	evPeerError           // UDP: ICMP says that a datagram did not arrive
	evStopped             // of the lane: nothing is left
)
