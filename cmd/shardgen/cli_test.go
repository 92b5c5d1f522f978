package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// shardgen runs a command line in this process.
func shardgen(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(context.Background(), args, &out, &log)
	return code, out.String(), log.String()
}

// corelist is the flag for the first n cores.
func corelist(t testing.TB, n int) string {
	t.Helper()
	var list []string
	for _, c := range testenv.Cores(t, n) {
		list = append(list, strconv.Itoa(c))
	}
	return "--corelist=" + strings.Join(list, ",")
}

// measureJSON runs a command line that must succeed and decodes its report.
func measureJSON(t testing.TB, args ...string) *report {
	t.Helper()
	return measureUntil(t, context.Background(), args...)
}

// measureUntil is measureJSON for a run that ends with ctx.
func measureUntil(t testing.TB, ctx context.Context, args ...string) *report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(ctx, append(args, "--json", "--interval=0"), &stdout, &stderr)
	require.Equal(t, exitOK, code, "%v: %s%s", args, &stdout, &stderr)
	require.Empty(t, stderr.String())
	r := new(report)
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(r))
	return r
}

func TestBadCommandLines(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "Usage:"},
		{"frobnicate", `no command "frobnicate"`},
		{"help frobnicate", `no command "frobnicate"`},
		{"rr extra", `not "extra"`},
		{"rr --frob", "unknown flag: --frob"},
		{"rr --conns x", "invalid argument"},
		{"rr --conns 0", "--conns 0 is outside"},
		{"rr --size 0", "--size 0"},
		{"rr --size -1", "want a number"},
		{"rr --size 1.5", "no whole number of bytes"},
		{"rr --rate 1x", "want a number"},
		{"rr --count 0.5", "no whole number"},
		{"rr --duration -1s", "negative duration"},
		{"rr --mtu 100", "--mtu 100 is outside"},
		{"rr --queues 1000", "--queues 1000 is outside"},
		{"rr --window 1", "--window 1 is outside"},
		{"rr --gso-max 32K", "--gso-max 32K is outside"},
		{"rr --gro-max 1M", "--gro-max 1M is outside"},
		{"rr --idle maybe", "idle policy"},
		{"rr --seed 0", "--seed 0"},
		{"rr --seed -3", "no number"},
		{"rr --coremask 0xz", "coremask"},
		{"rr --corelist 1-", "corelist"},
		{"rr --corelist 1023", "core"},
		{"rr --port eth0", "neither mem nor tap:NAME"},
		{"rr --port tap", "needs a name"},
		{"rr --port tap:", "needs a name"},
		{"rr --netns x", "--netns goes with --port tap"},
		{"rr --gateway 10.9.0.7", "--gateway goes with --port tap"},
		{"rr --kernel-addr 10.9.0.7/24", "--kernel-addr goes with --port tap"},
		{"rr --port tap:x --kernel-addr 10.9.0.7/24", "--kernel-addr without --addr"},
		{"rr --port tap:x --addr 10.9.0.7/24", "needs --to"},
		{"rr --addr 10.9.0.9", "no address with a prefix length"},
		{"rr --addr fe80::1", "2001:db8::1/64"},
		{"rr --family 5", "neither 4 nor 6"},
		{"rr --addr 10.8.0.1/24", "the server on the in-memory wire is 10.9.0.1"},
		{"rr --addr 10.9.0.1/24", "that of the server"},
		{"rr --gateway x", "no address"},
		{"rr --to nowhere", "neither an address nor address:port"},
		{"rr --to [::1:7", "neither an address"},
		{"http --path x", "begins with /"},
		{"http --size 5", "unknown flag: --size"},
		{"serve", "serve needs a --port"},
		{"serve --port mem", "use tap:NAME"},
		{"rr --drain-core 1", "want CORE@TIME"},
		{"rr --add-core x@1s", "want CORE@TIME"},
		{"rr --corelist 0 --drain-core 1@1s", "core 1 is none of"},
		{"rr --corelist 0 --drain-core 0@1s --count 5", "does not go with --count"},
		{"demo --duration 0", "demo needs a --duration"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := shardgen(t, strings.Fields(c.args)...)
			require.Equal(t, exitUsage, code)
			require.Contains(t, stderr, c.want)
			require.Empty(t, stdout)
		})
	}
}

