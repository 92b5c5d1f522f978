package main

import (
	"encoding/json"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// report is what came of a run. Its JSON form is the interface for scripts:
// names stay, new ones may come.
type report struct {
	Command string  `json:"command"`
	Port    string  `json:"port"`
	To      string  `json:"to,omitempty"`
	Conns   int     `json:"conns,omitempty"`
	Size    int64   `json:"size,omitempty"` // bytes
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"` // measured
	Units   string  `json:"units"`   // what an operation is

	Totals   totals        `json:"totals"`
	Rates    rates         `json:"rates"`
	Latency  *latency      `json:"latency_ns,omitempty"`
	Loss     *loss         `json:"loss,omitempty"`
	Shards   []shardReport `json:"shards"`
	TCP      tcpReport     `json:"tcp"`
	Device   deviceReport  `json:"device"`
	Drops    drops         `json:"drops"` // by reason, non-zero ones
	Server   *serverReport `json:"server,omitempty"`
	Problems []string      `json:"problems,omitempty"`
}

// totals count what the applications did.
type totals struct {
	Operations uint64 `json:"operations"`
	Opened     uint64 `json:"opened"` // connections established
	Closed     uint64 `json:"closed"` // ended in order
	Failed     uint64 `json:"failed"` // refused, reset, timed out
	Errors     uint64 `json:"errors"` // wrong answers
	BytesOut   uint64 `json:"bytes_out"`
	BytesIn    uint64 `json:"bytes_in"`
	PacketsOut uint64 `json:"packets_out"` // frames
	PacketsIn  uint64 `json:"packets_in"`
}

// rates are totals a second.
type rates struct {
	Operations float64 `json:"operations_per_s"`
	BitsOut    float64 `json:"bits_out_per_s"` // of application data
	BitsIn     float64 `json:"bits_in_per_s"`
	PacketsOut float64 `json:"packets_out_per_s"`
	PacketsIn  float64 `json:"packets_in_per_s"`
	// CoreNanos is the time that the shards worked, over all of them, for each
	// packet in or out.
	CoreNanos float64 `json:"core_ns_per_packet"`
}

// latency is the distribution of an operation's time, in nanoseconds.
type latency struct {
	Samples int64   `json:"samples"`
	Min     int64   `json:"min"`
	Mean    float64 `json:"mean"`
	P50     int64   `json:"p50"`
	P90     int64   `json:"p90"`
	P99     int64   `json:"p99"`
	P999    int64   `json:"p99_9"`
	Max     int64   `json:"max"`
}

// loss is what became of the datagrams.
type loss struct {
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Lost     uint64  `json:"lost"`
	Share    float64 `json:"share"`
	At       string  `json:"received_at"` // "server" or "client" (returned)
}

// shardReport is one shard's part.
type shardReport struct {
	Shard     int     `json:"shard"`
	Core      int     `json:"core"` // -1: not pinned
	Totals    totals  `json:"totals"`
	BusyShare float64 `json:"busy_share"` // of the time, with work to do
	HandedOut uint64  `json:"handed_out"` // packets given to other shards
	HandedIn  uint64  `json:"handed_in"`
	MaxGap    uint64  `json:"max_gap_ns"` // longest time between two polls
}

// tcpReport are the counters that tell a clean run from another.
type tcpReport struct {
	Retransmits     uint64 `json:"retransmits"`
	FastRetransmits uint64 `json:"fast_retransmits"`
	Timeouts        uint64 `json:"timeouts"`
	LossProbes      uint64 `json:"loss_probes"` // segments sent again when ACKs were late (RFC 8985 7)
	OutOfOrder      uint64 `json:"out_of_order"`
	Duplicates      uint64 `json:"duplicates"`
	ResetsSent      uint64 `json:"resets_sent"`
	BadSegments     uint64 `json:"bad_segments"`
	FastOpens       uint64 `json:"fast_opens"` // connections that began with data in the SYN
}

// deviceReport are the port's own losses.
type deviceReport struct {
	RxMissed  uint64 `json:"rx_missed"` // no buffer posted
	RxErrors  uint64 `json:"rx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
	TxErrors  uint64 `json:"tx_errors"`
}

// serverReport is the far end, where it is ours.
type serverReport struct {
	Shards []shardReport `json:"shards"`
	Totals totals        `json:"totals"`
	Drops  drops         `json:"drops"`
	TCP    tcpReport     `json:"tcp"`
	Device deviceReport  `json:"device"`
}

// drops are packets that went nowhere, by reason.
type drops map[string]uint64

// dropsOf collects those of the stacks and those between shards.
func dropsOf(s *shard.Snapshot) drops {
	d := drops{}
	for r, n := range s.Stack.Drops {
		d[stack.DropReason(r).String()] = n
	}
	d["mesh_full"], d["mesh_no_buf"], d["relay_full"] = s.Loop.MeshFull, s.Loop.MeshNoBuf, s.Loop.RelayFull
	for reason, n := range d {
		if n == 0 {
			delete(d, reason)
		}
	}
	return d
}

func tcpOf(s *stack.Stats) tcpReport {
	t := &s.TCP
	return tcpReport{
		Retransmits: t.RetransSegs, FastRetransmits: t.FastRetransmits, Timeouts: t.Timeouts, LossProbes: t.LossProbes,
		OutOfOrder: t.OutOfOrderIn, Duplicates: t.DupSegsIn, ResetsSent: t.OutRsts, BadSegments: t.InErrs,
		FastOpens: t.FastOpenActive + t.FastOpenPassive,
	}
}

func deviceOf(list []port.Stats) (d deviceReport) {
	for _, p := range list {
		d.RxMissed += p.RxMissed
		d.RxErrors += p.RxErrors
		d.TxDropped += p.TxDropped
		d.TxErrors += p.TxErrors
	}
	return d
}

// since is what was lost after o was counted.
func (d deviceReport) since(o deviceReport) deviceReport {
	return deviceReport{d.RxMissed - o.RxMissed, d.RxErrors - o.RxErrors, d.TxDropped - o.TxDropped, d.TxErrors - o.TxErrors}
}

func totalsOf(n *load.Counters, s *stack.Stats) totals {
	return totals{
		Operations: n.Ops, Opened: n.Opened, Closed: n.Closed, Failed: n.Failed, Errors: n.Errors,
		BytesOut: n.BytesOut, BytesIn: n.BytesIn,
		PacketsOut: s.Link.OutFrames, PacketsIn: s.Link.InFrames,
	}
}

// latencyOf reads a histogram; nil if it is empty.
func latencyOf(h *hdrhistogram.Histogram) *latency {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	return &latency{
		Samples: h.TotalCount(), Min: h.Min(), Mean: h.Mean(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90),
		P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
	}
}

// lossOf is what is missing of sent packets.
func lossOf(sent, received uint64, at string) *loss {
	l := &loss{Sent: sent, Received: received, At: at}
	if sent > received {
		l.Lost = sent - received
		l.Share = float64(l.Lost) / float64(sent)
	}
	return l
}

// rate fills in the rates.
func (r *report) rate(busyNanos uint64) {
	if r.Seconds <= 0 {
		return
	}
	t, per := &r.Totals, 1/r.Seconds
	r.Rates = rates{
		Operations: float64(t.Operations) * per,
		BitsOut:    float64(t.BytesOut) * 8 * per, BitsIn: float64(t.BytesIn) * 8 * per,
		PacketsOut: float64(t.PacketsOut) * per, PacketsIn: float64(t.PacketsIn) * per,
	}
	if n := t.PacketsIn + t.PacketsOut; n != 0 {
		r.Rates.CoreNanos = float64(busyNanos) / float64(n)
	}
}

// addShards fills in the shards and the totals of what was done between two
// samples. It returns the time that the shards worked.
func (r *report) addShards(first, last []shardSample, cores []int) (busyNanos uint64) {
	for i := range last {
		a, b := &first[i], &last[i]
		t := totalsOf(&b.load, &b.snap.Stack)
		t.subtract(totalsOf(&a.load, &a.snap.Stack))
		busy := b.snap.Loop.BusyNanos - a.snap.Loop.BusyNanos
		busyNanos += busy
		r.Totals.add(t)
		r.Shards = append(r.Shards, shardReport{
			Shard: i, Core: cores[i], Totals: t,
			BusyShare: min(1, float64(busy)/max(r.Seconds*1e9, 1)),
			HandedOut: b.snap.Loop.HandedOut - a.snap.Loop.HandedOut,
			HandedIn:  b.snap.Loop.HandedIn - a.snap.Loop.HandedIn,
			MaxGap:    b.snap.Loop.MaxGapNanos,
		})
	}
	return busyNanos
}

// words are t's fields, for sums.
func (t *totals) words() [9]*uint64 {
	return [...]*uint64{&t.Operations, &t.Opened, &t.Closed, &t.Failed, &t.Errors,
		&t.BytesOut, &t.BytesIn, &t.PacketsOut, &t.PacketsIn}
}

func (t *totals) add(o totals) {
	from := o.words()
	for i, w := range t.words() {
		*w += *from[i]
	}
}

func (t *totals) subtract(o totals) {
	from := o.words()
	for i, w := range t.words() {
		*w -= *from[i]
	}
}

// writeJSON prints v as one line.
func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
