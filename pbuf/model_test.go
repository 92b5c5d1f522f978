package pbuf_test

import (
	"bytes"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// node is the model of a buffer: a window into plain memory, a counter and a
// link. A buffer that refers to another one's bytes shares the Go slice.
type node struct {
	p        *pbuf.Pbuf
	mem      []byte
	off, n   int
	next     *node
	parent   *node // whose memory it is, and which it keeps
	ref      int
	links    int // nodes whose parent this is
	ups      int // chains that lead here from another node
	home, at int // index of a pool
	kind     pbuf.Kind
}

func (n *node) bytes() []byte { return n.mem[n.off : n.off+n.n] }

func (n *node) flat() (b []byte) {
	for ; n != nil; n = n.next {
		b = append(b, n.bytes()...)
	}
	return b
}

func (n *node) total() (t int) {
	for ; n != nil; n = n.next {
		t += n.n
	}
	return t
}

func (n *node) last() *node {
	for n.next != nil {
		n = n.next
	}
	return n
}

func (n *node) headroom() int {
	if n.kind == pbuf.KindRef {
		return 0
	}
	return n.off
}

func (n *node) tailroom() int {
	if n.kind == pbuf.KindRef || n.links > 0 {
		return 0
	}
	return len(n.mem) - n.off - n.n
}

// exclusive reports whether no other chain leads into that of n, so that its
// lengths may change.
func (n *node) exclusive() bool {
	if n.ups != 0 {
		return false
	}
	for f := n.next; f != nil; f = f.next {
		if f.ups != 1 {
			return false
		}
	}
	return true
}

func (n *node) contains(x *node) bool {
	for ; n != nil && n != x; n = n.next {
	}
	return n != nil
}

// model holds the references that a test has, and all nodes that are alive.
type model struct {
	t       require.TestingT
	pools   []*pbuf.Pool
	region  *pbuf.Region
	mirror  []byte // model of the region
	handles []*node
	live    map[*node]bool
	pending []*node // freed away from home
}

// adopt makes the model of a chain that was just allocated and is the caller's.
func (m *model) adopt(p *pbuf.Pbuf, at int) *node {
	var first, prev *node
	for ; p != nil; p = p.Next() {
		pl := m.pools[at]
		n := &node{p: p, off: p.Headroom(), n: p.Len(), ref: 1, home: at, at: at, kind: p.Kind()}
		if n.kind != pbuf.KindRef {
			n.mem = make([]byte, pbuf.Headroom+pl.DataRoom(p.Class()))
		}
		m.live[n] = true
		if prev == nil {
			first = n
		} else {
			prev.next = n
			n.ups = 1
		}
		prev = n
	}
	return first
}

// write puts b at offset off of the chain, in buffers and model.
func (m *model) write(n *node, off int, b []byte) {
	require.NoError(m.t, n.p.TakeAt(b, off))
	poke(n, off, b)
}

// poke puts b at offset off of the model of a chain.
func poke(n *node, off int, b []byte) {
	for len(b) > 0 {
		if off < n.n {
			k := copy(n.bytes()[off:], b)
			b = b[k:]
			off += k
		}
		off -= n.n
		n = n.next
	}
}

// free is the model of Free.
func (m *model) free(n *node) (count int) {
	for n != nil {
		if n.ref--; n.ref > 0 {
			break
		}
		next := n.next
		m.dispose(n)
		if n = next; n != nil {
			n.ups--
		}
		count++
	}
	return count
}

// dispose gives a node without references back, if nobody uses its memory.
func (m *model) dispose(n *node) {
	switch {
	case n.links > 0:
	case n.home != n.at:
		m.pending = append(m.pending, n)
	default:
		m.bury(n)
	}
}

// bury is what happens to a freed node at home.
func (m *model) bury(n *node) {
	delete(m.live, n)
	if o := n.parent; o != nil {
		if o.links--; o.links == 0 && o.ref == 0 {
			m.dispose(o)
		}
	}
}

// drop takes one reference to n out of the test's hands.
func (m *model) drop(n *node) {
	i := slices.Index(m.handles, n)
	m.handles = slices.Delete(m.handles, i, i+1)
}

// canAlloc reports whether pool at has a buffer for n bytes in one.
func (m *model) canAlloc(at, n int) bool {
	for c := pbuf.ClassSmall; c < pbuf.NumClasses; c++ {
		if m.pools[at].Avail(c) > 0 && n <= m.pools[at].DataRoom(c)+pbuf.Headroom {
			return true
		}
	}
	return false
}

// same is require.Equal, fast as long as it holds.
func same[T comparable](t require.TestingT, want, got T, what string) {
	if want != got {
		require.Equal(t, want, got, what)
	}
}

// check compares everything that can be reached with the model.
func (m *model) check() {
	t := m.t
	for _, h := range m.handles {
		total := h.total()
		for n := h; n != nil; n = n.next {
			p := n.p
			same(t, true, bytes.Equal(n.bytes(), p.Payload()), "payload")
			same(t, n.n, p.Len(), "Len")
			same(t, total, p.TotLen(), "TotLen")
			same(t, n.ref, p.RefCount(), "RefCount")
			same(t, n.ref > 1 || n.links > 0, p.Shared(), "Shared")
			same(t, n.headroom(), p.Headroom(), "Headroom")
			same(t, n.tailroom(), p.Tailroom(), "Tailroom")
			same(t, n.kind, p.Kind(), "Kind")
			same(t, m.pools[n.at].ID(), p.Holder(), "Holder")
			same(t, m.pools[n.home].ID(), p.Home(), "Home")
			next := (*pbuf.Pbuf)(nil)
			if n.next != nil {
				next = n.next.p
			}
			same(t, next, p.Next(), "Next")
			total -= n.n
		}
	}
	out := make([]int, len(m.pools))
	for n := range m.live {
		out[n.home]++
	}
	for i, pl := range m.pools {
		for c := pbuf.ClassSmall; c < pbuf.NumClasses; c++ {
			out[i] -= pl.Cap(c) - pl.Avail(c)
		}
		same(t, 0, out[i], "buffers that are out of a pool")
	}
}
