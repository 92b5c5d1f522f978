package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// demoRuns are the generators that the demo runs one after the other.
var demoRuns = []string{"tcp", "rr", "cps", "udp"}

// demoReport is the JSON form of a demo.
type demoReport struct {
	Command string    `json:"command"`
	Seconds float64   `json:"seconds"`
	Runs    []*report `json:"runs"`
}

// runDemo is the command demo: it shares the time among the generators.
func runDemo(ctx context.Context, _ *command, o *options, out *output) error {
	begin := time.Now()
	if o.duration == 0 {
		return usagef("demo needs a --duration")
	}
	d := demoReport{Command: "demo"}
	for i, name := range demoRuns {
		if ctx.Err() != nil {
			break
		}
		c := findCommand(name)
		// A run ends when its share of the time is over, what it takes to set
		// up and to end included.
		end := begin.Add(o.duration * time.Duration(i+1) / time.Duration(len(demoRuns)))
		ro := *o
		ro.conns, ro.size = c.defaults.conns, bytesValue(c.defaults.size)
		ro.duration = max(time.Until(end)-demoOverhead, 10*time.Millisecond)
		if err := ro.checkTarget(c); err != nil {
			return err
		}
		if !o.json {
			say(out.log, "%s: %s\n", name, c.summary)
		}
		r, err := measure(ctx, c, &ro, out)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		d.Runs = append(d.Runs, r)
	}
	d.Seconds = time.Since(begin).Seconds()
	if o.json {
		return writeJSON(out.report, &d)
	}
	return d.text(out.report)
}

// demoOverhead is about what it takes to set a run up and to end it.
const demoOverhead = 100 * time.Millisecond

// text prints one line a run.
func (d *demoReport) text(w io.Writer) error {
	for _, r := range d.Runs {
		line := fmt.Sprintf("%-4s %12s %-15s %12s out  %5.0f ns a packet", r.Command, number(r.Rates.Operations),
			r.Units+"/s", bitRate(r.Rates.BitsOut), r.Rates.CoreNanos)
		if l := r.Latency; l != nil {
			line += fmt.Sprintf("  p50 %s  p99 %s", nanos(l.P50), nanos(l.P99))
		}
		if l := r.Loss; l != nil {
			line += fmt.Sprintf("  received %s/s, lost %.2f %%", number(float64(l.Received)/max(r.Seconds, 1e-9)), l.Share*100)
		}
		if n := r.Totals.Failed + r.Totals.Errors; n != 0 {
			line += fmt.Sprintf("  %s failed", number(n))
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%.1f s in all\n", d.Seconds)
	return err
}
