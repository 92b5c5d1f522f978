package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/peers/report"
	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/internal/testenv"
)

// TestMain lets the test program be the process of a trial, as peers is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == trialCommand {
		if err := serveTrial(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// lacks are the works that systems don't do at all.
var lacks = map[string][]string{
	report.LwIP:    {work.NetRR, work.NetBulk, work.Ring},
	report.GVisor:  {work.Ring},
	report.Linux:   {work.Ring},
	report.RteRing: {work.Bulk, work.RR, work.CPS, work.UDP, work.Idle, work.NetRR, work.NetBulk},
	report.SelfOne: {work.Idle, work.NetRR, work.NetBulk, work.Ring},
}

// TestEverySystemDoesEveryWork runs each system on a small case of each work,
// in a process of its own as `make peers` does.
func TestEverySystemDoesEveryWork(t *testing.T) {
	cores := testenv.Cores(t, 2)
	for system := range systems {
		for _, s := range []work.Spec{
			{Work: work.Bulk, Conns: 1}, {Work: work.Bulk, Conns: 3},
			{Work: work.RR, Conns: 3}, {Work: work.CPS, Conns: 3}, {Work: work.UDP, Conns: 1},
			{Work: work.Idle, Conns: 1000}, {Work: work.NetRR, Conns: 2}, {Work: work.NetBulk, Conns: 2},
			{Work: work.Ring, Conns: 1},
		} {
			s.Size, s.MTU, s.Warm, s.Time, s.Cores = 64, 1500, time.Millisecond, 20*time.Millisecond, cores
			t.Run(fmt.Sprintf("%s/%s/%d", system, s.Work, s.Conns), func(t *testing.T) {
				v, err := trial(system, &s)
				if errors.Is(err, work.ErrMissing) {
					testenv.Missing(t, "%v", err)
				}
				if slices.Contains(lacks[system], s.Work) {
					require.ErrorIs(t, err, work.ErrNA)
					return
				}
				require.NoError(t, err)
				require.Positive(t, v)
			})
		}
	}
}

// TestMoreConnectionsThanMessages lets connections take turns.
func TestMoreConnectionsThanMessages(t *testing.T) {
	cores := testenv.Cores(t, 1)
	for _, system := range []string{report.GVisor, report.Linux, report.LwIP, report.Self} {
		s := work.Spec{Work: work.RR, Conns: work.InFlight + 76, Size: 64, MTU: 1500, Warm: time.Millisecond, Time: 20 * time.Millisecond, Cores: cores}
		t.Run(system, func(t *testing.T) {
			v, err := trial(system, &s)
			if errors.Is(err, work.ErrMissing) {
				testenv.Missing(t, "%v", err)
			}
			require.NoError(t, err)
			require.Positive(t, v)
		})
	}
}

func TestTrialTellsFaults(t *testing.T) {
	_, err := trial("no such system", &work.Spec{})
	require.ErrorContains(t, err, "no such system")
	_, err = trial(report.GVisor, &work.Spec{Work: "no such work"})
	require.ErrorIs(t, err, work.ErrNA)
	require.Error(t, serveTrial([]string{"one"}, &bytes.Buffer{}))
	require.Error(t, serveTrial([]string{report.GVisor, "{"}, &bytes.Buffer{}))
}

// TestWorksAndSystemsTakeTurns shows the order of trials, medians, and what becomes of
// systems that fail.
func TestWorksAndSystemsTakeTurns(t *testing.T) {
	var order []string
	values := map[int][]float64{7: {5, 1, 3}, 8: {20, 60, 40}}
	p := plan{runs: 3, log: &bytes.Buffer{}, trial: func(system string, s *work.Spec) (float64, error) {
		order = append(order, fmt.Sprint(s.Conns, " ", system))
		switch system {
		case report.LwIP:
			return 0, work.NA("none")
		case report.Linux:
			return 0, errors.New("broken")
		}
		v := values[s.Conns]
		values[s.Conns] = v[1:]
		return v[0], nil
	}}
	rows, err := p.measure([]aCase{
		{"rr", work.Spec{Work: work.RR, Conns: 7}, []string{report.Self, report.LwIP, report.Linux}},
		{"rr", work.Spec{Work: work.RR, Conns: 8}, []string{report.Self}},
	})
	require.ErrorContains(t, err, "rr, 7 connections, Linux: broken")
	self7, self8, linux7 := "7 "+report.Self, "8 "+report.Self, "7 "+report.Linux
	require.Equal(t, []string{self7, "7 " + report.LwIP, linux7, self8, self7, linux7, self8, self7, linux7, self8}, order)
	require.Len(t, rows, 2)
	require.Equal(t, report.Cell{Median: 3, Min: 1, Max: 5}, rows[0].Cells[report.Self])
	require.Equal(t, report.Cell{Median: 40, Min: 20, Max: 60}, rows[1].Cells[report.Self])
	require.Equal(t, "failed", rows[0].Cells[report.Linux].Why)
	require.Contains(t, rows[0].Cells[report.LwIP].Why, "none")
	require.Equal(t, 8, rows[1].Conns)
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
}

func TestOptions(t *testing.T) {
	for _, bad := range [][]string{{"-runs", "0"}, {"-time", "0s"}, {"word"}, {"-nonsense"}} {
		_, err := parse(bad, &bytes.Buffer{})
		require.Error(t, err, bad)
	}
	o, err := parse([]string{"-short", "-json", "x"}, &bytes.Buffer{})
	require.NoError(t, err)
	require.True(t, o.short)
	require.Error(t, run([]string{"-works", "^nothing$"}, &bytes.Buffer{}, &bytes.Buffer{}))
	require.Error(t, write(&report.Table{}, &options{docs: t.TempDir(), short: true}), "a short run measures nothing")
}

// TestOneRow runs the program on the row that takes least, and reads its JSON.
func TestOneRow(t *testing.T) {
	testenv.Cores(t, 2)
	file := t.TempDir() + "/out.json"
	var out bytes.Buffer
	require.NoError(t, run([]string{"-short", "-quiet", "-works", "^ring-32/1$", "-json", file}, &out, &bytes.Buffer{}))
	require.Contains(t, out.String(), "ring-32")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var list []map[string]any
	require.NoError(t, json.Unmarshal(b, &list))
	require.NotEmpty(t, list)
	for _, key := range []string{"work", "conns", "mtu", "offload", "system", "unit", "median", "min", "max"} {
		require.Contains(t, list[0], key)
	}
}
