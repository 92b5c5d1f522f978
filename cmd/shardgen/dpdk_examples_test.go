//go:build dpdk

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// example builds an example of the project's and runs it beside a kernel that has
// the other end of a TAP device. It ends, without an error, with the test.
func (l *lab) example(name string, args ...string) {
	l.t.Helper()
	binary := filepath.Join(l.t.TempDir(), name)
	build := exec.Command(testenv.Tool(l.t, "go"), "build", "-tags", "dpdk", "-o", binary, "../../examples/"+name)
	out, err := build.CombinedOutput()
	require.NoError(l.t, err, string(out))
	l.output("ip", "tuntap", "add", "dev", labDevice, "mode", "tap", "multi_queue")
	l.kernelEnd(labDevice)
	cmd := l.cmd(binary, args...)
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(l.t, cmd.Start())
	l.t.Cleanup(func() {
		require.NoError(l.t, cmd.Process.Signal(os.Interrupt))
		require.NoError(l.t, cmd.Wait(), log.String())
	})
	require.Eventually(l.t, func() bool {
		return l.cmd("ping", "-c", "1", "-W", "1", labStack).Run() == nil
	}, 20*time.Second, 100*time.Millisecond, "no answer of %s", name)
}

// TestDPDKExample: it makes its device itself, and echoes what it is sent.
func TestDPDKExample(t *testing.T) {
	l := newLab(t)
	l.example("dpdk", "--device=net_tap0,iface="+labDevice, "--addr="+labStack+"/24", corelist(t, 1))
	text := strings.Repeat("What comes back is what was sent. ", 100)
	cmd := l.cmd("bash", "-c", "exec 3<>/dev/tcp/"+labStack+"/7 && cat >&3 && head -c "+"3400 <&3")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, text, string(out))
}

// TestDPDKOwnExample: it has set up DPDK, device and mempool itself.
func TestDPDKOwnExample(t *testing.T) {
	l := newLab(t)
	l.example("dpdkown", "-l", "0", "--no-huge", "-m", "256", "--no-shconf", "--file-prefix=own-test", "--log-level=error",
		"--vdev", "net_tap0,iface="+labDevice)
	out := l.output("ping", "-q", "-f", "-c", "200", labStack)
	require.Contains(t, out, "200 packets transmitted, 200 received, 0% packet loss")
}
