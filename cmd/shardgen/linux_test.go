package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/internal/testenv"
)

// patternSum is the SHA-256 of the first n bytes that services send.
func patternSum(n int64) string {
	h := sha256.New()
	load.HashPattern(h, load.PatternSeed, n)
	return hex.EncodeToString(h.Sum(nil))
}

func TestLinuxPingFlood(t *testing.T) {
	l := newLab(t)
	l.serve(1)
	out := l.output("ping", "-q", "-f", "-c", "10000", labStack)
	require.Contains(t, out, "10000 packets transmitted, 10000 received, 0% packet loss")
	out = l.output("ping", "-q", "-c", "3", "-i", "0.01", "-s", "20000", labStack) // in fragments
	require.Contains(t, out, "3 packets transmitted, 3 received, 0% packet loss")
}

func TestLinuxAnswersPing(t *testing.T) {
	l := newLab(t)
	r := l.measure(1, "ping", "--count=1000", "--rate=0")
	require.Equal(t, uint64(1000), r.Totals.Operations)
	clean(t, r)
}

func TestLinuxCurlGetsOneGiB(t *testing.T) {
	l := newLab(t)
	l.serve(1)
	const size = 1 << 30
	h := sha256.New()
	cmd := l.cmd("curl", "-sS", "--fail", fmt.Sprintf("http://%s/bytes/%d", labStack, size))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = h, &log
	require.NoError(t, cmd.Run(), log.String())
	require.Equal(t, patternSum(size), hex.EncodeToString(h.Sum(nil)))

	const small = 5<<20 + 1
	out := l.output("curl", "-sS", "--fail", fmt.Sprintf("http://%s/sha256/%d", labStack, small))
	require.Equal(t, patternSum(small), strings.TrimSpace(out))
}

// nginx runs a server in the namespace until the test ends.
func (l *lab) nginx(body string) {
	l.t.Helper()
	dir := l.t.TempDir()
	conf := fmt.Sprintf(`user root; daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log info;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
  uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen 80; root %[1]s; }
}
`, dir)
	require.NoError(l.t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
	require.NoError(l.t, os.WriteFile(filepath.Join(dir, "index.html"), []byte(body), 0o600))
	cmd := l.cmd("nginx", "-c", filepath.Join(dir, "nginx.conf"))
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(l.t, cmd.Start())
	l.t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		if l.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			l.t.Logf("nginx: %s%s", log.String(), text)
		}
	})
	require.Eventually(l.t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "pid"))
		return err == nil
	}, waitLimit, waitStep, "nginx does not start: %s", &log)
}

func TestLinuxNginxAnswers100000Requests(t *testing.T) {
	l := newLab(t)
	body := strings.Repeat("It works. ", 61)
	l.nginx(body)
	r := l.measure(1, "http", "--count=100000", "--conns=64")
	require.Equal(t, uint64(100_000), r.Totals.Operations)
	require.Greater(t, r.Totals.BytesIn, uint64(100_000*len(body)))
	// nginx closes a connection after 1000 requests (keepalive_requests).
	require.Greater(t, r.Totals.Opened, uint64(64))
	clean(t, r)
}

// echoLoop is an echo server's connection, without io.Copy, which would splice
// through a pipe: two more file descriptors each.
func echoLoop(c net.Conn) {
	b := make([]byte, 2048)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err = c.Write(b[:n]); err != nil {
			return
		}
	}
}

func TestLinuxHolds10000Connections(t *testing.T) {
	const conns = 10_000
	needFiles(t, conns+500)
	l := newLab(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var now atomic.Int64
	l.listen("7", func(c net.Conn) {
		if now.Add(1) == conns { // all at a time: let them talk a while
			time.AfterFunc(time.Second, cancel)
		}
		echoLoop(c)
		now.Add(-1)
	})
	r := measureUntil(t, ctx, l.args(2, "rr", "--duration=0", fmt.Sprint("--conns=", conns))...)
	require.ErrorIs(t, ctx.Err(), context.Canceled, "never were %d connections open at a time", conns)
	require.EqualValues(t, conns, r.Totals.Opened)
	require.Greater(t, r.Totals.Operations, uint64(conns))
	clean(t, r)
}

// needFiles asks for so many file descriptors.
func needFiles(t testing.TB, n uint64) {
	t.Helper()
	var lim unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Cur >= n {
		return
	}
	want := unix.Rlimit{Cur: n, Max: max(lim.Max, n)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		testenv.Missing(t, "%d file descriptors for this process (RLIMIT_NOFILE is %d): %v", n, lim.Max, err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &lim) })
}

