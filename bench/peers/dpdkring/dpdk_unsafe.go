//go:build dpdk

package dpdkring

/*
#cgo pkg-config: libdpdk
#include "ring.h"
*/
import "C"

import (
	"errors"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// Run does one trial.
func Run(s *work.Spec) (float64, error) {
	if s.Work != work.Ring {
		return 0, work.NA("only its ring is compared")
	}
	r := C.peer_ring_new(work.RingSlots)
	if r == nil {
		return 0, errors.New("dpdkring: rte_ring_init failed")
	}
	batch := C.unsigned(s.Size)
	return s.HandOver(
		func(n uint64) { C.peer_ring_produce(r, C.uint64_t(n), batch) },
		func(n uint64) { C.peer_ring_consume(r, C.uint64_t(n), batch) },
	)
}
