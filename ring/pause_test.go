package ring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A pause gets longer while little comes of it and shorter when much does, within
// bounds, on each side by itself.
func TestPauseAdapts(t *testing.T) {
	r := newSPSC[uint64](t, 64)
	vs := make([]uint64, 64)
	for want := uint32(pauseMin); want <= pauseMax; want *= 2 {
		r.PausePop()
		require.Equal(t, want, r.cons.turns)
	}
	r.PausePop()
	require.EqualValues(t, pauseMax, r.cons.turns, "no longer")
	require.Zero(t, r.prod.turns)

	move := func(n int) {
		require.Equal(t, n, r.PushBatch(vs[:n]))
		require.Equal(t, n, r.PopBatch(vs))
	}
	for _, n := range []int{16, 32} { // between a quarter and a half of the ring
		move(n)
		r.PausePop()
		require.EqualValues(t, pauseMax, r.cons.turns)
	}
	for want := uint32(pauseMax / 2); want >= pauseMin; want /= 2 {
		move(33)
		r.PausePop()
		require.Equal(t, want, r.cons.turns)
	}
	move(64)
	r.PausePop()
	require.EqualValues(t, pauseMin, r.cons.turns, "no shorter")
	move(15)
	r.PausePop()
	require.EqualValues(t, 2*pauseMin, r.cons.turns)

	r.PausePush() // has moved much since the ring was made
	require.EqualValues(t, pauseMin, r.prod.turns)
	r.PausePush()
	require.EqualValues(t, 2*pauseMin, r.prod.turns)
}

// Two threads that wait for each other with pauses lose nothing and mix nothing up.
func TestPausesBetweenThreads(t *testing.T) {
	const batches, size = 20000, 32
	r := newSPSC[uint64](t, 128)
	go func() {
		var b [size]uint64
		for i := range uint64(batches) {
			for k := range b {
				b[k] = i*size + uint64(k)
			}
			for !r.PushBulk(b[:]) {
				r.PausePush()
			}
		}
	}()
	var b [size]uint64
	for i := range uint64(batches) {
		for !r.PopBulk(b[:]) {
			r.PausePop()
		}
		for k, v := range b {
			if v != i*size+uint64(k) {
				t.Fatalf("batch %d has %d at %d", i, v, k)
			}
		}
	}
	require.Zero(t, r.Len())
}
