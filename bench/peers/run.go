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

// measure gives the rows of cases. These take turns, run after run, so that a machine
// that changes its speed for minutes does so for all rows; within a run systems take
// turns. One that lacks a work is asked once. The error joins those of trials that
// failed; the rows hold the rest.
func (p *plan) measure(cs []aCase) ([]report.Row, error) {
	values := make([]map[string][]float64, len(cs))
	rows := make([]report.Row, len(cs))
	for i, c := range cs {
		values[i] = make(map[string][]float64)
		rows[i] = report.Row{
			Work: c.name, Conns: c.spec.Conns, MTU: c.spec.MTU, Offload: c.spec.Offload,
			Unit: c.spec.Unit(), Lower: c.spec.Lower(), Cells: make(map[string]report.Cell),
		}
	}
	var errs []error
	for run := range p.runs {
		for i, c := range cs {
			errs = append(errs, p.measureOnce(c, run, &rows[i], values[i]))
		}
	}
	for i, c := range cs {
		for system, vs := range values[i] {
			rows[i].Cells[system] = report.Cell{Median: median(vs), Min: slices.Min(vs), Max: slices.Max(vs)}
		}
		for _, system := range c.systems {
			if _, ok := rows[i].Cells[system]; !ok {
				rows[i].Cells[system] = report.Cell{Why: "failed"}
			}
		}
	}
	return rows, errors.Join(errs...)
}

// measureOnce adds a run's figures to values, by system; row is told who lacks the work.
func (p *plan) measureOnce(c aCase, run int, row *report.Row, values map[string][]float64) error {
	var errs []error
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
	return errors.Join(errs...)
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
