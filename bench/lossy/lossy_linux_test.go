package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/port/impair"
)

// need asks for what a lab is made of.
func need(t *testing.T) {
	t.Helper()
	testenv.Root(t)
	testenv.Tool(t, "ip")
	testenv.Device(t, "/dev/net/tun")
}

// TestHashesAgreeOverALossyWire sends to and from the kernel over a wire that
// loses, delays, doubles, reorders and damages frames. How long it takes is not
// judged here.
func TestHashesAgreeOverALossyWire(t *testing.T) {
	need(t)
	for _, loss := range []float64{0.001, 0.01, 0.05} {
		for i, w := range ways {
			t.Run(fmt.Sprintf("%s at %g %%", w.name, loss*100), func(t *testing.T) {
				t.Parallel()
				job := work{flows: 4, bytes: 1 << 20}
				if loss > 0.01 {
					job.bytes = 1 << 18
				}
				c := netem.Config{Loss: loss, Delay: 20 * time.Millisecond, Reorder: 0.01, ReorderBy: 2 * time.Millisecond,
					Duplicate: 0.001, Corrupt: 0.001, Rate: 100e6, Seed: uint64(i)}
				d := c
				d.Seed += 100
				r, err := runWay(w, "reno", impair.Config{Rx: c, Tx: d}, job)
				require.NoError(t, err)
				require.Equal(t, int64(job.flows)*job.bytes, r.bytes)
			})
		}
	}
}

// TestReport: a short run prints a row with all ways.
func TestReport(t *testing.T) {
	need(t)
	o, err := parse([]string{"--control=reno", "--loss=0.1", "--flows=2", "--warm=100ms", "--time=200ms", "--delay=2ms"})
	require.NoError(t, err)
	require.Equal(t, []float64{0.001}, o.losses)
	var b strings.Builder
	require.NoError(t, report(&b, &o))
	row := b.String()[strings.Index(b.String(), "| reno"):]
	require.Equal(t, 6, strings.Count(row, "|"), row)
	require.Equal(t, 2, strings.Count(row, "("), "the two ratios: %s", row)
}

func TestBadOptions(t *testing.T) {
	_, err := parse([]string{"--loss=much"})
	require.ErrorContains(t, err, "much")
	_, err = parse([]string{"--nonsense"})
	require.Error(t, err)
	need(t)
	o, err := parse([]string{"--control=none"})
	require.NoError(t, err)
	var b strings.Builder
	require.Error(t, report(&b, &o), "the kernel has no such control")
	_, err = newStackLab("none", impair.Config{})
	require.ErrorContains(t, err, "none")
	o.controls = []string{"reno"}
	o.losses = []float64{3}
	require.ErrorIs(t, report(&b, &o), netem.ErrConfig)
}
