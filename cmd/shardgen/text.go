package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// bitRate writes a rate in bit/s with three digits or so.
func bitRate(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%.2f Gbit/s", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.2f kbit/s", v/1e3)
	}
	return fmt.Sprintf("%.0f bit/s", v)
}

// octets writes a number of bytes.
func octets(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.2f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// number writes a count or rate so that it can be read: 1,234,567.
func number[T uint64 | int64 | float64](v T) string {
	if v < 100 && v != T(int64(v)) {
		return fmt.Sprintf("%.1f", float64(v))
	}
	s := fmt.Sprintf("%.0f", float64(v))
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// nanos writes a time of v nanoseconds with its unit.
func nanos[T int64 | uint64 | float64](v T) string {
	d := time.Duration(v)
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f µs", float64(d)/1e3)
}

// text prints the report for people.
func (r *report) text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %.1f s, %d shard(s) on %s", r.Command, r.Seconds, len(r.Shards), r.Port)
	if r.To != "" {
		fmt.Fprintf(&b, " to %s", r.To)
	}
	fmt.Fprintf(&b, ", seed %d\n", r.Seed)
	r.summary(&b)
	r.table(&b)
	if s := r.Server; s != nil {
		fmt.Fprintf(&b, "  server        %s operations, %s in, %s out, %s failed, %d shard(s)\n",
			number(s.Totals.Operations), octets(s.Totals.BytesIn), octets(s.Totals.BytesOut),
			number(s.Totals.Failed), len(s.Shards))
		s.TCP.text(&b, "  server's tcp ")
		s.Drops.text(&b, "  server's drops")
		s.Device.text(&b, "  server's device")
	}
	r.TCP.text(&b, "  tcp          ")
	r.Drops.text(&b, "  drops        ")
	r.Device.text(&b, "  device       ")
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "  problem       %s\n", p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// summary is the totals.
func (r *report) summary(b *strings.Builder) {
	t, per := &r.Totals, &r.Rates
	fmt.Fprintf(b, "  %-13s %s, %s a second\n", r.Units, number(t.Operations), number(per.Operations))
	fmt.Fprintf(b, "  data          out %s, %s; in %s, %s\n", octets(t.BytesOut), bitRate(per.BitsOut), octets(t.BytesIn), bitRate(per.BitsIn))
	fmt.Fprintf(b, "  packets       out %s, %s a second; in %s, %s a second; %.0f ns of a core each\n",
		number(t.PacketsOut), number(per.PacketsOut), number(t.PacketsIn), number(per.PacketsIn), per.CoreNanos)
	if t.Opened+t.Failed+t.Errors != 0 && r.Loss == nil {
		fmt.Fprintf(b, "  connections   %s opened, %s closed, %s failed; %s errors\n",
			number(t.Opened), number(t.Closed), number(t.Failed), number(t.Errors))
	}
	if l := r.Latency; l != nil {
		fmt.Fprintf(b, "  latency       p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n",
			nanos(l.P50), nanos(l.P90), nanos(l.P99), nanos(l.P999), nanos(l.Max))
	}
	if l := r.Loss; l != nil {
		fmt.Fprintf(b, "  loss          %s of %s sent (%.3f %%), counted at the %s\n", number(l.Lost), number(l.Sent), l.Share*100, l.At)
	}
}

// table is one line a shard.
func (r *report) table(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	say(w, "  shard\tcore\t%s/s\tout\tin\tpackets/s\tfailed\tbusy\thanded over\tlongest gap\t\n", r.Units)
	per := 1 / max(r.Seconds, 1e-9)
	for _, s := range r.Shards {
		t := &s.Totals
		say(w, "  %d\t%d\t%s\t%s\t%s\t%s\t%s\t%.0f %%\t%s\t%s\t\n", s.Shard, s.Core, number(float64(t.Operations)*per),
			bitRate(float64(t.BytesOut)*8*per), bitRate(float64(t.BytesIn)*8*per), number(float64(t.PacketsIn+t.PacketsOut)*per),
			number(t.Failed), s.BusyShare*100, number(s.HandedOut), nanos(s.MaxGap))
	}
	_ = w.Flush() // to memory
}

// text prints the reasons, the greatest first; nothing if there is none.
func (d drops) text(b *strings.Builder, title string) {
	if len(d) == 0 {
		return
	}
	names := make([]string, 0, len(d))
	for name := range d {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if d[names[i]] != d[names[j]] {
			return d[names[i]] > d[names[j]]
		}
		return names[i] < names[j]
	})
	b.WriteString(title)
	for _, name := range names {
		fmt.Fprintf(b, " %s %s", name, number(d[name]))
	}
	b.WriteByte('\n')
}

// text prints the counters that are not zero; nothing if there is none.
func (t *tcpReport) text(b *strings.Builder, title string) {
	counters{
		{"retransmits", t.Retransmits}, {"fast retransmits", t.FastRetransmits}, {"timeouts", t.Timeouts},
		{"loss probes", t.LossProbes}, {"out of order", t.OutOfOrder}, {"duplicates", t.Duplicates}, {"resets sent", t.ResetsSent},
		{"bad segments", t.BadSegments}, {"fast opens", t.FastOpens},
	}.text(b, title)
}

func (d *deviceReport) text(b *strings.Builder, title string) {
	counters{
		{"received without a buffer", d.RxMissed}, {"receive errors", d.RxErrors},
		{"send drops", d.TxDropped}, {"send errors", d.TxErrors},
	}.text(b, title)
}

// counters are named numbers.
type counters []struct {
	name string
	n    uint64
}

func (c counters) text(b *strings.Builder, title string) {
	sep := title + " "
	for _, x := range c {
		if x.n != 0 {
			fmt.Fprintf(b, "%s%s %s", sep, number(x.n), x.name)
			sep = ", "
		}
	}
	if sep == ", " {
		b.WriteByte('\n')
	}
}
