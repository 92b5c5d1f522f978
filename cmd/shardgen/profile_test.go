package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

func TestCPUProfile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cpu.prof")
	measureJSON(t, "rr", "--duration=300ms", "--cpuprofile="+name, corelist(t, 1))
	out, err := exec.Command(testenv.Tool(t, "go"), "tool", "pprof", "-top", "-nodecount=1000", name).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "shardstack/stack.(*Stack)")
}

func TestCPUProfileThatCannotBeWritten(t *testing.T) {
	code, _, stderr := shardgen(t, "rr", "--cpuprofile="+t.TempDir())
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--cpuprofile: open")
	require.NoError(t, profiled("", func() error { return nil }))
	require.ErrorIs(t, profiled(filepath.Join(t.TempDir(), "p"), func() error { return os.ErrClosed }), os.ErrClosed)
}
