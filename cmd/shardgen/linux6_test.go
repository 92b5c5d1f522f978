package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
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

// TestLinux6RFC4862_Autoconfiguration: radvd advertises a prefix, and the stack
// makes an address of it that Linux reaches, on two shards.
func TestLinux6RFC4862_Autoconfiguration(t *testing.T) {
	l := newLab6(t)
	l.more = append(l.more, "--autoconf")
	l.serve(2)
	dir := t.TempDir()
	conf := filepath.Join(dir, "radvd.conf")
	require.NoError(t, os.WriteFile(conf, []byte("interface "+labDevice+` {
  AdvSendAdvert on; IgnoreIfMissing off; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 60;
  prefix 2001:db8:a::/64 { AdvOnLink on; AdvAutonomous on; };
};
`), 0o600))
	l.output("ip", "addr", "add", "2001:db8:a::1/64", "dev", labDevice, "nodad")
	cmd := l.cmd("radvd", "-n", "-m", "stderr", "-C", conf, "-p", filepath.Join(dir, "pid"))
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	})
	// The interface identifier is made of the MAC, which Linux has learnt.
	l.output("ping", "-6", "-q", "-c", "1", labStack6)
	neigh := l.output("ip", "-6", "neigh", "show", labStack6)
	_, after, ok := strings.Cut(neigh, "lladdr ")
	require.True(t, ok, neigh)
	mac, err := net.ParseMAC(strings.Fields(after)[0])
	require.NoError(t, err)
	ll := header.LinkLocalOf(header.MAC(mac).InterfaceID())
	b := ll.As16()
	copy(b[:8], []byte{0x20, 1, 0xd, 0xb8, 0, 0xa, 0, 0})
	auto := netip.AddrFrom16(b)
	require.Eventually(t, func() bool {
		return l.cmd("ping", "-6", "-q", "-c", "1", "-W", "1", auto.String()).Run() == nil
	}, waitLimit, 100*time.Millisecond, "%v does not answer: %s", auto, &log)
	h := l.output("curl", "-sS", "--fail", fmt.Sprintf("http://[%v]/sha256/%d", auto, 1<<20))
	require.Equal(t, patternSum(1<<20), strings.TrimSpace(h))
}
