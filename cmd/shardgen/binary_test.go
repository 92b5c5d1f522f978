package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// build makes the program as users have it, with more flags of go build's.
func build(t testing.TB, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shardgen")
	out, err := exec.Command(testenv.Tool(t, "go"), append(append([]string{"build"}, flags...), "-o", program, ".")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// start runs a program until it has printed the live line once.
func start(t testing.TB, program string, args ...string) (cmd *exec.Cmd, stdout, stderr *lockedBuffer) {
	t.Helper()
	stdout, stderr = new(lockedBuffer), new(lockedBuffer)
	cmd = exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // has ended, unless the test failed
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "transactions/s") }, waitLimit, waitStep, "%s", stderr)
	return cmd, stdout, stderr
}

func TestFirstInterruptEndsInOrder(t *testing.T) {
	program := build(t)
	cmd, stdout, stderr := start(t, program, "rr", "--duration=1h", "--interval=50ms", "--json", corelist(t, 2))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), stderr.String())
	require.Contains(t, stderr.String(), "once more to end at once")
	var r report
	require.NoError(t, json.Unmarshal([]byte(stdout.String()), &r))
	require.NotZero(t, r.Totals.Operations)
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 2)
	ended := make(chan string, 2)
	go heed(signals, func() { ended <- "in order" }, func(code int) { ended <- fmt.Sprint("at once, ", code) })
	signals <- os.Interrupt
	require.Equal(t, "in order", <-ended)
	require.Empty(t, ended)
	signals <- os.Interrupt
	require.Equal(t, "at once, 130", <-ended)
}
