package linux

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/peers/work"
	"github.com/shardstack/shardstack/internal/testenv"
)

// TestOffloadsAreAsTheWorkSays reads back what the kernel made of the features
// at both ends.
func TestOffloadsAreAsTheWorkSays(t *testing.T) {
	for offload, want := range map[bool]string{false: "off", true: "on"} {
		v, err := newVeth(&work.Spec{MTU: 1500, Offload: offload})
		if errors.Is(err, work.ErrMissing) {
			testenv.Missing(t, "%v", err)
		}
		require.NoError(t, err)
		for dev, s := range map[string]space{clientDev: v.client, serverDev: v.server} {
			var out []byte
			require.NoError(t, s.in(func() (err error) {
				out, err = exec.Command("ethtool", "-k", dev).CombinedOutput()
				return err
			}))
			for _, f := range []string{
				"rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload",
				"generic-segmentation-offload", "generic-receive-offload",
			} {
				require.Contains(t, string(out), f+": "+want, dev)
			}
		}
	}
}

// TestNamespacesAreApart shows that a device of one isn't seen in the other.
func TestNamespacesAreApart(t *testing.T) {
	v, err := newVeth(&work.Spec{MTU: 1400})
	if errors.Is(err, work.ErrMissing) {
		testenv.Missing(t, "%v", err)
	}
	require.NoError(t, err)
	require.NoError(t, v.client.in(func() error { return run("ip", "link", "show", "dev", clientDev) }))
	require.Error(t, v.server.in(func() error { return run("ip", "link", "show", "dev", clientDev) }))
	require.ErrorIs(t, run("no-such-tool"), work.ErrMissing)
}