func TestLinuxReturnsDatagrams(t *testing.T) {
	l := newLab(t)
	var pc net.PacketConn
	require.NoError(t, l.inside(func() (err error) {
		if pc, err = net.ListenPacket("udp4", ":7"); err == nil {
			err = forceBuffer(pc.(*net.UDPConn), 8<<20)
		}
		return err
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:n], from) // a loss shows in the report
		}
	}()
	t.Cleanup(func() {
		_ = pc.Close()
		<-done
	})
	for _, size := range []string{"64", "1400", "9000"} { // the last in fragments
		r := l.measure(2, "udp", "--echo", "--count=1000", "--rate=2k", "--size="+size)
		require.Equal(t, uint64(1000), r.Loss.Received, "size %s", size)
		require.EqualValues(t, 1000, r.Latency.Samples)
		clean(t, r)
	}
}

// forceBuffer makes room for n bytes of datagrams, past the system's limit.
func forceBuffer(c *net.UDPConn, n int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n)
	})
	return errors.Join(err, serr)
}

func TestLinuxSendsDatagrams(t *testing.T) {
	l := newLab(t)
	l.serve(2)
	for i := range 20 {
		c, err := l.dial("udp4", "7")
		require.NoError(t, err)
		msg := []byte(strings.Repeat(fmt.Sprint(i, " "), 1+i*100))
		_, err = c.Write(msg)
		require.NoError(t, err)
		got := make([]byte, len(msg)+1)
		require.NoError(t, c.SetReadDeadline(soon()))
		n, err := c.Read(got)
		require.NoError(t, err)
		require.Equal(t, msg, got[:n])
		require.NoError(t, c.Close())
	}
}

// TestLinuxUsesBothShards: two queues of a TAP device, which spreads flows as it
// likes; each connection is served by the shard that its hash says.
func TestLinuxUsesBothShards(t *testing.T) {
	l := newLab(t)
	end := l.serve(2)
	for range 64 {
		c, err := l.dial("tcp4", "7")
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		b := make([]byte, 5)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b))
		require.NoError(t, c.Close())
	}
	r := end()
	require.Equal(t, uint64(64), r.Totals.Opened)
	for _, s := range r.Shards {
		require.NotZero(t, s.Totals.Opened, "shard %d took no connection", s.Shard)
	}
	clean(t, r)
}

func TestLinuxConnectionsFromBothShards(t *testing.T) {
	l := newLab(t)
	l.listen("7", echoLoop)
	for _, args := range [][]string{{"rr", "--count=20000"}, {"cps", "--count=5000"}, {"rr", "--count=20000", "--queues=1"}} {
		r := l.measure(2, args...)
		require.Zero(t, r.Totals.Failed, r.Problems)
		require.Len(t, r.Shards, 2)
		for _, s := range r.Shards {
			require.NotZero(t, s.Totals.Operations, "%v: shard %d did nothing", args, s.Shard)
		}
		clean(t, r)
	}
}

func TestLinuxIsAGateway(t *testing.T) {
	l := newLab(t)
	l.output("ip", "addr", "add", "198.18.7.7/32", "dev", "lo")
	r := l.measure(1, "ping", "--count=10", "--rate=0", "--to=198.18.7.7", "--gateway="+labKernel)
	require.Equal(t, uint64(10), r.Totals.Operations)
	clean(t, r)
	code, _, stderr := shardgen(t, l.args(1, "ping", "--count=1", "--to=198.18.7.7")...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "no route")
}

func TestLinuxSeesAllOurAddresses(t *testing.T) {
	l := newLab(t)
	var mu sync.Mutex
	seen := map[string]int{}
	l.listen("7", func(c net.Conn) {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		mu.Lock()
		seen[host]++
		mu.Unlock()
		echoLoop(c)
	})
	r := l.measure(2, "cps", "--count=400", "--addr=198.18.0.3/24,198.18.0.4/24")
	clean(t, r)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, seen, 3)
	for host, n := range seen {
		require.Greater(t, n, 100, host)
	}
}
