package main

import (
	"context"
	"errors"
	"io"
	"time"
)

// runServe is the command serve.
func runServe(ctx context.Context, c *command, o *options, out *output) error {
	b, err := newBed(c, o)
	if err != nil {
		return err
	}
	if err = b.start(); err != nil {
		return errors.Join(err, b.close())
	}
	b.warnings(o, out.log)
	say(out.log, "serving on %v, %d shard(s)\n", &o.addrs, len(b.servers))
	first := &sample{at: time.Now(), shards: b.first}
	last, err := b.attend(ctx, o, out.log, first, &liveLine{w: out.log, units: c.units, start: first, last: first})
	err = errors.Join(err, b.close())
	r := &report{
		Command: c.name, Port: o.port, Seed: o.seed.n, Units: c.units, Seconds: last.at.Sub(first.at).Seconds(),
	}
	r.rate(r.addShards(first.shards, last.shards, coresOf(b.group)))
	end := b.group.Stats()
	r.TCP, r.Drops, r.Device = tcpOf(&end.Total.Stack), dropsOf(&end.Total), deviceOf(end.Ports)
	return errors.Join(err, r.print(o, out))
}

// attend prints the live line, when there is something to tell, until the time
// is up, ctx is done, or a shard fails.
func (b *bed) attend(ctx context.Context, o *options, log io.Writer, last *sample, live *liveLine) (*sample, error) {
	var timeout, tick <-chan time.Time
	if o.duration > 0 {
		timeout = time.After(o.duration)
	}
	if o.interval > 0 {
		t := time.NewTicker(o.interval)
		defer t.Stop()
		tick = t.C
	}
	events, start := o.events, last.at
	event := events.after(start)
	for {
		var err error
		done := true
		select {
		case <-event:
			_, _, err = b.happen(events[0], o, log)
			events = events[1:]
			event = events.after(start)
			done = err != nil
		case <-tick:
			done = false
		case err = <-b.failed:
		case <-timeout:
		case <-ctx.Done():
		}
		if list := b.sampleServers(); list != nil {
			s := &sample{at: time.Now(), shards: list}
			was, _, _ := total(last.shards)
			if is, _, _ := total(list); !done && is != was {
				live.print(s)
			}
			last = s
		}
		if done {
			return last, err
		}
	}
}
