package gvisor

import (
	"runtime"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// maxConns is where opening connections takes longer than a trial should.
const maxConns = 10000

// Run does one trial.
func Run(s *work.Spec) (float64, error) {
	do := map[string]func(*work.Spec, *pair) (float64, error){
		work.Bulk: bulk, work.RR: rr, work.CPS: cps, work.UDP: datagrams, work.Idle: idle,
		work.NetRR: overNet, work.NetBulk: overNet,
	}[s.Work]
	if do == nil {
		return 0, work.NA("gVisor has none")
	}
	if s.Conns > maxConns {
		return 0, work.NA("not run: opening that many takes gVisor too long")
	}
	// With a single connection, or one at a time, a second P only means that
	// goroutines are woken on the other core: gVisor is faster on one.
	procs := len(s.Cores)
	if s.Conns == 1 && s.Work != work.UDP {
		procs = 1
	}
	runtime.GOMAXPROCS(procs)
	work.QuietGC()
	p, err := newPair(s)
	if err != nil {
		return 0, err
	}
	defer p.close()
	return do(s, p)
}
