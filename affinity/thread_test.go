//go:build linux

package affinity

import (
	"math"
	"os"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// onThread runs f on a thread of its own, which ends with it. f must not end
// the test by itself.
func onThread[T any](f func() T) T {
	c := make(chan T)
	go func() {
		runtime.LockOSThread()
		c <- f()
	}()
	return <-c
}

// kernelsView is what /proc says of the calling thread's cores.
func kernelsView() (string, error) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*(\S+)$`).FindSubmatch(text)
	if m == nil {
		return "", os.ErrNotExist
	}
	return string(m[1]), nil
}

func TestPin(t *testing.T) {
	allowed, err := Allowed()
	require.NoError(t, err)
	for _, core := range allowed.Cores() {
		var view string
		var at int
		var current Set
		err := onThread(func() (err error) {
			if err = Pin(core); err != nil {
				return err
			}
			for range 100 { // let the scheduler have a go
				runtime.Gosched()
			}
			if at, _, err = CPU(); err != nil {
				return err
			}
			if view, err = kernelsView(); err != nil {
				return err
			}
			current, err = Current()
			return err
		})
		require.NoError(t, err)
		require.Equal(t, core, at)
		require.Equal(t, []int{core}, current.Cores())
		require.Equal(t, current.String(), view)
	}
}

func TestUnpin(t *testing.T) {
	cores := testenv.Cores(t, 2)
	started, err := Start()
	require.NoError(t, err)
	var pinned, other, after, allowed Set
	err = onThread(func() (err error) {
		if err = Pin(cores[1]); err != nil {
			return err
		}
		if pinned, err = Current(); err != nil {
			return err
		}
		// What other threads and the process may do is not changed.
		type answer struct {
			s   Set
			err error
		}
		a := onThread(func() answer { s, err := Current(); return answer{s, err} })
		if other, err = a.s, a.err; err != nil {
			return err
		}
		if allowed, err = Allowed(); err != nil {
			return err
		}
		if err = Unpin(); err != nil {
			return err
		}
		after, err = Current()
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []int{cores[1]}, pinned.Cores())
	require.Equal(t, started, other)
	require.Equal(t, started, after)
	require.Equal(t, allowed, allowed.Intersect(started))
	require.GreaterOrEqual(t, allowed.Len(), 2)
}

func TestPinErrors(t *testing.T) {
	for _, core := range []int{-1, MaxCores} {
		require.ErrorIs(t, Pin(core), ErrRange)
	}
	require.ErrorIs(t, Apply(Set{}), ErrEmpty)

	online, err := Online()
	require.NoError(t, err)
	require.False(t, online.IsEmpty())
	missing := MaxCores - 1
	require.False(t, online.Contains(missing), "a machine of %d cores", MaxCores)
	err = onThread(func() error { return Pin(missing) })
	require.ErrorIs(t, err, ErrNotAllowed)
	require.ErrorContains(t, err, "1023: the machine has online "+online.String())

	// The kernel takes a set of which some cores exist.
	some := online
	require.NoError(t, some.Add(missing))
	err = onThread(func() error { return Apply(some) })
	require.ErrorIs(t, err, ErrPin)
}

// TestThisMachine asks the machine that the test runs on; whatever its control
// groups are, the answers have to fit together.
func TestThisMachine(t *testing.T) {
	allowed, err := Allowed()
	require.NoError(t, err)
	require.False(t, allowed.IsEmpty())
	require.NoError(t, allowed.Validate())
	online, err := Online()
	require.NoError(t, err)
	require.True(t, allowed.Minus(online).IsEmpty())
	require.ErrorIs(t, Set{}.Validate(), ErrEmpty)

	quota, err := CPUQuota()
	require.NoError(t, err)
	require.Greater(t, quota, 0.0)
	require.True(t, math.IsInf(quota, 1) || quota < 1e6)

	node, err := NUMANode(allowed.At(0))
	require.NoError(t, err)
	if _, err := os.Stat("/sys/devices/system/node"); err == nil {
		cores, err := NodeCores(node)
		require.NoError(t, err)
		require.True(t, cores.Contains(allowed.At(0)))
	}

	devices, err := os.ReadDir("/sys/bus/pci/devices")
	if err != nil {
		devices = nil // a machine without PCI has no such folder
	}
	for _, d := range devices {
		node, err := PCINUMANode(d.Name())
		require.NoError(t, err)
		require.GreaterOrEqual(t, node, NoNode)
	}
	_, err = PCINUMANode("ffffffff:ff:1f.7")
	require.ErrorIs(t, err, os.ErrNotExist)
}
