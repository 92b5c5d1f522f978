package testenv

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a testing.TB that notes how a test would have ended.
type recorder struct {
	testing.TB
	end, why string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.stop("skip", format, args) }

func (r *recorder) Fatalf(format string, args ...any) { r.stop("fatal", format, args) }

func (r *recorder) stop(end, format string, args []any) {
	r.end, r.why = end, fmt.Sprintf(format, args...)
	runtime.Goexit() // as testing does
}

// record runs f as a test would run it.
func record(t *testing.T, f func(t testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestMissingSkipsWithReason(t *testing.T) {
	t.Setenv("CI", "")
	r := record(t, func(t testing.TB) { Tool(t, "no-such-program") })
	require.Equal(t, "skip", r.end)
	require.Contains(t, r.why, `"no-such-program"`)
}

func TestMissingFailsInCI(t *testing.T) {
	t.Setenv("CI", "true")
	for what, f := range map[string]func(t testing.TB){
		"no-such-program": func(t testing.TB) { Tool(t, "no-such-program") },
		"/no/such/device": func(t testing.TB) { Device(t, "/no/such/device") },
		"1000000 CPU":     func(t testing.TB) { Cores(t, 1000000) },
	} {
		r := record(t, f)
		require.Equal(t, "fatal", r.end)
		require.Contains(t, r.why, what)
	}
}

func TestToolFindsProgram(t *testing.T) {
	require.FileExists(t, Tool(t, "go"))
}

func TestCoresGivesCores(t *testing.T) {
	require.Len(t, Cores(t, 1), 1)
}

func TestNetnsIsDeletedAfterwards(t *testing.T) {
	var first, second string
	t.Run("two", func(t *testing.T) {
		first, second = Netns(t), Netns(t)
		require.NotEqual(t, first, second)
		out, err := ip("-n", first, "link", "show", "lo")
		require.NoError(t, err)
		require.Contains(t, out, "UP")
	})
	if first == "" {
		Missing(t, "network namespaces")
	}
	require.NoFileExists(t, "/run/netns/"+first)
	require.NoFileExists(t, "/run/netns/"+second)
}

func TestRootAgreesWithUser(t *testing.T) {
	t.Setenv("CI", "true")
	r := record(t, func(t testing.TB) { Root(t) })
	require.Equal(t, os.Geteuid() != 0, r.end == "fatal")
}
