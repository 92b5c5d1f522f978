package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shardstack/shardstack/stack"
)

// Options say how a script is run. The zero value runs it as packetdrill
// does, but for what stacks differ in by right: PSH, order and padding of options.
type Options struct {
	// Strict also compares the PSH flag, the echo replies of timestamps, packets
	// that were sent and not spoken of until the script ends, and times to 2 ms
	// unless the script says otherwise (packetdrill: 4 ms, or an eighth of the
	// time since the previous event).
	Strict bool
	// IPVersion is "ipv4", "ipv4-mapped-ipv6" or "ipv6" for scripts that do not
	// say it; "" is "ipv4".
	IPVersion string
	// Config is what the stack is made with, before the script's own settings;
	// Pool and Seed are the runner's.
	Config stack.Config
	// Options are --name=value settings that go before the script's own.
	Options []Option
}

// Result is what a run that went as expected has to tell.
type Result struct {
	// Warnings are command lines and settings that have no meaning here and
	// were left out.
	Warnings []string
	// Output is what print wrote.
	Output []string
	// Trace is every packet, both ways, in live numbers, with its time.
	Trace []string
	// Elapsed is how long the script took in simulated time, in ns.
	Elapsed int64
}

// startTime is when a script's clock starts, in ns: 0 would mean "off" to the
// stack.
const startTime = int64(3600e9)

// runner runs one script once.
type runner struct {
	s   *Script
	opt Options
	cfg config
	res Result

	w           *world
	now         int64 // simulated time, ns
	scriptStart int64
	lastTime    int64 // when the previous event was to happen
	event       *Event

	conns   []*conn
	cur     *conn // the one that packets without ports belong to
	queue   []*frame
	fds     map[int64]*sock
	nextRem uint16
	pending *pendingCall
	wake    int64 // when it gives up, if it does
	vars    map[string]value
	badWire string            // what was wrong with a frame of the stack
	tfo     int64             // net.ipv4.tcp_fastopen
	cookies map[string]string // Fast Open cookies: script's → live
}

// Run runs the script. An error is of type *Error; it matches ErrMismatch if the
// stack did not do what the script says, ErrUnsupported if the script wants
// what is not there. The result is of use in any case.
func (s *Script) Run(opt Options) (*Result, error) {
	r := &runner{s: s, opt: opt, fds: map[int64]*sock{}, nextRem: 40000, vars: map[string]value{}, tfo: tfoClient, cookies: map[string]string{},
		now: startTime, scriptStart: startTime, lastTime: startTime}
	err := r.run()
	if r.w != nil {
		if leak := r.w.close(); leak != nil && err == nil {
			err = mismatch(0, "%v", leak)
		}
	}
	r.res.Elapsed = r.now - startTime
	var e *Error
	if errors.As(err, &e) {
		e.File = s.Name
		e.Trace = r.res.Trace
		if e.Line == 0 && r.event != nil {
			e.Line = r.event.Line
		}
	}
	return &r.res, err
}

func (r *runner) run() error {
	if err := r.configure(); err != nil {
		return err
	}
	for i := range r.s.Events {
		r.event = &r.s.Events[i]
		if err := r.do(r.event); err != nil {
			return err
		}
		if r.badWire != "" {
			return mismatch(r.event.Line, "the stack sent %s", r.badWire)
		}
	}
	return r.finish()
}

// finish ends what the script has begun.
func (r *runner) finish() error {
	if err := r.awaitPending(); err != nil {
		return err
	}
	if r.w == nil || !r.opt.Strict {
		return nil
	}
	r.w.stack.Flush(r.now)
	for _, f := range r.queue {
		c := r.connOf(f)
		if c == nil || c != r.cur && !c.explicit {
			continue
		}
		e := mismatch(r.event.Line, "the script ends, but this was sent, too")
		e.Seen = r.show(f, c, &Packet{})
		return e
	}
	return nil
}

// do waits for the time of an event and lets it happen.
func (r *runner) do(e *Event) error {
	when := r.at(&e.When)
	if e.Packet != nil && !e.Packet.Inbound {
		if err := r.world(); err != nil {
			return err
		}
		return r.expect(e, when)
	}
	if e.Call != nil {
		if err := r.awaitPending(); err != nil {
			return err
		}
	}
	if r.now > when.start+r.tolerance(r.lastTime) {
		return mismatch(e.Line, "this was to happen at %s, but it is %s already", r.clock(when.start), r.clock(r.now))
	}
	r.advance(when.start)
	r.lastTime = when.start
	var err error
	switch {
	case e.Packet != nil:
		if err = r.world(); err == nil {
			err = r.inject(e.Packet)
		}
	case e.Call != nil:
		err = r.call(e.Call, when.start-e.When.start)
	case e.Command != nil:
		err = r.command(*e.Command)
	case e.Code != nil:
		err = r.code(e.Code)
	}
	r.settle()
	return err
}

// at turns the time of an event into simulated time: relative to now.
func (r *runner) at(w *When) When {
	base := r.scriptStart
	if w.kind == timeRelative || w.kind == timeRelativeRange {
		base = r.now
	}
	return When{kind: w.kind, start: base + w.start, end: base + w.end}
}

func (r *runner) clock(t int64) string {
	return fmt.Sprintf("%.6f s", float64(t-r.scriptStart)/1e9)
}

