package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinux6Ping(t *testing.T) {
	l := newLab6(t)
	l.serve(2)
	out := l.output("ping", "-6", "-q", "-f", "-c", "2000", labStack6)
	require.Contains(t, out, "2000 packets transmitted, 2000 received, 0% packet loss")
	out = l.output("ping", "-6", "-q", "-c", "3", "-i", "0.01", "-s", "60000", labStack6) // in fragments
	require.Contains(t, out, "3 packets transmitted, 3 received, 0% packet loss")
	out = l.output("ping", "-6", "-q", "-c", "3", "-i", "0.01", "ff02::1%"+labDevice)
	require.Contains(t, out, "3 packets transmitted, 3 received", "the group of all nodes")
}

func TestLinux6AnswersPing(t *testing.T) {
	l := newLab6(t)
	r := l.measure(2, "ping", "--to="+labKernel6, "--count=500", "--rate=0")
	require.Equal(t, uint64(500), r.Totals.Operations)
	clean(t, r)
}

func TestLinux6CurlGetsAndHashes(t *testing.T) {
	l := newLab6(t)
	l.serve(2)
	const size = 64 << 20
	h := sha256.New()
	cmd := l.cmd("curl", "-sS", "--fail", fmt.Sprintf("http://[%s]/bytes/%d", labStack6, size))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = h, &log
	require.NoError(t, cmd.Run(), log.String())
	require.Equal(t, patternSum(size), hex.EncodeToString(h.Sum(nil)))
}

func TestLinux6Exchanges(t *testing.T) {
	l := newLab6(t)
	l.listen6("7", echoLoop)
	r := l.measure(2, "rr", "--to=["+labKernel6+"]:7", "--count=2000", "--conns=32")
	require.Equal(t, uint64(2000), r.Totals.Operations)
	clean(t, r)
	r = l.measure(2, "cps", "--to=["+labKernel6+"]:7", "--count=500", "--conns=8")
	require.Equal(t, uint64(500), r.Totals.Operations)
	clean(t, r)
}
