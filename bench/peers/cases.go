package main

import (
	"errors"

	"github.com/shardstack/shardstack/bench/peers/dpdkring"
	"github.com/shardstack/shardstack/bench/peers/gvisor"
	"github.com/shardstack/shardstack/bench/peers/linux"
	"github.com/shardstack/shardstack/bench/peers/lwip"
	"github.com/shardstack/shardstack/bench/peers/report"
	"github.com/shardstack/shardstack/bench/peers/self"
	"github.com/shardstack/shardstack/bench/peers/work"
)

// systems are what trials run on, by name.
var systems = map[string]func(*work.Spec) (float64, error){
	report.GVisor:  gvisor.Run,
	report.Linux:   linux.Run,
	report.LwIP:    lwip.Run,
	report.RteRing: dpdkring.Run,
	report.SelfOne: self.RunOne,
	report.Self:    self.Run,
}

// Groups of systems that a work is done on.
var (
	stacks = []string{report.GVisor, report.Linux, report.LwIP, report.SelfOne, report.Self}
	large  = []string{report.GVisor, report.Linux, report.Self}
	rings  = []string{report.RteRing, report.Self}
	own    = []string{report.SelfOne, report.Self}
)

// aCase is a row of the table.
type aCase struct {
	name    string
	spec    work.Spec
	systems []string
}

// cases are all rows.
func cases() (cs []aCase) {
	add := func(name string, s work.Spec, on []string) {
		if s.MTU == 0 && s.Work != work.Ring {
			s.MTU = 1500
		}
		cs = append(cs, aCase{name, s, on})
	}
	for _, offload := range []bool{false, true} {
		for _, n := range []int{1, 16, 1000} {
			add("bulk", work.Spec{Work: work.Bulk, Conns: n, Offload: offload}, stacks)
		}
	}
	for _, n := range []int{1, 16, 1000} {
		add("bulk-gso", work.Spec{Work: work.BulkGSO, Conns: n}, own)
	}
	for _, n := range []int{1, 64, 1000, 10000, 100000} {
		add("rr", work.Spec{Work: work.RR, Conns: n, Size: 64}, stacks)
	}
	add("cps", work.Spec{Work: work.CPS, Conns: 64, Size: 64}, stacks)
	add("udp-64", work.Spec{Work: work.UDP, Conns: 1, Size: 64}, stacks)
	add("udp-1400", work.Spec{Work: work.UDP, Conns: 1, Size: 1400}, stacks)
	add("idle", work.Spec{Work: work.Idle, Conns: 10000, Size: 64}, append([]string{report.LwIP}, large...))
	for _, n := range []int{1, 64} {
		add("net-rr", work.Spec{Work: work.NetRR, Conns: n, Size: 64}, large)
	}
	for _, n := range []int{1, 16} {
		add("net-bulk", work.Spec{Work: work.NetBulk, Conns: n}, large)
	}
	add("ring-32", work.Spec{Work: work.Ring, Conns: 1, Size: 32}, rings)
	return cs
}

// runTrial does one trial in this process.
func runTrial(system string, s *work.Spec) (float64, error) {
	run := systems[system]
	if run == nil {
		return 0, errors.New("no system " + system)
	}
	return run(s)
}
