//go:build dpdk

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/port/dpdk"
)

// eal is how the tests start DPDK, once for all of them.
const eal = "--eal=--no-huge --iova-mode=va --no-shconf --file-prefix=shardgen-test -m 2048"

// vdevs numbers the virtual devices of this process.
var vdevs int

// newDPDKLab makes a namespace whose kernel the stack talks to over a virtual
// device of DPDK's. At the end no mbuf is missing.
func newDPDKLab(t *testing.T, kind, options string) *lab {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			require.Zero(t, dpdk.Leaked(), "mbufs leaked")
		}
	})
	l := newLab(t)
	vdevs++
	l.port = []string{fmt.Sprintf("--port=dpdk:%s%d,%s", kind, vdevs, options), "--netns=" + l.ns}
	return l
}

// dpdkVeth is one end of a pair of virtual cards, with the kernel at the other.
// That one makes checksums and cuts segments itself: a packet socket takes frames
// as they are.
func dpdkVeth(t *testing.T) *lab {
	l := newDPDKLab(t, "net_af_packet", "iface="+labDevice+",framecnt=4096,blocksz=4096")
	l.output("ip", "link", "add", labDevice, "type", "veth", "peer", "name", "far")
	l.output("ip", "link", "set", labDevice, "up")
	l.output("ethtool", "-K", "far", "tx", "off", "gso", "off", "tso", "off")
	l.kernelEnd("far")
	return l
}

func (l *lab) kernelEnd(device string) {
	l.t.Helper()
	l.output("ip", "addr", "add", labKernel+"/24", "dev", device)
	l.output("ip", "link", "set", device, "up")
}

// talk has the kernel and the stack talk as clients and servers of each other.
func (l *lab) talk(size int64, requests int) {
	l.t.Helper()
	end := l.serve(1, eal)
	out := l.output("ping", "-q", "-f", "-c", "2000", labStack)
	require.Contains(l.t, out, "2000 packets transmitted, 2000 received, 0% packet loss")
	h := sha256.New()
	cmd := l.cmd("curl", "-sS", "--fail", fmt.Sprintf("http://%s/bytes/%d", labStack, size))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = h, &log
	require.NoError(l.t, cmd.Run(), log.String())
	require.Equal(l.t, patternSum(size), hex.EncodeToString(h.Sum(nil)))
	r := end()
	require.NotZero(l.t, r.Totals.BytesOut)

	l.next()
	body := strings.Repeat("It works. ", 61)
	l.nginx(body)
	r = l.measure(1, "http", eal, "--to="+labKernel, fmt.Sprint("--count=", requests), "--conns=64")
	require.EqualValues(l.t, requests, r.Totals.Operations)
	require.Greater(l.t, r.Totals.BytesIn, uint64(requests*len(body)))
	require.Zero(l.t, r.Totals.Failed+r.Totals.Errors, r.Problems)

	l.next()
	r = l.measure(1, "ping", eal, "--to="+labKernel, "--count=1000", "--rate=0")
	require.Equal(l.t, uint64(1000), r.Totals.Operations)
}

// next names the device anew: DPDK's name for it is used up.
func (l *lab) next() {
	kind, options, _ := strings.Cut(l.port[0], ",")
	vdevs++
	l.port[0] = fmt.Sprint(strings.TrimRight(kind, "0123456789"), vdevs, ",", options)
}

func TestDPDKOverPacketSocket(t *testing.T) { dpdkVeth(t).talk(1<<30, 100_000) }

// TestDPDKOverTap: the kernel has the other end of the driver's TAP device, which
// is made before, so that it stays from one run to the next.
func TestDPDKOverTap(t *testing.T) {
	l := newDPDKLab(t, "net_tap", "iface="+labDevice)
	l.output("ip", "tuntap", "add", "dev", labDevice, "mode", "tap", "multi_queue")
	l.kernelEnd(labDevice)
	l.talk(1<<30, 100_000)
}

// TestDPDKPair: both ends are ours, with two queues each; data goes both ways at
// once and both ends see its hash.
func TestDPDKPair(t *testing.T) {
	for _, args := range [][]string{
		{"exchange", "--size=256M", "--conns=4"}, {"http", "--count=100000", "--conns=64"}, {"rr", "--count=50000", "--conns=64"}, {"cps", "--count=5000"},
		{"udp", "--echo", "--count=2000", "--rate=20k", "--size=1400"}, {"ping", "--count=1000", "--rate=0"},
	} {
		t.Run(args[0], func(t *testing.T) {
			args = append(args, "--port=dpdk:pair", "--queues=2", corelist(t, 2), eal, "--json", "--interval=0")
			r := measureJSON(t, args...)
			clean(t, r)
			require.Zero(t, dpdk.Leaked(), "mbufs leaked")
		})
	}
}

func TestDPDKNeedsADevice(t *testing.T) {
	code, _, stderr := shardgen(t, "ping", "--port=dpdk:net_nosuch9", "--to=198.18.0.2", eal)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "net_nosuch9")
	code, _, stderr = shardgen(t, "ping", "--port=dpdk:net_null0", "--to=198.18.0.2", "--kernel-addr=198.18.0.2/24")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--kernel-addr")
}
