package pbuf_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// script draws the choices of a model test from bytes; after these, all are 0.
type script struct {
	b    []byte
	fill byte
}

func (s *script) n(limit int) int {
	if len(s.b) < 2 || limit <= 0 {
		s.b = nil
		return 0
	}
	v := int(binary.LittleEndian.Uint16(s.b))
	s.b = s.b[2:]
	return v % limit
}

// bytes returns n bytes that differ from those before.
func (s *script) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		s.fill += 37
		b[i] = s.fill
	}
	return b
}

// ops are the steps of a model test. Each is given a reference of the test.
var ops = []func(m *model, s *script, h *node){
	opAlloc, opAlloc, opAllocRef, opFree, opRef, opCat, opCat, opChain, opDechain,
	opAddHeader, opAddHeader, opRemoveHeader, opFreeHeader, opRealloc, opSplit, opSplit,
	opAppend, opWrite, opClone, opCoalesce, opCopyTo, opRead, opRead, opHandover,
	opSettle, opReset,
}

func runModel(t *testing.T, data []byte) {
	t.Helper()
	m := &model{t: t, live: map[*node]bool{}}
	cfg := pbuf.Config{Small: 24, Buffers: 16, Jumbo: 4, DataRoom: 512, JumboRoom: 2048}
	m.pools = []*pbuf.Pool{pbuftest.NewPool(t, cfg), pbuftest.NewPool(t, cfg)}
	var err error
	m.region, err = pbuf.NewRegion(4096)
	require.NoError(t, err)
	m.mirror = make([]byte, 4096)
	s := &script{b: data}
	for len(s.b) > 0 {
		if op := s.n(len(ops)); len(m.handles) == 0 {
			opAlloc(m, s, nil)
		} else {
			ops[op](m, s, m.handles[s.n(len(m.handles))])
		}
		m.check()
	}
	for len(m.handles) > 0 {
		opFree(m, s, m.handles[0])
	}
	opSettle(m, s, nil)
	m.check()
	require.Empty(t, m.live)
	require.NoError(t, m.region.Close())
}

func TestModel(t *testing.T) {
	runs := 1000
	if testing.Short() {
		runs = 100
	}
	for seed := range runs {
		rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		data := make([]byte, 2000)
		_, _ = rng.Read(data)
		t.Run("", func(t *testing.T) { runModel(t, data) })
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte("some steps to begin with, of which there can be more"))
	f.Fuzz(func(t *testing.T, data []byte) { runModel(t, data[:min(len(data), 4000)]) })
}

func opAlloc(m *model, s *script, _ *node) {
	at, size := s.n(2), s.n(900)
	layer, kind := pbuf.Layer(s.n(4)), pbuf.Kind(s.n(2))
	room := 0
	if layer != pbuf.LayerRaw {
		room = pbuf.Headroom
	}
	can := m.canAlloc(at, size+room)
	if kind == pbuf.KindPool {
		each := pbuf.Headroom + 512
		can = m.pools[at].Avail(pbuf.ClassStandard) >= max(1, (size+room+each-1)/each)
	}
	p := m.pools[at].Alloc(layer, size, kind)
	require.Equal(m.t, can, p != nil)
	if p == nil {
		return
	}
	require.Equal(m.t, room, p.Headroom())
	require.Equal(m.t, pbuf.Meta{}, p.Meta)
	h := m.adopt(p, at)
	require.Equal(m.t, size, h.total())
	m.handles = append(m.handles, h)
	m.write(h, 0, s.bytes(size))
}

func opAllocRef(m *model, s *script, _ *node) {
	at, off := s.n(2), s.n(len(m.mirror))
	size := s.n(len(m.mirror) - off)
	can := m.canAlloc(at, 0)
	p := m.pools[at].AllocRef(m.region, off, size)
	require.Equal(m.t, can, p != nil)
	if p == nil {
		return
	}
	h := m.adopt(p, at)
	h.mem, h.off = m.mirror, off
	m.handles = append(m.handles, h)
	m.write(h, 0, s.bytes(size))
}

func opFree(m *model, _ *script, h *node) {
	m.drop(h)
	p := h.p
	require.Equal(m.t, m.free(h), p.Free())
}

func opRef(m *model, s *script, h *node) {
	for range s.n(4) {
		if h.next != nil {
			h = h.next
		}
	}
	h.p.Ref()
	h.ref++
	m.handles = append(m.handles, h)
}

// pair picks a second reference whose chain can be appended to that of h.
func pair(m *model, s *script, h *node) *node {
	t := m.handles[s.n(len(m.handles))]
	if t.at != h.at || t.ups != 0 || !h.exclusive() {
		return nil
	}
	for f := h; f != nil; f = f.next {
		if t.contains(f) {
			return nil
		}
	}
	return t
}

func opCat(m *model, s *script, h *node) {
	t := pair(m, s, h)
	if t == nil {
		return
	}
	h.p.Cat(t.p)
	h.last().next = t
	t.ups++
	m.drop(t)
}

func opChain(m *model, s *script, h *node) {
	t := pair(m, s, h)
	if t == nil {
		return
	}
	h.p.Chain(t.p)
	h.last().next = t
	t.ups++
	t.ref++
}

func opDechain(m *model, _ *script, h *node) {
	if h.ups != 0 {
		return
	}
	q := h.next
	h.next = nil
	want := (*pbuf.Pbuf)(nil)
	if q != nil {
		q.ups--
		if m.free(q) == 0 {
			want = q.p
		}
	}
	require.Equal(m.t, want, h.p.Dechain())
}

func opAddHeader(m *model, s *script, h *node) {
	if h.ups != 0 {
		return
	}
	n := s.n(160)
	require.Equal(m.t, n <= h.headroom() && h.kind != pbuf.KindRef, h.p.AddHeader(n))
	if n <= h.headroom() && h.kind != pbuf.KindRef {
		h.off -= n
		h.n += n
		m.write(h, 0, s.bytes(n))
	}
}

func opRemoveHeader(m *model, s *script, h *node) {
	if h.ups != 0 {
		return
	}
	n := s.n(160)
	require.Equal(m.t, n <= h.n, h.p.RemoveHeader(n))
	if n <= h.n {
		h.off += n
		h.n -= n
	}
}
