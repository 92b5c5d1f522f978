// Package testenv gives tests what they need of the machine: root, tools,
// network namespaces, devices, CPU cores.
//
// A helper that does not find its thing skips the test and says why. Where the
// environment variable CI is "true" it fails the test instead, so that nothing
// is left untested unnoticed.
//
// The package is for tests only; the import graph at the root holds that.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// InCI tells whether missing things fail tests.
func InCI() bool { return os.Getenv("CI") == "true" }

// Missing ends the test because the machine lacks something: it fails under
// CI=true and is skipped, with the reason, elsewhere. Call it on the test's
// own goroutine.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	if InCI() {
		t.Fatalf("CI=true, and this machine has no %s", why)
	}
	t.Skipf("SKIPPED: this machine has no %s", why)
}

// Root asks for an effective user id of 0.
func Root(t testing.TB) {
	t.Helper()
	if euid := os.Geteuid(); euid != 0 {
		Missing(t, "root for this test (effective user id %d)", euid)
	}
}

// Tool gives the path of a program on PATH. `make deps` installs those that
// the tests ask for.
func Tool(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "program %q on PATH (try `make deps`): %v", name, err)
	}
	return p
}

// Device asks for a device file that can be opened for reading and writing,
// as /dev/net/tun.
func Device(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		Missing(t, "usable %s: %v", path, err)
	}
	if err := f.Close(); err != nil {
		t.Fatalf("close %s: %v", path, err)
	}
}

// Cores asks for at least n CPU cores that this process may run on, and gives
// the first n by number.
func Cores(t testing.TB, n int) []int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatalf("sched_getaffinity: %v", err)
	}
	var cores []int
	for c := 0; c < len(set)*64 && len(cores) < n; c++ {
		if set.IsSet(c) {
			cores = append(cores, c)
		}
	}
	if len(cores) < n {
		Missing(t, "%d CPU cores for this process (%d allowed)", n, set.Count())
	}
	return cores
}

// serial numbers the namespaces of this process.
var serial atomic.Uint32

// Netns makes a network namespace with the loopback up, gives its name as
// `ip netns` knows it, and deletes it when the test ends. Needs root and ip.
func Netns(t testing.TB) string {
	t.Helper()
	Root(t)
	Tool(t, "ip")
	name := fmt.Sprintf("shardstack-%d-%d", os.Getpid(), serial.Add(1))
	if out, err := ip("netns", "add", name); err != nil {
		Missing(t, "right to make network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := ip("netns", "del", name); err != nil {
			t.Errorf("ip netns del %s: %v: %s", name, err, out)
		}
	})
	if out, err := ip("-n", name, "link", "set", "lo", "up"); err != nil {
		t.Fatalf("loopback of %s: %v: %s", name, err, out)
	}
	return name
}

// ip runs iproute2 and gives what it printed.
func ip(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
