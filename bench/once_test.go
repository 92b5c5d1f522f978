package bench

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/shard"
)

// result is a line of a benchmark's output: values by unit.
type result map[string]float64

// runBenchmarks runs the benchmarks of this test program that match pattern, as
// `go test -bench` does, and reads what they print by the rules of the Go
// benchmark format (golang.org/design/14313-benchmark-format), which benchstat
// reads by too.
func runBenchmarks(t *testing.T, pattern, benchtime string, args ...string) map[string]result {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{"-test.run=^$", "-test.bench=" + pattern, "-test.benchtime=" + benchtime}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	results := make(map[string]result)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		require.Zero(t, len(f)%2, line)
		n, err := strconv.Atoi(f[1])
		require.NoError(t, err, line)
		require.Positive(t, n, line)
		r := make(result)
		for i := 2; i < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			require.NoError(t, err, line)
			require.NotContains(t, r, f[i+1], line)
			r[f[i+1]] = v
		}
		name := strings.TrimSuffix(strings.TrimPrefix(f[0], "Benchmark"), "-"+strconv.Itoa(runtime.GOMAXPROCS(0)))
		require.NotContains(t, results, name)
		results[name] = r
	}
	return results
}

// network are the units of all benchmarks with packets.
var network = []string{"ns/op", "Gbit/s", "packets/s", "ns/packet/core", "drops", "retrans", "missed", "B/op", "allocs/op"}

// units are what each benchmark reports, beside network for those of packets.
var units = map[string][]string{
	"Bulk/conns=8":             {"kB/s"},
	"BulkOffload/soft/conns=8": {"kB/s"},
	"BulkOffload/port/conns=8": {"kB/s"},
	"IP6/bulk/conns=16":        {"kB/s"},
	"IP6/bulk-soft/conns=16":   {"kB/s"},
	"BigTCP/segment=64KiB":     {"kB/s"},
	"BigTCP/segment=128KiB":    {"kB/s"},
	"BigTCP/segment=256KiB":    {"kB/s"},
	"BigTCP/segment=512KiB":    {"kB/s"},
	"IP6/rr/conns=64":          {"transactions/s", "p50-ns", "p99-ns", "p999-ns"},
	"IP6/cps/conns=64":         {"connections/s", "p50-ns", "p99-ns", "p999-ns"},
	"RR/conns=8":               {"transactions/s", "p50-ns", "p99-ns", "p999-ns"},
	"CPS/conns=8":              {"connections/s", "p50-ns", "p99-ns", "p999-ns"},
	"HTTP/conns=8":             {"requests/s", "p50-ns", "p99-ns", "p999-ns"},
	"UDP/size=64":              {"datagrams/s"},
	"UDP/size=1400":            {"datagrams/s"},
	"Accept/conns=8":           {"connections/s", "p50-ns", "p99-ns", "p999-ns"},
	"Idle/conns=8":             {"ns/op", "bytes/connection", "connections/s"},
	"Pull/conns=8":             {"ns/op", "bytes/connection", "connections/s"},
	"Handover/batch=1":         {"ns/op", "elements/s", "B/op", "allocs/op"},
	"Handover/batch=32":        {"ns/op", "elements/s", "B/op", "allocs/op"},
	"Timers/conns=8":           {"ns/op", "B/op", "allocs/op"},

	"HandOver/rr/RSS":         {"ns/op", "ns/packet", "handed/packet", "transactions/s"},
	"HandOver/rr/one-queue":   {"ns/op", "ns/packet", "handed/packet", "transactions/s"},
	"HandOver/cps/RSS":        {"ns/op", "ns/packet", "handed/packet", "connections/s"},
	"HandOver/cps/one-queue":  {"ns/op", "ns/packet", "handed/packet", "connections/s"},
	"HandOver/bulk/RSS":       {"ns/op", "ns/packet", "handed/packet", "kB/s"},
	"HandOver/bulk/one-queue": {"ns/op", "ns/packet", "handed/packet", "kB/s"},
}

// checkUnits asserts that exactly these benchmarks ran and reported.
func checkUnits(t *testing.T, got map[string]result, names ...string) {
	t.Helper()
	require.Len(t, got, len(names), "%v", got)
	for _, name := range names {
		require.Contains(t, got, name)
		want := units[name]
		if want[0] != "ns/op" {
			want = append(want[:len(want):len(want)], network...)
		}
		for _, u := range want {
			require.Contains(t, got[name], u, name)
		}
	}
}

// TestEachBenchmarkOnce runs all benchmarks, briefly, on one core and on two.
// One that is not in units fails it.
func TestEachBenchmarkOnce(t *testing.T) {
	names := slices.Collect(maps.Keys(units))
	for _, args := range [][]string{{"-layout=pairs"}, {"-layout=split"}} {
		t.Run(args[0], func(t *testing.T) {
			n := 1
			if args[0] == "-layout=split" {
				n = 2
			}
			args = append(args, "-conns=8", maskFlag(t, n))
			got := runBenchmarks(t, ".", "100x", append(args, "-test.skip=Idle|Pull|Scaling|Kernel")...)
			maps.Copy(got, runBenchmarks(t, "Idle|Pull", "1x", args...)) // an operation is a testbed
			checkUnits(t, got, names...)
			for name, r := range got {
				require.Zero(t, r["drops"]+r["retrans"]+r["missed"], name)
				require.Positive(t, r["ns/op"], name)
			}
			require.Positive(t, got["Bulk/conns=8"]["Gbit/s"])
			require.Positive(t, got["RR/conns=8"]["p50-ns"])
			if n == 2 {
				r := runBenchmarks(t, "Scaling/rr", "1x", args...)["Scaling/rr"]
				require.Positive(t, r["ratio"])
				require.Positive(t, r["1-core-transactions/s"])
				require.Positive(t, r["2-core-transactions/s"])
			}
		})
	}
}

