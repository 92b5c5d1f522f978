package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPacer_SpendsAtTheRate: bytes go no faster than the rate, and after a wait
// of just what delay says.
func TestPacer_SpendsAtTheRate(t *testing.T) {
	for _, rate := range []uint64{1e4, 12_500_000, 125_000_000, 12_500_000_000} {
		p := pacer{rate: rate}
		start := int64(time.Hour)
		now, sent := start, uint64(0)
		for sent < rate && now < start+3e8 {
			for p.delay(now) == 0 {
				n := min(p.room(now, 1448), 65536)
				require.NotZero(t, n)
				p.spend(n, now)
				sent += uint64(n)
			}
			now += p.delay(now)
		}
		// What is ahead is a tick's worth and a segment.
		most := rate*uint64(now-start+paceTick)/1e9 + 65536
		require.LessOrEqual(t, sent, most, "%d bytes/s", rate)
		require.GreaterOrEqual(t, sent, rate*uint64(now-start)/1e9, "%d bytes/s", rate)
	}
}

// TestPacer_IdleTimeGivesNoCredit: after a pause a burst is as small as ever.
func TestPacer_IdleTimeGivesNoCredit(t *testing.T) {
	p := pacer{rate: 1e7}
	p.spend(1000, 0)
	now := int64(time.Minute)
	require.Zero(t, p.delay(now))
	require.Equal(t, uint32(2621), p.room(now, 1000))
	p.spend(5000, now)
	require.Equal(t, int64(500_000-paceTick), p.delay(now))
	require.Zero(t, p.room(now, 1000))
}

func TestPacer_Bounds(t *testing.T) {
	var p pacer
	p.set(0)
	require.Equal(t, uint32(1<<30), p.room(0, 1000))
	require.Zero(t, p.delay(0))
	p.cap = 1000
	p.set(0)
	require.Equal(t, uint64(1000), p.rate, "the bound alone paces")
	p.set(500)
	require.Equal(t, uint64(500), p.rate)
	p.set(5000)
	require.Equal(t, uint64(1000), p.rate)
	p.set(^uint64(0))
	p.cap = 0
	p.set(^uint64(0))
	p.spend(1<<30, 5)
	require.Zero(t, p.delay(5), "no overflow")
	require.GreaterOrEqual(t, p.room(1<<40, 1000), uint32(1<<28))
}

// TestPacing_Connection: a connection with a bound sends at it, evenly.
func TestPacing_Connection(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.pcb.SetMaxPacingRate(1e6) // a segment a ms
	sc.run(`write 10000`)
	start, n := sc.now, 0
	for n < 10 {
		require.Less(t, sc.now, start+20e6)
		n += len(sc.out)
		require.LessOrEqual(t, n, int((sc.now-start)/1e6)+2)
		require.GreaterOrEqual(t, n+1, int((sc.now-start)/1e6))
		sc.out = nil
		sc.advance(100_000)
		checkInvariants(t, sc.s)
	}
	sc.run(`
		< A 1 ack=10001
		acked 10000
		>
	`)
	sc.pcb.SetMaxPacingRate(0)
	sc.run(`
		write 3000
		> A 10001 len=1000
		> A 11001 len=1000
		> A 12001 len=1000
	`)
}

// TestPacing_NothingInFlight: a paced connection that waits with nothing in
// flight does not take it for a closed window.
func TestPacing_NothingInFlight(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.pcb.SetMaxPacingRate(10_000) // a segment in 100 ms
	sc.run(`
		write 2000
		> A 1 len=1000
		< A 1 ack=1001
		>
		+50ms
		>
		+60ms
		> A 1001 len=1000
		< A 1 ack=2001
	`)
	require.Zero(t, sc.s.stats.TCP.PersistProbes)
	require.Zero(t, sc.s.stats.TCP.RetransSegs)
}

// TestPacing_Close: a connection that goes while it waits leaves nothing behind,
// and its part is used again.
func TestPacing_Close(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.pcb.SetMaxPacingRate(1000)
	sc.run(`
		write 5000
		abort
		+10s
	`)
	require.Len(t, sc.s.tcp.owns, 1)
	require.Equal(t, ownCC{}, *sc.s.tcp.owns[0])
}
