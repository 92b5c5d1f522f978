package linux

import (
	"context"
	"net"
	"runtime"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// Run does one trial.
func Run(s *work.Spec) (float64, error) {
	v, err := newVeth(s)
	if err != nil {
		return 0, err
	}
	work.QuietGC()
	switch s.Work {
	case work.NetRR, work.NetBulk:
		return overNet(s, v)
	case work.Idle:
		return idle(s, v)
	}
	do := map[string]func(*work.Spec, []*loop) error{
		work.Bulk: bulk, work.RR: rr, work.CPS: cps, work.UDP: datagrams,
	}[s.Work]
	if do == nil {
		return 0, work.NA("Linux has none")
	}
	cores := s.Cores
	if s.Conns == 1 && s.Work == work.RR {
		cores = cores[:1]
	}
	limit, err := descriptors()
	if err != nil {
		return 0, err
	}
	// Each connection has both its ends in one loop.
	n := max(len(cores), (2*s.Conns+limit-1)/limit)
	// The pinned threads never yield: this goroutine needs a P of its own.
	runtime.GOMAXPROCS(n + 1)
	var stop atomic.Bool
	defer stop.Store(true)
	loops, counts := newLoops(v, cores, n, &stop)
	if err := do(s, loops); err != nil {
		return 0, err
	}
	if s.Work == work.Bulk {
		return s.Gbits(work.Sum(counts))
	}
	return s.Rate(work.Sum(counts))
}

// overNet does the works over the standard library's net.Conn.
func overNet(s *work.Spec, v *veth) (float64, error) {
	var ln net.Listener
	if err := v.server.in(func() (err error) {
		ln, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: serverAddr[:], Port: port})
		return err
	}); err != nil {
		return 0, err
	}
	return work.OverNet(s, ln, func() (c net.Conn, err error) {
		err = v.client.in(func() (err error) {
			var d net.Dialer
			c, err = d.DialContext(context.Background(), "tcp4", ln.Addr().String())
			return err
		})
		return c, err
	})
}
