//go:build lwip

package lwip

/*
#cgo CFLAGS: -O2 -Wall -I/usr/include/lwip
#cgo LDFLAGS: -ldl
#include "peer.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"time"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/peers/work"
)

// maxConns is how many ports lwIP hands out (0xc000 to 0xffff).
const maxConns = 16384

// Run does one trial. Only one a process: lwIP can't be unloaded.
func Run(s *work.Spec) (float64, error) {
	what, ok := map[string]C.int{
		work.Bulk: C.WORK_BULK, work.RR: C.WORK_RR, work.CPS: C.WORK_CPS, work.UDP: C.WORK_UDP, work.Idle: C.WORK_IDLE,
	}[s.Work]
	switch {
	case !ok:
		return 0, work.NA("lwIP's raw API has no counterpart")
	case s.Offload:
		return 0, work.NA("lwIP has no segmentation offload, and its windows are 64 KiB")
	case s.Conns > maxConns:
		return 0, work.NA("lwIP has 16,384 ephemeral ports")
	}
	runtime.LockOSThread() // never unlocked: the pinned thread ends with us
	if err := affinity.Pin(s.Cores[0]); err != nil {
		return 0, err
	}
	t := C.struct_trial{
		work: what, conns: C.int(s.Conns), size: C.int(s.Size), mtu: C.int(s.MTU), in_flight: work.InFlight,
		warm: C.int64_t(s.Warm), time: C.int64_t(s.Time), timeout: C.int64_t(work.Timeout / time.Nanosecond),
	}
	if C.lwip_trial(&t) != 0 {
		return 0, errors.New("lwip: " + C.GoString(&t.fault[0]))
	}
	r := float64(t.result)
	switch s.Work {
	case work.Bulk:
		r *= 8 / 1e9
	case work.Idle:
		r /= float64(2 * s.Conns)
	}
	return r, nil
}
