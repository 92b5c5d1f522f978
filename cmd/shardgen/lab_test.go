package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/internal/testenv"
)

// The addresses of a lab (RFC 2544 appendix C): the stack's and the kernel's.
const (
	labStack  = "198.18.0.1"
	labKernel = "198.18.0.2"
	labDevice = "gen0"

	labStack6  = "2001:db8::1"
	labKernel6 = "2001:db8::2"
)

// lab is a network namespace whose kernel the stack talks to over a TAP device.
type lab struct {
	t    testing.TB
	ns   string
	more []string // arguments of all commands
	port []string // flags of the stack's port; nil: the TAP device
}

// newLab makes a namespace. Needs root, ip and /dev/net/tun.
func newLab(t testing.TB) *lab {
	t.Helper()
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	return &lab{t: t, ns: testenv.Netns(t)}
}

// args completes a command line with the device and cores.
func (l *lab) args(cores int, args ...string) []string {
	l.t.Helper()
	if l.port != nil {
		return append(append(append(args, l.more...), corelist(l.t, cores), "--addr="+labStack+"/24", "--json", "--interval=0"), l.port...)
	}
	return append(append(args, l.more...), corelist(l.t, cores), "--port=tap:"+labDevice, "--netns="+l.ns,
		"--addr="+labStack+"/24", "--kernel-addr="+labKernel+"/24", "--json", "--interval=0")
}

// newLab6 is a lab whose ends have IPv6 addresses, too.
func newLab6(t testing.TB) *lab {
	l := newLab(t)
	l.more = []string{"--addr=" + labStack6 + "/64", "--kernel-addr=" + labKernel6 + "/64"}
	return l
}

// measure runs a generator on the given number of shards.
func (l *lab) measure(cores int, args ...string) *report {
	l.t.Helper()
	return measureJSON(l.t, l.args(cores, args...)...)
}

// cmd is a program that runs inside of the namespace.
func (l *lab) cmd(name string, args ...string) *exec.Cmd {
	l.t.Helper()
	testenv.Tool(l.t, name)
	return exec.Command("ip", append([]string{"netns", "exec", l.ns, name}, args...)...)
}

// output runs a program inside of the namespace and gives what it prints.
func (l *lab) output(name string, args ...string) string {
	l.t.Helper()
	out, err := l.cmd(name, args...).CombinedOutput()
	require.NoError(l.t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// lockedBuffer is a buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve runs "shardgen serve" on the given number of shards; what it returns
// ends it and gives its report.
func (l *lab) serve(cores int, args ...string) (end func() *report) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out, log lockedBuffer
	code := make(chan int, 1)
	list := l.args(cores, append([]string{"serve"}, args...)...)
	go func() { code <- run(ctx, list, &out, &log) }()
	ended := false
	end = func() *report {
		l.t.Helper()
		ended = true
		cancel()
		require.Equal(l.t, exitOK, <-code, log.String())
		r := new(report)
		require.NoError(l.t, json.Unmarshal([]byte(out.String()), r))
		require.Zero(l.t, r.TCP.BadSegments)
		return r
	}
	l.t.Cleanup(func() {
		if !ended {
			end()
		}
	})
	for !strings.Contains(log.String(), "serving") {
		select {
		case c := <-code:
			code <- c
			l.t.Fatalf("serve ended at once with %d: %s", c, log.String())
		case <-time.After(time.Millisecond):
		}
	}
	return end
}

// inside runs f on a thread that is in the namespace; sockets that f opens stay
// there.
func (l *lab) inside(f func() error) error {
	return netspace.Do(l.ns, f)
}

// listen opens a listener of the kernel's in the namespace and gives each
// connection to serve on a goroutine of its own. At the end of the test all are
// closed: a peer whose device is gone never says so.
func (l *lab) listen(port string, serve func(c net.Conn)) {
	l.t.Helper()
	l.listenOn("tcp4", port, serve)
}

// listen6 is listen over IPv6.
func (l *lab) listen6(port string, serve func(c net.Conn)) {
	l.t.Helper()
	l.listenOn("tcp6", port, serve)
}

func (l *lab) listenOn(network, port string, serve func(c net.Conn)) {
	l.t.Helper()
	// The address is there once a device is: listen on all.
	var ln net.Listener
	require.NoError(l.t, l.inside(func() (err error) {
		ln, err = net.Listen(network, ":"+port)
		return err
	}))
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				serve(c)
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				_ = c.Close()
			})
		}
	})
	l.t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// dial opens a connection of the kernel's to the stack.
func (l *lab) dial(network, port string) (c net.Conn, err error) {
	err = l.inside(func() (err error) {
		c, err = net.DialTimeout(network, net.JoinHostPort(labStack, port), waitLimit)
		return err
	})
	return c, err
}

// How long tests wait for another program.
const (
	waitLimit = 20 * time.Second
	waitStep  = 5 * time.Millisecond
)

// soon is a deadline that is only met when something is broken.
func soon() time.Time { return time.Now().Add(waitLimit) }

// clean asserts that a report tells of no loss.
func clean(t testing.TB, r *report) {
	t.Helper()
	require.Zero(t, r.Totals.Failed+r.Totals.Errors, r.Problems)
	require.Zero(t, r.TCP.BadSegments)
	require.Zero(t, r.Device)
	if r.Loss != nil {
		require.Zero(t, r.Loss.Lost)
	}
}