// tolerance is how far a time may be off, an event before having been due at
// since: --tolerance_usecs, or --tolerance_percent of the time between.
func (r *runner) tolerance(since int64) int64 {
	return max(r.cfg.tolerance, int64(r.cfg.tolerancePct/100*float64(max(r.now-since, 0))))
}

// advance lets time pass, stopping wherever the stack wants to run.
func (r *runner) advance(to int64) {
	for r.w != nil {
		next := r.nextTime()
		if next > to {
			break
		}
		r.step(next)
	}
	r.now = max(r.now, to)
	if r.w != nil {
		r.w.stack.Poll(r.now)
		r.settle()
	}
}

// nextTime is when something happens next: the stack wants to run, or a call
// that blocks has waited long enough.
func (r *runner) nextTime() int64 {
	next := r.w.stack.NextTimeout()
	if r.pending != nil && r.wake > r.now {
		next = min(next, r.wake)
	}
	return next
}

// step runs the stack at the next time that it asked for.
func (r *runner) step(next int64) {
	if next <= r.now && r.w.idle {
		next = r.now + 1e3 // it asks again and does nothing
	}
	r.w.idle = true
	r.now = max(next, r.now)
	r.w.stack.Poll(r.now)
	r.settle()
}

// settle sends what the stack has queued, and looks whether a call that blocks
// can go on.
func (r *runner) settle() {
	if r.w == nil {
		return
	}
	r.w.stack.Flush(r.now)
	if r.pending != nil && r.pending.retry() {
		r.w.stack.Flush(r.now)
	}
}

// longWait bounds how long a packet with time * is waited for.
const longWait = int64(4 * 3600e9)

// expect takes the next packet of the stack and compares it.
func (r *runner) expect(e *Event, when When) error {
	k := e.Packet
	c, err := r.connFor(k)
	if err != nil {
		return err
	}
	limit := max(when.start, when.end) + 2e9
	if when.kind == timeAny {
		limit = r.now + longWait
	}
	var f *frame
	for n := 0; ; {
		g := r.take(c, limit)
		if g == nil {
			if f != nil {
				break // the rest is missing
			}
			m := mismatch(e.Line, "no packet until %s", r.clock(limit))
			m.Expected = k.format(when.start-r.scriptStart, r.cfg.v6, false)
			return m
		}
		r.meet(c, k, g)
		j := join(f, g)
		if j == nil { // it is another one; what there was is not what was expected
			r.queue = slices.Insert(r.queue, 0, g)
			break
		}
		n += g.pkt.Len
		f = j
		if k.Proto != protoTCP || n >= k.Len || r.cfg.strictSegments {
			break
		}
	}
	return r.compare(e, when, c, f)
}

// compare judges a packet.
func (r *runner) compare(e *Event, when When, c *conn, f *frame) error {
	k := e.Packet
	if err := r.spellCookie(k, c); err != nil {
		return err
	}
	if k.Proto == protoTCP && f.pkt.Proto == protoTCP {
		c.learn(k, f.pkt)
	}
	seen := c.toScript(f.pkt, k)
	diff := r.differ(k, seen, c)
	if when.kind != timeAny {
		tol := r.cfg.tolerance
		tol = max(tol, int64(r.cfg.tolerancePct/100*float64(when.start-r.lastTime)))
		if f.at < when.start-tol || f.at > max(when.start, when.end)+tol {
			diff = append(diff, fmt.Sprintf("time (tolerance %.1f ms)", float64(tol)/1e6))
		}
	}
	if len(diff) == 0 {
		r.lastTime = f.at
		if when.kind != timeAny {
			r.lastTime = when.start
		}
		return nil
	}
	m := mismatch(e.Line, "%s", strings.Join(diff, ", "))
	m.Expected = k.format(when.start-r.scriptStart, r.cfg.v6, false)
	m.Seen = r.show(f, c, k)
	return m
}

// show formats a live packet in the numbers of the script.
func (r *runner) show(f *frame, c *conn, want *Packet) string {
	return c.toScript(f.pkt, want).format(f.at-r.scriptStart, f.v6, true)
}

// take returns the next packet of a connection, letting time pass until limit;
// nil: there was none.
func (r *runner) take(c *conn, limit int64) *frame {
	for {
		r.settle()
		for i, f := range r.queue {
			if r.connOf(f) == c {
				r.queue = slices.Delete(r.queue, i, i+1)
				return f
			}
		}
		next := r.nextTime()
		if next > limit || r.now > limit {
			return nil
		}
		r.step(next)
	}
}

// join puts what g carries behind f; nil if it does not follow. FIN and PSH are
// those of the last, as they are of a segment that was cut.
func join(f, g *frame) *frame {
	if f == nil {
		return g
	}
	a, b := f.pkt, g.pkt
	const loose = flagFIN | flagPSH | flagCWR
	if a.Proto != b.Proto || a.Seq+uint32(a.Len) != b.Seq || (a.Flags^b.Flags)&^loose != 0 || a.Ack != b.Ack || b.Len == 0 {
		return nil
	}
	k := *a
	k.Flags |= b.Flags & loose
	k.Len += b.Len
	k.data = append(slices.Clone(a.data), b.data...)
	return &frame{at: g.at, from: f.from, to: f.to, v6: f.v6, pkt: &k}
}
