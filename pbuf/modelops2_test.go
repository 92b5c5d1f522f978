package pbuf_test

import (
	"bytes"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func opFreeHeader(m *model, s *script, h *node) {
	if !h.exclusive() {
		return
	}
	n := s.n(h.total() + 20)
	q := h.p.FreeHeader(n)
	m.drop(h)
	for n > 0 && h != nil {
		if n < h.n {
			h.off += n
			h.n -= n
			break
		}
		n -= h.n
		f := h
		if h = h.next; h != nil {
			h.ups--
		}
		f.next = nil
		m.free(f)
	}
	if h == nil {
		require.Nil(m.t, q)
		return
	}
	require.Same(m.t, h.p, q)
	m.handles = append(m.handles, h)
}

func opRealloc(m *model, s *script, h *node) {
	if !h.exclusive() {
		return
	}
	n := s.n(h.total() + 20)
	fits := n <= h.total()
	require.Equal(m.t, fits, h.p.Realloc(n))
	if !fits {
		return
	}
	for ; n > h.n; h = h.next {
		n -= h.n
	}
	h.n = n
	if rest := h.next; rest != nil {
		h.next = nil
		rest.ups--
		m.free(rest)
	}
}

func opSplit(m *model, s *script, h *node) {
	if !h.exclusive() {
		return
	}
	n := s.n(h.total() + 2)
	q, off := h, n
	for ; q.next != nil && off > q.n; q = q.next {
		off -= q.n
	}
	left := q.n - off
	inside := n > 0 && left > 0
	linked := q.kind != pbuf.KindRef || q.parent != nil
	copied := inside && linked && left <= pbuf.SmallRoom
	can := n > 0 && n < h.total()
	if copied {
		can = can && m.canAlloc(h.at, left+pbuf.Headroom)
	} else if inside {
		can = can && m.canAlloc(h.at, 0)
	}
	p := h.p.Split(n)
	require.Equal(m.t, can, p != nil)
	if p == nil {
		return
	}
	r := q.next
	if inside {
		r = &node{p: p, mem: q.mem, off: q.off + off, n: left, ref: 1, home: h.at, at: h.at, kind: pbuf.KindRef, next: q.next}
		m.live[r] = true
		switch {
		case copied:
			r.kind = pbuf.KindRAM
			r.off = pbuf.Headroom
			r.mem = make([]byte, pbuf.Headroom+m.pools[h.at].DataRoom(p.Class()))
			copy(r.bytes(), q.bytes()[off:])
		case linked:
			r.parent = owner(q)
			r.parent.links++
		}
	} else {
		r.ups--
	}
	q.n = off
	q.next = nil
	require.Same(m.t, r.p, p)
	m.handles = append(m.handles, r)
}

// owner returns the node that a rest split off q keeps.
func owner(q *node) *node {
	for q.parent != nil && q.parent.at == q.at {
		q = q.parent
	}
	return q
}

func opAppend(m *model, s *script, h *node) {
	if !h.exclusive() {
		return
	}
	last := h.last()
	n := s.n(last.tailroom() + 10)
	require.Equal(m.t, last.tailroom(), h.p.Room())
	b := h.p.Append(n)
	require.Equal(m.t, n <= last.tailroom(), b != nil)
	if b == nil {
		return
	}
	last.n += n
	data := s.bytes(n)
	require.Equal(m.t, n, copy(b, data))
	poke(last, last.n-n, data)
}

func opWrite(m *model, s *script, h *node) {
	total := h.total()
	off := s.n(total + 1)
	n := s.n(total - off + 1)
	m.write(h, off, s.bytes(n))
	require.ErrorIs(m.t, h.p.TakeAt(make([]byte, total-off+1), off), pbuf.ErrMem)
	if total > 0 {
		off, b := s.n(total), s.bytes(1)
		h.p.PutAt(off, b[0])
		poke(h, off, b)
	}
}

func opClone(m *model, s *script, h *node) {
	layer, total := pbuf.Layer(s.n(3)), h.total()
	h.p.Hash = uint32(total)
	can := m.canAlloc(h.at, total+pbuf.Headroom)
	p := h.p.Clone(layer, pbuf.KindRAM)
	require.Equal(m.t, can, p != nil)
	if p == nil {
		return
	}
	require.Equal(m.t, h.p.Meta, p.Meta)
	c := m.adopt(p, h.at)
	poke(c, 0, h.flat())
	m.handles = append(m.handles, c)
}

func opCoalesce(m *model, _ *script, h *node) {
	p := h.p
	can := h.next != nil && m.canAlloc(h.at, h.total()+pbuf.Headroom)
	q := p.Coalesce(pbuf.LayerTransport)
	if !can {
		require.Same(m.t, p, q)
		return
	}
	c := m.adopt(q, h.at)
	require.Nil(m.t, c.next)
	poke(c, 0, h.flat())
	m.drop(h)
	m.free(h)
	m.handles = append(m.handles, c)
}

func opCopyTo(m *model, s *script, h *node) {
	t := m.handles[s.n(len(m.handles))]
	if t.at != h.at {
		return
	}
	for f := h; f != nil; f = f.next {
		if t.contains(f) || f.kind == pbuf.KindRef {
			return // the two may overlap
		}
	}
	n, off := s.n(h.total()+5), s.n(t.total()+5)
	if n > h.total() || off+n > t.total() {
		require.ErrorIs(m.t, h.p.CopyTo(t.p, n, off), pbuf.ErrArg)
		return
	}
	require.NoError(m.t, h.p.CopyTo(t.p, n, off))
	poke(t, off, h.flat()[:n])
}

func opRead(m *model, s *script, h *node) {
	t, p, flat := m.t, h.p, h.flat()
	off, n := s.n(len(flat)+5), s.n(700)
	want := flat[min(off, len(flat)):]
	short := len(want) < n
	want = want[:min(n, len(want))]

	got := make([]byte, n)
	require.Equal(t, len(want), p.CopyPartial(got, off))
	require.True(t, bytes.Equal(want, got[:len(want)]))
	b := p.Contiguous(got, n, off)
	require.Equal(t, short || off > len(flat), b == nil)
	require.True(t, b == nil || bytes.Equal(want, b))

	v, ok := p.TryGetAt(off)
	require.Equal(t, off < len(flat), ok)
	require.Equal(t, v, p.GetAt(off))
	require.True(t, !ok || v == flat[off])

	cmp := append([]byte(nil), want...)
	if off > len(flat) {
		require.Equal(t, -1, p.Memcmp(cmp, off))
	} else {
		require.Zero(t, p.Memcmp(cmp, off))
		require.Equal(t, -1, p.Memcmp(make([]byte, len(flat)-off+1), off))
	}
	if len(cmp) > 0 {
		i := s.n(len(cmp))
		cmp[i]++
		require.Equal(t, i+1, p.Memcmp(cmp, off))
	}
	needle := want[:min(len(want), s.n(20))]
	start := s.n(len(flat) + 2)
	find := -1
	if start <= len(flat) {
		if find = bytes.Index(flat[start:], needle); find >= 0 {
			find += start
		}
	}
	require.Equal(t, find, p.Memfind(needle, start))
	require.Equal(t, chainLen(h), p.ChainLen())
}

func chainLen(h *node) (n int) {
	for ; h != nil; h = h.next {
		n++
	}
	return n
}

func opHandover(m *model, s *script, h *node) {
	to, can := s.n(2), true
	for f := h; f != nil; f = f.next {
		can = can && f.ref == 1 && f.links == 0
	}
	require.Equal(m.t, can, pbuf.Handover(h.p, m.pools[to].ID()))
	for f := h; f != nil && can; f = f.next {
		f.at = to
	}
}

func opSettle(m *model, _ *script, _ *node) {
	pbuftest.Settle(m.pools...)
	for len(m.pending) > 0 {
		n := m.pending[0]
		m.pending = m.pending[1:]
		m.bury(n)
	}
}

func opReset(m *model, s *script, h *node) {
	if h.ups != 0 {
		return
	}
	single := h.next == nil
	can := single && h.kind != pbuf.KindRef && h.ref == 1 && h.links == 0
	if s.n(2) == 0 {
		require.Equal(m.t, can, h.p.Reset(pbuf.LayerIP))
		if can {
			h.off, h.n = pbuf.Headroom, 0
		}
	}
	n := s.n(h.n + h.tailroom() + 20)
	can = single && n <= h.n+h.tailroom()
	require.Equal(m.t, can, h.p.SetLen(n))
	if can {
		h.n = n
		m.write(h, 0, s.bytes(n))
	}
}
