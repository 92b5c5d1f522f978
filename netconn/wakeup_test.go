package netconn_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/port/mem"
)

// TestNoWakeUpIsLost has many goroutines ask and answer over shards that sleep
// as long as nobody wakes them, with pauses that hit every point of falling
// asleep, on one processor and on several. What waits on a wake-up that was lost
// waits for a deadline, and fails the test. The rings are short, so that
// goroutines also wait for shards with the lane's lock held.
func TestNoWakeUpIsLost(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		eachShards(t, func(t *testing.T, base setup) {
			t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				base.maxSleep = time.Hour
				base.wire = mem.Config{Pause: true}
				base.net = netconn.Config{Ring: 64}
				askAndAnswer(t, base, 24, 150)
			})
		})
	}
}

func askAndAnswer(t *testing.T, s setup, conns, rounds int) {
	t.Helper()
	cs, ss := pairs(t, newBed(t, s), conns)
	var wg sync.WaitGroup
	for i, c := range ss {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			b := make([]byte, 20_000)
			for {
				n, err := c.Read(b)
				if err != nil {
					return // closed
				}
				pause(rng)
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		})
	}
	for i, c := range cs {
		wg.Go(func() {
			defer c.Close()
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			b := make([]byte, 20_000)
			for range rounds {
				n := 1 + rng.IntN(100)
				if rng.IntN(16) == 0 {
					n = len(b)
				}
				if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					t.Error(err)
					return
				}
				pause(rng)
				if _, err := io.ReadFull(c, b[:n]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
}

// pause does nothing, yields, or is busy or asleep for some microseconds.
func pause(rng *rand.Rand) {
	switch k := rng.IntN(20); {
	case k < 4:
		runtime.Gosched()
	case k < 6:
		for until := time.Now().Add(time.Duration(rng.IntN(20_000))); time.Now().Before(until); {
		}
	case k == 6:
		time.Sleep(time.Duration(rng.IntN(200_000)))
	}
}
