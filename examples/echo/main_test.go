package main

import (
	"bytes"
	"fmt"
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

// TestEchoAnswersTheKernel builds the example and runs it as a user would, in a
// network namespace of its own.
func TestEchoAnswersTheKernel(t *testing.T) {
	testenv.Device(t, "/dev/net/tun")
	bash := testenv.Tool(t, "bash")
	core := testenv.Cores(t, 1)[0]
	ns := testenv.Netns(t)
	program := filepath.Join(t.TempDir(), "echo")
	out, err := exec.Command(testenv.Tool(t, "go"), "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	cmd := exec.Command("ip", "netns", "exec", ns, program, "--corelist", fmt.Sprint(core))
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "port 7") }, 20*time.Second, 5*time.Millisecond, "%s", &log)

	const talk = `exec 3<>/dev/tcp/198.18.0.2/7; echo hello, shards >&3; head -n 1 <&3`
	out, err = exec.Command("ip", "netns", "exec", ns, bash, "-c", talk).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "hello, shards\n", string(out))

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, <-ended, "%s", &log)
}
