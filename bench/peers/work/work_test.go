package work

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTurnsAreFair has each connection sent on as often as the others, and
// never one whose answer is due.
func TestTurnsAreFair(t *testing.T) {
	var turns Turns[int]
	all := []int{0, 1, 2, 3, 4, 5, 6}
	due := make(map[int]bool)
	sent := make([]int, len(all))
	var order []int
	for _, c := range turns.Begin(all, 3) {
		due[c] = true
		order = append(order, c)
		sent[c]++
	}
	require.Len(t, order, 3)
	for range 70 - 3 {
		done := order[0]
		order = order[1:]
		delete(due, done)
		c := turns.Next(done)
		require.False(t, due[c])
		due[c] = true
		order = append(order, c)
		sent[c]++
	}
	for _, n := range sent {
		require.Equal(t, 10, n)
	}
}

func TestTurnsWithoutWaiting(t *testing.T) {
	var turns Turns[int]
	require.Equal(t, []int{1, 2}, turns.Begin([]int{1, 2}, 5))
	require.Equal(t, 2, turns.Next(2))
}

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, err := range []error{NA("no %s", "ports"), Again(ErrNA, NA("no ports").Error())} {
		require.ErrorIs(t, err, ErrNA)
		require.Equal(t, "not available: no ports", err.Error())
	}
	require.ErrorIs(t, Missing("root"), ErrMissing)
	require.False(t, errors.Is(Missing("root"), ErrNA))
}

func TestRateIsASecond(t *testing.T) {
	var c Counter
	stop := make(chan struct{})
	defer close(stop)
	begun := time.Now()
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				c.Add(1000)
			}
		}
	}()
	s := Spec{Work: Bulk, Time: 50 * time.Millisecond}
	r, err := s.Rate(c.Load)
	require.NoError(t, err)
	require.Positive(t, r)
	require.GreaterOrEqual(t, time.Since(begun), s.Time)
	require.LessOrEqual(t, r, 1e6*1.1, "no more than was counted")
}

func TestHandOverNeedsTwoCores(t *testing.T) {
	s := Spec{Work: Ring, Cores: []int{0}}
	_, err := s.HandOver(nil, nil)
	require.ErrorIs(t, err, ErrMissing)
}

func TestGrownCountsWhatIsKept(t *testing.T) {
	var keep [][]byte
	per, err := Grown(100, func() error {
		for range 100 {
			keep = append(keep, make([]byte, 4096))
		}
		return nil
	})
	require.NoError(t, err)
	require.InDelta(t, 4096, per, 2048)
	require.Len(t, keep, 100)
}

func TestUnits(t *testing.T) {
	for what, unit := range map[string]string{
		Bulk: "Gbit/s", NetBulk: "Gbit/s", RR: "transactions/s", NetRR: "transactions/s",
		CPS: "connections/s", UDP: "datagrams/s", Idle: "bytes", Ring: "ns/pointer",
	} {
		require.Equal(t, unit, (&Spec{Work: what}).Unit())
	}
}