func TestHelpShowsEveryFlagAndExample(t *testing.T) {
	code, text, _ := shardgen(t, "help")
	require.Equal(t, exitOK, code)
	for _, c := range commands() {
		require.Contains(t, text, "\n  "+c.name+" ")
		code, byHelp, _ := shardgen(t, "help", c.name)
		require.Equal(t, exitOK, code)
		code, byFlag, _ := shardgen(t, c.name, "--help")
		require.Equal(t, exitOK, code)
		require.Equal(t, byHelp, byFlag)
		for _, flag := range []string{"--coremask", "--corelist", "--port", "--json", "--seed", "--time-wait", "--interval", "--idle", "--pcap", "--cpuprofile"} {
			require.Contains(t, byHelp, flag)
		}
		require.NotEmpty(t, examples[c.name], c.name)
		for _, e := range examples[c.name] {
			require.Contains(t, byHelp, e)
		}
		for _, line := range strings.Split(byHelp, "\n") {
			require.LessOrEqual(t, len(line), helpWidth+20)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	testenv.Cores(t, 2)
	for _, list := range examples {
		for _, e := range list {
			args := strings.Fields(e)
			require.Equal(t, "shardgen", args[0])
			c := findCommand(args[1])
			require.NotNil(t, c, e)
			var o options
			require.NoError(t, o.parse(c, args[2:]), e)
		}
	}
}

func TestGeneratorsOnTheWire(t *testing.T) {
	cores := corelist(t, 2)
	for _, c := range []struct {
		args string
		ops  uint64
	}{
		{"tcp --count 5k", 5000},
		{"tcp --count 5k --conns 50 --mtu 9000 --time-wait 1s", 5000},
		{"tcp --count 5k --gso always --gso-max 256K --gro always --gro-max 256K --window 2M", 5000},
		{"rr --count 20k", 20_000},
		{"rr --count 5k --conns 100 --size 3000 --idle park", 5000},
		{"rr --count 300 --rate 1000", 300},
		{"cps --count 2000", 2000},
		{"cps --count 2000 --fast-open", 2000},
		{"udp --count 1000 --rate 50k --size 1400", 1000},
		{"udp --count 1000 --rate 50k --echo", 1000},
		{"http --count 1000 --path /bytes/20000 --idle spin", 1000},
		{"ping --count 100 --rate 0", 100},
		{"exchange --size 3M --conns 3", 3},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := measureJSON(t, append(strings.Fields(c.args), cores, "--seed=7", "--duration=1m")...)
			require.Equal(t, strings.Fields(c.args)[0], r.Command)
			require.EqualValues(t, 7, r.Seed)
			require.Equal(t, c.ops, r.Totals.Operations)
			require.Zero(t, r.Totals.Failed+r.Totals.Errors, r.Problems)
			if strings.Contains(c.args, "fast-open") {
				require.Greater(t, r.TCP.FastOpens, c.ops/2)
			} else {
				require.Zero(t, r.TCP.FastOpens)
			}
			require.Len(t, r.Shards, 1)
			require.Len(t, r.Server.Shards, 1)
			// A machine that is too busy lets timers of retransmissions and probes run
			// out. Then segments go twice and are dropped, as is the answer to one that
			// finds its connection gone, or a reset for that; but nothing else is.
			again := r.TCP.Retransmits + r.Server.TCP.Retransmits
			if r.TCP.Timeouts+r.Server.TCP.Timeouts+r.TCP.LossProbes+r.Server.TCP.LossProbes == 0 {
				require.Zero(t, again)
			}
			dropped := make(drops)
			for _, d := range []drops{r.Drops, r.Server.Drops} {
				for reason, n := range d {
					dropped[reason] += n
				}
			}
			require.LessOrEqual(t, dropped["tcp_seq"], again)
			require.LessOrEqual(t, dropped["tcp_no_conn"], 2*again)
			delete(dropped, "tcp_seq")
			delete(dropped, "tcp_no_conn")
			require.Empty(t, dropped)
			if r.Loss != nil {
				require.Zero(t, r.Loss.Lost)
			}
			if l := r.Latency; l != nil {
				require.LessOrEqual(t, l.P50, l.P99)
				require.LessOrEqual(t, l.P999, l.Max)
			}
		})
	}
}

func TestRateIsKept(t *testing.T) {
	r := measureJSON(t, "rr", "--count=300", "--rate=1k", corelist(t, 2))
	require.GreaterOrEqual(t, r.Seconds, 0.28) // the pacer never runs ahead
}

func TestLargePingIsFragmented(t *testing.T) {
	r := measureJSON(t, "ping", "--count=5", "--rate=1k", "--size=20000", corelist(t, 2))
	require.Equal(t, uint64(5), r.Totals.Operations)
	require.Greater(t, r.Totals.PacketsOut, uint64(5*13))
}

func TestOneCoreCarriesBothEnds(t *testing.T) {
	r := measureJSON(t, "rr", "--count=500", corelist(t, 1))
	require.Equal(t, uint64(500), r.Totals.Operations)
}

func TestNothingSucceeds(t *testing.T) {
	code, stdout, stderr := shardgen(t, "rr", "--to=10.9.0.1:4711", "--duration=5s", "--interval=0", corelist(t, 2))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "refused")
	require.Regexp(t, `[1-9][0-9,]* failed`, stdout) // the report comes all the same
}

func TestEndIsInOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out, log lockedBuffer
	code := make(chan int, 1)
	args := []string{"rr", "--duration=0", "--interval=50ms", corelist(t, 2)}
	go func() { code <- run(ctx, args, &out, &log) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "transactions/s") }, waitLimit, waitStep)
	cancel()
	require.Equal(t, exitOK, <-code, log.String())
	for _, want := range []string{"transactions", "latency", "p99.9", "shard  core", "server"} {
		require.Contains(t, out.String(), want)
	}
}

func TestDemoMeasuresAllFour(t *testing.T) {
	begin := time.Now()
	code, stdout, stderr := shardgen(t, "demo", "--duration=4s", "--json", "--interval=0", corelist(t, 2))
	require.Equal(t, exitOK, code, stderr)
	require.Greater(t, time.Since(begin), 3*time.Second)
	var d demoReport
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Len(t, d.Runs, 4)
	for i, name := range demoRuns {
		require.Equal(t, name, d.Runs[i].Command)
		require.NotZero(t, d.Runs[i].Rates.Operations)
		require.NotZero(t, d.Runs[i].Rates.BitsOut)
	}
	var text strings.Builder
	require.NoError(t, d.text(&text))
	for _, want := range []string{"writes/s", "transactions/s", "connections/s", "datagrams/s", "s in all"} {
		require.Contains(t, text.String(), want)
	}
}
