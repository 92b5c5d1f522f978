// Package linux does the works on the kernel's own stack: sockets in two
// network namespaces joined by a veth pair.
package linux

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

const (
	port       = 7
	clientDev  = "client0"
	serverDev  = "server0"
	prefixLen  = "/15"
	maxSources = 8 // client addresses, so that ports suffice
)

var serverAddr = [4]byte{198, 19, 0, 1}

func clientAddr(i int) [4]byte { return [4]byte{198, 18, 0, byte(1 + i%maxSources)} }

// space is a network namespace. It has no name: it ends with the process.
type space struct{ f *os.File }

// veth is two namespaces and the pair between them.
type veth struct{ client, server space }

// in runs fn on a thread inside the namespace. The thread never returns to Go's
// pool, so nothing else runs there by mistake.
func (s space) in(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(s.f.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

// path names the namespace for iproute2.
func (s space) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.f.Fd()) }

func newSpace() (s space, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = work.Missing("a network namespace needs root: %v", err)
			return
		}
		s.f, err = os.Open("/proc/thread-self/ns/net")
	}()
	<-done
	return s, err
}

// newVeth makes both namespaces, with addresses, offloads and limits set.
func newVeth(s *work.Spec) (*veth, error) {
	var v veth
	var err error
	if v.client, err = newSpace(); err != nil {
		return nil, err
	}
	if v.server, err = newSpace(); err != nil {
		return nil, err
	}
	if err := v.client.in(func() error {
		if err := run("ip", "link", "add", clientDev, "type", "veth", "peer", "name", serverDev, "netns", v.server.path()); err != nil {
			return err
		}
		var addrs []string
		for i := range maxSources {
			a := clientAddr(i)
			addrs = append(addrs, fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3]))
		}
		return setUp(s, clientDev, addrs)
	}); err != nil {
		return nil, err
	}
	return &v, v.server.in(func() error { return setUp(s, serverDev, []string{"198.19.0.1"}) })
}

// setUp prepares the calling thread's namespace.
func setUp(s *work.Spec, dev string, addrs []string) error {
	for _, a := range addrs {
		if err := run("ip", "addr", "add", a+prefixLen, "dev", dev); err != nil {
			return err
		}
	}
	state := "off"
	if s.Offload {
		state = "on"
	}
	features := []string{"-K", dev}
	for _, f := range []string{"rx", "tx", "sg", "tso", "gso", "gro"} {
		features = append(features, f, state)
	}
	for _, c := range [][]string{
		append([]string{"ethtool"}, features...),
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "set", dev, "mtu", strconv.Itoa(s.MTU), "txqueuelen", "10000", "up"},
	} {
		if err := run(c[0], c[1:]...); err != nil {
			return err
		}
	}
	for _, kv := range [][2]string{
		{"ipv4/ip_local_port_range", "1024 65535"},
		{"ipv4/tcp_max_tw_buckets", "1"}, // ports are free again at once, as in a generator
		{"ipv4/tcp_rmem", "4096 131072 4194304"},
		{"ipv4/tcp_wmem", "4096 131072 4194304"},
		{"ipv4/tcp_max_syn_backlog", "65536"},
		{"core/somaxconn", "65536"},
		{"ipv4/tcp_syncookies", "0"},
	} {
		if err := os.WriteFile("/proc/sys/net/"+kv[0], []byte(kv[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// run runs a tool on the calling thread, so in its namespace.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			return work.Missing("%s: %v", name, err)
		}
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