// TestKernelBenchmarkOnce runs what TestEachBenchmarkOnce leaves out, as it needs
// root.
func TestKernelBenchmarkOnce(t *testing.T) {
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	got := runBenchmarks(t, "Kernel", "100x", maskFlag(t, 1))
	require.Len(t, got, 5)
	for _, name := range []string{"stack/tap-vnet", "stack/tap-plain", "kernel/tap-vnet", "kernel/tap-plain", "kernel/veth"} {
		require.Positive(t, got["Kernel/from="+name]["Gbit/s"], name)
	}
}

// maskFlag is the flag that names n cores.
func maskFlag(t *testing.T, n int) string {
	t.Helper()
	set, err := affinity.Of(testenv.Cores(t, n)...)
	require.NoError(t, err)
	mask := affinity.MaskFlag(set)
	return "-coremask=" + mask.String()
}

// TestBenchmarksOverTAP runs the benchmarks against servers behind a second TAP
// device, to which the kernel of a namespace forwards.
func TestBenchmarksOverTAP(t *testing.T) {
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	ip := testenv.Tool(t, "ip")
	ns := testenv.Netns(t)
	out, err := exec.Command(ip, "netns", "exec", ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward").CombinedOutput()
	require.NoError(t, err, string(out))
	counters := serveOnTAP(t, ns)

	args := []string{
		"-conns=8", maskFlag(t, 1), "-port=tap:near0", "-netns=" + ns, "-to=198.18.1.1", "-gateway=198.18.0.2",
		"-addr=198.18.0.1/24", "-kernel-addr=198.18.0.2/24",
	}
	got := runBenchmarks(t, "Bulk$|RR|CPS|HTTP|UDP|Accept", "100x", args...)
	maps.Copy(got, runBenchmarks(t, "Idle", "1x", args...))
	checkUnits(t, got, "Bulk/conns=8", "RR/conns=8", "CPS/conns=8", "HTTP/conns=8", "UDP/size=64", "UDP/size=1400", "Accept/conns=8", "Idle/conns=8")
	n := counters()
	require.Greater(t, n.Opened, uint64(8*5), "all that connect were there")
	require.GreaterOrEqual(t, n.PacketsIn, uint64(100), "datagrams came")
}

// serveOnTAP runs a server behind a TAP device in the namespace until the test
// ends; what it returns reads the server's counters.
func serveOnTAP(t *testing.T, ns string) func() load.Counters {
	t.Helper()
	var sv *load.Server
	name, err := device.Parse("tap:far0")
	require.NoError(t, err)
	p, err := name.Open(device.Config{Netns: ns, KernelAddrs: []netip.Prefix{netip.MustParsePrefix("198.18.1.2/24")}})
	require.NoError(t, err)
	g, err := shard.NewGroup(shard.Config{
		NoPin: true, Idle: shard.Park, Pool: pbuf.Config{Small: 4096, Buffers: 8192},
		Ports: []shard.PortConfig{{
			Port: p, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.1.1/24")},
			Routes: []shard.RouteConfig{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("198.18.1.2")}},
		}},
		Init: func(s *shard.Shard) (err error) {
			sv, err = load.NewServer(s.Stack(), load.ServerConfig{})
			return err
		},
	})
	require.NoError(t, err)
	require.NoError(t, g.Start())
	t.Cleanup(func() {
		require.NoError(t, g.Stop())
		require.NoError(t, sv.Release())
	})
	return func() (n load.Counters) {
		require.NoError(t, g.Do(func(*shard.Shard) error { n = *sv.Counters(); return nil }))
		return n
	}
}

// TestBadFlags: what contradicts itself is refused, with the reason.
func TestBadFlags(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for args, want := range map[string]string{
		"-port eth0":                                   "neither mem nor tap:NAME",
		"-to 198.18.0.1":                               "go with -port tap:NAME",
		"-port tap:x -to 198.18.0.1":                   "needs an -addr",
		"-port tap:x -addr 198.18.0.1/24":              "-to",
		"-port tap:x -addr 198.18.0.1 -to 198.18.0.2":  "-addr",
		"-port tap:x -addr 198.18.0.1/24 -to nowhere":  "-to",
		"-test.bench RR -layout rows -conns 1":         "neither pairs nor split",
		"-test.bench RR -test.benchtime 1x -conns 1,x": "want numbers",
	} {
		out, err := exec.Command(self, append([]string{"-test.run=^$"}, strings.Fields(args)...)...).CombinedOutput()
		require.Error(t, err, args)
		require.Contains(t, string(out), want, args)
	}
}
