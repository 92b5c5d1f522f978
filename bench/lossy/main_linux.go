// Lossy measures TCP with the Linux kernel over a wire that loses, delays and
// reorders frames, and the kernel with itself over the same wire, in one run:
//
//	go build -o bin/lossy ./bench/lossy
//	sudo bin/lossy -control cubic -loss 0.1,1,5
//
// The wire is port/impair between TAP devices and, at the other end, this stack
// or a second TAP device in a namespace of its own. Both ends use the same
// congestion control, and every transfer ends with a SHA-256 of what was sent,
// which has to be that of what was received.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/port/impair"
)

// options are the command line's.
type options struct {
	controls []string
	losses   []float64 // parts
	flows    int
	warm     time.Duration
	time     time.Duration
	rate     uint64
	delay    time.Duration
	reorder  float64
	seed     uint64
}

func parse(args []string) (o options, err error) {
	f := pflag.NewFlagSet("lossy", pflag.ContinueOnError)
	controls := f.String("control", "cubic", "congestion control of both ends, one or more")
	losses := f.String("loss", "0.1,1,5", "loss in percent, each way")
	f.IntVar(&o.flows, "flows", 10, "connections at a time")
	f.DurationVar(&o.warm, "warm", 2*time.Second, "time before the measurement")
	f.DurationVar(&o.time, "time", 6*time.Second, "time that is measured")
	mbps := f.Uint64("rate", 100, "rate of the wire each way in Mbit/s")
	f.DurationVar(&o.delay, "delay", 20*time.Millisecond, "delay each way")
	f.Float64Var(&o.reorder, "reorder", 0.1, "frames held up by 2 ms, in percent")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the wire")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.controls = strings.Split(*controls, ",")
	for _, s := range strings.Split(*losses, ",") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return o, fmt.Errorf("lossy: loss %q: %w", s, err)
		}
		o.losses = append(o.losses, v/100)
	}
	o.rate, o.reorder = *mbps*1e6, o.reorder/100
	return o, nil
}

// faults is the wire's configuration.
func (o *options) faults(loss float64) impair.Config {
	c := netem.Config{
		Loss: loss, Delay: o.delay, Reorder: o.reorder, ReorderBy: 2 * time.Millisecond, Rate: o.rate,
		Queue: netem.Queue{Bytes: max(int(float64(o.rate)/8*2*o.delay.Seconds()), 1<<16)},
	}
	rx, tx := c, c
	rx.Seed, tx.Seed = 2*o.seed, 2*o.seed+1
	return impair.Config{Rx: rx, Tx: tx}
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = report(os.Stdout, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// report prints a row for every control and loss.
func report(w io.Writer, o *options) error {
	fmt.Fprintf(w, "%d flows, %d Mbit/s, %v each way, %g %% of frames held up by 2 ms, %v measured\n\n",
		o.flows, o.rate/1_000_000, o.delay, o.reorder*100, o.time)
	fmt.Fprintln(w, "| control | loss | Linux → Linux | Linux → shardstack | shardstack → Linux |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: |")
	for _, control := range o.controls {
		for _, loss := range o.losses {
			fmt.Fprintf(w, "| %s | %g %% |", control, loss*100)
			var base float64
			for i, way := range ways {
				r, err := runWay(way, control, o.faults(loss), work{flows: o.flows, warm: o.warm, time: o.time})
				if err != nil {
					return fmt.Errorf("%s, %g %%, %s: %w", control, loss*100, way.name, err)
				}
				if i == 0 {
					base = r.mbps
					fmt.Fprintf(w, " %.2f |", r.mbps)
				} else {
					fmt.Fprintf(w, " %.2f (%.2f) |", r.mbps, r.mbps/base)
				}
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}
