package mem

import (
	"math"

	"github.com/shardstack/shardstack/pbuf"
)

// heap holds delayed frames, the earliest on top; frames of the same time come
// out as they went in. It is a binary heap in an array of fixed length without
// pointers: nothing is allocated, and the collector does not look at it.
type heap struct {
	items []item
	limit int
	seq   uint64 // frames ever put in
}

type item struct {
	time int64
	seq  uint64
	buf  uintptr
}

func (h *heap) init(limit int) {
	h.limit = limit
	h.items = make([]item, 0, limit)
}

// before is the order of the heap.
func (a *item) before(b *item) bool {
	return a.time < b.time || a.time == b.time && a.seq < b.seq
}

// next is when the earliest frame is due, math.MaxInt64 if there is none.
func (h *heap) next() int64 {
	if len(h.items) == 0 {
		return math.MaxInt64
	}
	return h.items[0].time
}

// push puts p in, to come out at p.Time; false if the heap is full. In order, as
// frames with the same delay come, that is one comparison.
func (h *heap) push(p *pbuf.Pbuf) bool {
	if len(h.items) == h.limit {
		return false
	}
	h.seq++
	it := item{time: p.Time, seq: h.seq, buf: p.Addr()}
	i := len(h.items)
	h.items = append(h.items, it)
	for i > 0 {
		up := (i - 1) / 2
		if !it.before(&h.items[up]) {
			break
		}
		h.items[i] = h.items[up]
		i = up
	}
	h.items[i] = it
	return true
}

// pop takes the earliest frame out, nil if there is none.
func (h *heap) pop() *pbuf.Pbuf {
	n := len(h.items) - 1
	if n < 0 {
		return nil
	}
	top, last := h.items[0], h.items[n]
	h.items = h.items[:n]
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && h.items[down+1].before(&h.items[down]) {
			down++
		}
		if !h.items[down].before(&last) {
			break
		}
		h.items[i] = h.items[down]
		i = down
	}
	if n > 0 {
		h.items[i] = last
	}
	return pbuf.At(top.buf)
}
