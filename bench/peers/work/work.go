// Package work says what each system is asked to do and how a trial of it is
// measured, so that all systems do the same.
package work

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Works. The unit of each is in Spec.Unit.
const (
	Bulk    = "bulk"     // one way, as fast as it goes; counted where it is read
	BulkGSO = "bulk-gso" // Bulk with segments of up to 64 KiB, cut and joined in software
	RR      = "rr"       // Size bytes there, Size bytes back, one at a time a connection
	CPS     = "cps"      // connect, Size bytes each way, close in both directions
	UDP     = "udp"      // datagrams of Size bytes one way; counted where they arrive
	Idle    = "idle"     // memory of one end of an idle connection
	Ring    = "ring"     // hand-over of pointers from core to core in batches of Size
	NetRR   = "net-rr"   // RR over net.Conn, a goroutine an end
	NetBulk = "net-bulk" // Bulk over net.Conn, a goroutine an end
)

// Spec is one trial.
type Spec struct {
	Work    string
	Conns   int
	Size    int // bytes of a message, a datagram or a write; pointers of a batch
	MTU     int
	Offload bool // checksums trusted to the wire, segments of up to 64 KiB
	Warm    time.Duration
	Time    time.Duration
	Cores   []int // at least one; two for Ring
}

// Unit names what the result counts.
func (s *Spec) Unit() string {
	switch s.Work {
	case Bulk, BulkGSO, NetBulk:
		return "Gbit/s"
	case RR, NetRR:
		return "transactions/s"
	case CPS:
		return "connections/s"
	case UDP:
		return "datagrams/s"
	case Idle:
		return "bytes"
	}
	return "ns/pointer"
}

// Bulk tells whether it is bulk data over the stack's own interface.
func (s *Spec) Bulk() bool { return s.Work == Bulk || s.Work == BulkGSO }

// Lower tells whether a lower figure is the better one.
func (s *Spec) Lower() bool { return s.Work == Idle || s.Work == Ring }

// Timeout bounds the set-up of a trial: connections opened, first bytes seen.
const Timeout = 60 * time.Second

// Until waits for done.
func Until(what string, done func() bool) error {
	for end := time.Now().Add(Timeout); !done(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: not done after %v", what, Timeout)
		}
	}
	return nil
}

// Rate lets a load run for Warm and then gives what count gained in a second
// of Time. Warm begins when something has been counted.
func (s *Spec) Rate(count func() uint64) (float64, error) {
	if err := Until(s.Work, func() bool { return count() > 0 }); err != nil {
		return 0, err
	}
	time.Sleep(s.Warm)
	n, t := count(), time.Now()
	time.Sleep(s.Time)
	// On a busy machine a short trial may see nothing: then it gets longer.
	if err := Until(s.Work, func() bool { return count() > n }); err != nil {
		return 0, err
	}
	d := count() - n
	return float64(d) / time.Since(t).Seconds(), nil
}

// Gbits is Rate of a counter of bytes, in Gbit/s.
func (s *Spec) Gbits(bytes func() uint64) (float64, error) {
	r, err := s.Rate(bytes)
	return r * 8 / 1e9, err
}

// QuietGC lets the collector run rarely: every system written in Go gets it.
// The heap may grow to a few GiB in a trial, never past the limit.
func QuietGC() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(8 << 30)
}
