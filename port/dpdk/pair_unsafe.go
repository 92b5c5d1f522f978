//go:build dpdk

package dpdk

// #include "dev.h"
import "C"

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/shardstack/shardstack/header"
)

// pair is a wire between two devices of the driver net_ring. What is sent by
// queue i of one end arrives at queue i of the other, as the same mbuf.
type pair struct {
	mu    sync.Mutex
	ends  [2]*Port
	rings [2][]*C.struct_rte_ring // by receiver
	state *[2]C.int               // whether each end runs, for the other's thread
	open  int
}

// pairs numbers them.
var pairs atomic.Int32

// NewPair makes a wire in memory. It loses nothing: where the receiver is
// behind, TxBurst takes fewer frames. Errors match port.ErrConfig or are DPDK's.
// Any thread.
func NewPair(cfg PairConfig) (a, b *Port, err error) {
	if err := ensure(); err != nil {
		return nil, nil, err
	}
	cfg.Name = or(cfg.Name, fmt.Sprintf("pair%d_", pairs.Add(1)))
	w := &pair{state: (*[2]C.int)(C.sp_zalloc(64))}
	for i := range w.ends {
		c := Config{Device: fmt.Sprintf("net_ring_%s%d", cfg.Name, i), Queues: cfg.Queues, MTU: cfg.MTU, TxDesc: cfg.TxDesc, Polled: true}
		if err := c.Validate(); err != nil {
			w.free()
			return nil, nil, err
		}
		w.ends[i] = &Port{cfg: c.withDefaults(), pair: w}
	}
	if err := w.make(cfg.Name); err != nil {
		for i := range w.open {
			C.sp_remove(w.ends[i].d.port)
		}
		w.free()
		return nil, nil, err
	}
	return w.ends[0], w.ends[1], nil
}

// make makes the rings and the devices.
func (w *pair) make(name string) error {
	c := &w.ends[0].cfg
	for i := range w.rings {
		for q := range c.Queues {
			text := C.CString(fmt.Sprintf("%s%d_%d", name, i, q))
			r, err := C.sp_ring_new(text, C.uint32_t(1<<bits.Len(uint(c.TxDesc-1))))
			free(unsafe.Pointer(text))
			if r == nil {
				return fmt.Errorf("dpdk: no ring %s%d_%d: %w", name, i, q, err)
			}
			w.rings[i] = append(w.rings[i], r)
		}
	}
	for i, p := range w.ends {
		text := C.CString(fmt.Sprintf("%s%d", name, i))
		id := C.sp_ring_port(text, &w.rings[i][0], &w.rings[1-i][0], C.uint16_t(c.Queues))
		free(unsafe.Pointer(text))
		if id < 0 {
			return fmt.Errorf("dpdk: no pair %s: %w", name, errnoOf(id))
		}
		p.d.port = C.uint16_t(id)
		w.open++
		if err := p.configure(); err != nil {
			return err
		}
		if p.info.MAC.IsZero() {
			p.info.MAC = header.MAC{2, 0, 0, 0, 0, byte(0xa + i)}
		}
	}
	return nil
}

// end is the number of an end.
func (w *pair) end(p *Port) int {
	if w.ends[0] == p {
		return 0
	}
	return 1
}

// join tells a queue where it sends.
func (w *pair) join(p *Port, c *C.struct_sp_queue, q int) {
	e := w.end(p)
	c.kept = C.sp_kept()
	c.tx_ring = w.rings[1-e][q]
	c.peer_up = &w.state[1-e]
}

// up says whether an end runs.
func (w *pair) up(p *Port, up bool) {
	v := int32(0)
	if up {
		v = 1
	}
	atomic.StoreInt32((*int32)(unsafe.Pointer(&w.state[w.end(p)])), v)
}

// isUp reports whether both ends run.
func (w *pair) isUp() bool {
	return atomic.LoadInt32((*int32)(unsafe.Pointer(&w.state[0]))) != 0 && atomic.LoadInt32((*int32)(unsafe.Pointer(&w.state[1]))) != 0
}

// leave closes an end; the second one takes the wire along. What is under way to
// an end that is closed is dropped.
func (w *pair) leave(p *Port) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rings[w.end(p)] {
		C.sp_ring_drain(r)
	}
	if w.open--; w.open != 0 {
		return
	}
	for _, e := range w.ends {
		C.sp_remove(e.d.port)
	}
	for i := range w.rings {
		for _, r := range w.rings[i] {
			C.sp_ring_drain(r)
		}
	}
	w.free()
}

// free frees rings and flags.
func (w *pair) free() {
	for i := range w.rings {
		for _, r := range w.rings[i] {
			C.sp_ring_free(r)
		}
		w.rings[i] = nil
	}
	C.sp_free(unsafe.Pointer(w.state))
	w.state = &[2]C.int{} // for those who still ask
}
