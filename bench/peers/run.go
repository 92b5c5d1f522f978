package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shardstack/shardstack/bench/peers/report"
	"github.com/shardstack/shardstack/bench/peers/work"
)

// plan says how each row is measured.
type plan struct {
	runs  int
	warm  time.Duration
	time  time.Duration
	cores []int
	log   io.Writer // progress
	trial func(system string, s *work.Spec) (float64, error)
}

// measure gives the row of a case. Systems take turns, run after run. One that
// lacks the work is asked once. The error joins those of trials that failed;
// the row holds the rest.
func (p *plan) measure(c aCase) (report.Row, error) {
	row := report.Row{
		Work: c.name, Conns: c.spec.Conns, MTU: c.spec.MTU, Offload: c.spec.Offload,
		Unit: c.spec.Unit(), Lower: c.spec.Lower(), Cells: make(map[string]report.Cell),
	}
	values := make(map[string][]float64)
	var errs []error
	for run := range p.runs {
		for _, system := range c.systems {
			if row.Cells[system].Why != "" {
				continue
			}
			s := c.spec
			s.Warm, s.Time, s.Cores = p.warm, p.time, p.cores
			v, err := p.trial(system, &s)
			switch {
			case errors.Is(err, work.ErrNA), errors.Is(err, work.ErrMissing):
				row.Cells[system] = report.Cell{Why: err.Error()}
			case err != nil:
				errs = append(errs, fmt.Errorf("%s, %d connections, %s: %w", c.name, c.spec.Conns, system, err))
			default:
				values[system] = append(values[system], v)
			}
			fmt.Fprintf(p.log, "%s/%d run %d %s: %v %s %v\n", c.name, c.spec.Conns, run+1, system, report.Number(v), row.Unit, errText(err))
		}
	}
	for system, vs := range values {
		row.Cells[system] = report.Cell{Median: median(vs), Min: slices.Min(vs), Max: slices.Max(vs)}
	}
	for _, system := range c.systems {
		if _, ok := row.Cells[system]; !ok {
			row.Cells[system] = report.Cell{Why: "failed"}
		}
	}
	return row, errors.Join(errs...)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// median is the middle one, or the mean of the middle two.
func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return (vs[n/2] + vs[(n-1)/2]) / 2
}
