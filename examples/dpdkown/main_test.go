//go:build dpdk

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// output is what a program has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestOwnDeviceAnswersPings runs the program as a user would, in a namespace of
// its own.
func TestOwnDeviceAnswersPings(t *testing.T) {
	testenv.Device(t, "/dev/net/tun")
	testenv.Tool(t, "ping")
	ns := testenv.Netns(t)
	program := filepath.Join(t.TempDir(), "own")
	out, err := exec.Command(testenv.Tool(t, "go"), "build", "-tags", "dpdk", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command("ip", "netns", "exec", ns, program,
		"-l", "0", "--no-huge", "--no-shconf", "--iova-mode=va", "-m", "256", "--no-telemetry", "-a", "ffff:ff:1f.7", "--vdev", "net_tap0,iface=own0")
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "answers pings") }, 30*time.Second, 5*time.Millisecond, "%s", &log)
	for _, args := range [][]string{
		{"ip", "addr", "add", "198.18.0.2/24", "dev", "own0"},
		{"ip", "link", "set", "own0", "up"},
		{"ping", "-q", "-f", "-c", "500", "198.18.0.1"},
	} {
		out, err = exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s %s", out, &log)
	}
	require.Contains(t, string(out), "500 received")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, <-ended, "%s", &log)
}
