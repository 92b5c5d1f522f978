package rss

import (
	"errors"
	"fmt"

	"github.com/shardstack/shardstack/header"
)

// Errors of NewSolver. Compare with errors.Is.
var (
	// ErrNoPort: no port of the range brings any flow to the queue.
	ErrNoPort = errors.New("rss: no source port leads to the queue")
	// ErrRange: the port range is empty or contains port 0.
	ErrRange = errors.New("rss: bad port range")
)

// Solver finds source ports for outgoing connections whose incoming frames are
// to arrive on one queue. It is made for a key, a RETA, a queue and a range of
// ports, of some 55 KiB, and never changes: make another when the card's key or
// table does. Any number of threads may use it.
//
// To take ports in the manner of RFC 6056, 3.3.3 (Algorithm 3), start at an
// offset that is a keyed hash of the flow plus a counter, and go on by one,
// round the end, while the port is in use:
//
//	ports := solver.Ports(remote, local, rport)
//	n := ports.Count()
//	start := (siphash(secret, remote, local, rport) + next) % max(n, 1)
//	for i := range n {
//		if port := ports.Port(start + i); free(port) { … }
//	}
//
// which offers each port of the queue once. Reduce start first, as above: the
// sum must not overflow.
type Solver struct {
	hash   *Hasher
	v4, v6 family
}

// NewSolver prepares the ports lo to hi, both included, that lead to a queue.
// It takes about a tenth of a millisecond. ErrRange: lo > hi or lo is 0 (port 0 is
// reserved, RFC 6335, 6). ErrNoPort: no flow whatever can reach the queue,
// because the table does not name it or its entries are out of reach of the
// range. A Solver may still have none for some flows, see Ports.
func NewSolver(h *Hasher, reta RETA, queue, lo, hi uint16) (*Solver, error) {
	if lo == 0 || lo > hi {
		return nil, fmt.Errorf("%w: %d to %d", ErrRange, lo, hi)
	}
	s := &Solver{hash: h}
	c4 := columnsOf(&h.tab[offPort4], &h.tab[offPort4+1], reta.mask())
	c6 := columnsOf(&h.tab[offPort6], &h.tab[offPort6+1], reta.mask())
	s.v4.init(&c4, &reta, queue, lo, hi)
	s.v6.init(&c6, &reta, queue, lo, hi)
	if !s.v4.any() && !s.v6.any() {
		return nil, fmt.Errorf("%w: queue %d, ports %d to %d", ErrNoPort, queue, lo, hi)
	}
	return s, nil
}

// Ports is the set of the ports of a solver for one flow, numbered from 0. It
// is a small value that refers to the solver and comes from Solver.Ports only.
type Ports struct {
	f *family
	c uint32 // hash of the flow with local port 0, low bits
}

// Ports returns the local ports p of the range for which a frame from
// remote:rport to local:p arrives on the solver's queue. The set is empty if
// the key is so poor that no port moves this flow to one of the queue's entries
// (RandomKey makes none such), or the range so short that none happens to.
func (s *Solver) Ports(remote, local header.Addr, rport uint16) Ports {
	p := Ports{f: &s.v6, c: s.hash.HashTuple(remote, local, rport, 0) % MaxRETA}
	if remote.Is4() && local.Is4() {
		p.f = &s.v4
	}
	return p
}

// Count is the number of ports in the set, 0 to 65535.
func (p Ports) Count() uint32 { return p.f.flows[p.c].count }

// Port is port number i mod Count of the set: each i in [0, Count) gives another
// one. It is 0 if the set is empty. Neighbouring numbers give ports near each
// other, in no particular order.
func (p Ports) Port(i uint32) uint16 { return p.f.port(p.c, i) }

// Count is the number of ports for one flow: Ports(…).Count().
func (s *Solver) Count(remote, local header.Addr, rport uint16) uint32 {
	return s.Ports(remote, local, rport).Count()
}

// Port is one port for one flow: Ports(…).Port(i). To try several, take Ports
// once.
func (s *Solver) Port(remote, local header.Addr, rport uint16, i uint32) uint16 {
	return s.Ports(remote, local, rport).Port(i)
}
