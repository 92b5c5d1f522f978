//go:build dpdk

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/port/dpdk"
)

// otherHost runs "shardgen serve" in a process of its own, as a host would that has
// the other end of a device; it ends in order with the test.
func otherHost(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"serve", corelist(t, 1), "--addr=" + labKernel + "/24",
		"--eal=--no-huge --iova-mode=va --no-shconf --file-prefix=shardgen-other -m 1024"}, args...)...)
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), log.String())
	})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "serving") }, waitLimit, waitStep, "%s", &log)
}

// loads are what one host asks of the other.
// Each run has a device of its own name: %d in that of the port.
func loads(t *testing.T, device string, more ...string) {
	t.Helper()
	for _, args := range [][]string{
		{"rr", "--count=20000", "--conns=16"}, {"http", "--count=20000", "--conns=16"}, {"exchange", "--size=16M", "--conns=2"},
		{"ping", "--count=500", "--rate=0"},
	} {
		args = append(args, "--to="+labKernel, "--addr="+labStack+"/24", corelist(t, 1), eal, "--json", "--interval=0")
		vdevs++
		r := measureJSON(t, append(append(args, fmt.Sprintf(device, vdevs)), more...)...)
		require.NotZero(t, r.Totals.Operations, args[0])
		require.Zero(t, r.Totals.Failed+r.Totals.Errors, "%v: %v", args[0], r.Problems)
		require.Zero(t, dpdk.Leaked(), "mbufs leaked")
	}
}

// TestDPDKTwoHosts: two processes in two namespaces, each with a stack over its own
// end of a pair of virtual cards.
func TestDPDKTwoHosts(t *testing.T) {
	testenv.Root(t)
	program := build(t, "-tags", "dpdk")
	near, far := testenv.Netns(t), testenv.Netns(t)
	for _, args := range [][]string{
		{"link", "add", "near", "netns", near, "type", "veth", "peer", "name", "far", "netns", far},
		{"-n", near, "link", "set", "near", "up"}, {"-n", far, "link", "set", "far", "up"},
	} {
		out, err := exec.Command(testenv.Tool(t, "ip"), args...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
	}
	const device = "--port=dpdk:net_af_packet%d,framecnt=4096,blocksz=4096,iface="
	otherHost(t, program, fmt.Sprintf(device+"far", 0), "--netns="+far)
	loads(t, device+"near", "--netns="+near)
}
