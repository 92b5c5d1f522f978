package main

import (
	"io"

	"github.com/shardstack/shardstack/bench/load"
)

// liveLine prints what was done since the last line.
type liveLine struct {
	w           io.Writer
	units       string
	start, last *sample
}

// total adds up the shards of a sample.
func total(shards []shardSample) (n load.Counters, conns, drops uint64) {
	for i := range shards {
		v := &shards[i]
		n.Add(&v.load)
		conns += v.snap.Stack.TCP.CurrEstab
		drops += v.snap.Stack.Dropped()
	}
	return n, conns, drops
}

func (l *liveLine) print(s *sample) {
	now, conns, drops := total(s.shards)
	was, _, dropsBefore := total(l.last.shards)
	per := 1 / max(s.at.Sub(l.last.at).Seconds(), 1e-9)
	say(l.w, "%5.0fs  %s %s/s  out %s  in %s  conns %s  failed %s  drops %s\n",
		s.at.Sub(l.start.at).Seconds(), number(float64(now.Ops-was.Ops)*per), l.units,
		bitRate(float64(now.BytesOut-was.BytesOut)*8*per), bitRate(float64(now.BytesIn-was.BytesIn)*8*per),
		number(conns), number(now.Failed+now.Errors-was.Failed-was.Errors), number(drops-dropsBefore))
	l.last = s
}
