package port_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
)

func openDoorbell(t *testing.T) *port.Doorbell {
	t.Helper()
	d := new(port.Doorbell)
	require.NoError(t, d.Open())
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// readable asks poll(2), waiting up to ms milliseconds.
func readable(t *testing.T, fd, ms int) bool {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		return n == 1
	}
}

func TestDoorbellRingsOnlyWhileArmed(t *testing.T) {
	d := openDoorbell(t)
	d.Ring()
	require.False(t, readable(t, d.FD(), 0), "nobody sleeps")
	d.Arm()
	require.False(t, readable(t, d.FD(), 0), "nobody rang")
	d.Ring()
	require.True(t, readable(t, d.FD(), 0))
	require.True(t, readable(t, d.FD(), 0), "level, not edge")
	d.Ring()
	d.Disarm()
	require.False(t, readable(t, d.FD(), 0), "awake again")
	d.Ring()
	require.False(t, readable(t, d.FD(), 0))
	d.Disarm() // a second time does nothing
	d.Arm()
	d.Disarm()
	d.Ring()
	require.False(t, readable(t, d.FD(), 0), "disarmed before the ring")
}

// With a function there is no descriptor, and one call an Arm.
func TestDoorbellCall(t *testing.T) {
	var d port.Doorbell
	calls := 0
	d.Call(func() { calls++ })
	d.Ring()
	require.Zero(t, calls, "nobody sleeps")
	for i := range 3 {
		d.Arm()
		d.Ring()
		d.Ring()
		require.Equal(t, i+1, calls)
		d.Disarm()
		d.Ring()
		require.Equal(t, i+1, calls, "awake again")
	}
	require.Equal(t, -1, d.FD())
	require.NoError(t, d.Close())
}

func TestDoorbellZeroValue(t *testing.T) {
	var d port.Doorbell
	require.Equal(t, -1, d.FD())
	d.Ring()
	d.Disarm()
	require.NoError(t, d.Close(), "nothing to close")
	require.NoError(t, d.Open())
	fd := d.FD()
	require.NoError(t, d.Open(), "open already")
	require.Equal(t, fd, d.FD())
	require.NoError(t, d.Close())
	require.Equal(t, -1, d.FD())
}

// No wake-up is lost between two threads: the sleeper would sit in poll for ten
// seconds and fail.
func TestDoorbellTwoThreads(t *testing.T) {
	d := openDoorbell(t)
	const rounds = 2000
	var given atomic.Int64
	taken := make(chan struct{}, 1)
	go func() {
		for range rounds {
			given.Add(1)
			d.Ring()
			<-taken
		}
	}()
	for seen := int64(0); seen < rounds; seen++ {
		for given.Load() == seen {
			d.Arm()
			if given.Load() == seen {
				require.True(t, readable(t, d.FD(), int(10*time.Second/time.Millisecond)), "lost wake-up")
			}
			d.Disarm()
		}
		taken <- struct{}{}
	}
}

func TestDoorbellAllocatesNothing(t *testing.T) {
	d := openDoorbell(t)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d.Arm()
		d.Ring()
		d.Disarm()
	}))
}
