package pbuf_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// checkQueue compares q with the packets that should be in it.
func checkQueue(t *testing.T, want []*pbuf.Pbuf, q *pbuf.Queue) {
	t.Helper()
	var got []*pbuf.Pbuf
	for p := q.Head(); p != nil; p = p.QNext() {
		got = append(got, p)
	}
	require.True(t, slices.Equal(want, got))
	require.Equal(t, len(want), q.Len())
	require.Equal(t, len(want) == 0, q.Empty())
	require.Same(t, q.Head(), q.Peek())
	if len(want) == 0 {
		require.Nil(t, q.Head())
		require.Nil(t, q.Tail())
	} else {
		require.Same(t, want[0], q.Head())
		require.Same(t, want[len(want)-1], q.Tail())
	}
}

func TestQueueAgainstSlice(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	rng := rand.New(rand.NewPCG(1, 2))
	var q, other pbuf.Queue
	var want []*pbuf.Pbuf
	fresh := func() *pbuf.Pbuf { return pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM) }
	for range 5000 {
		i := 0
		var at *pbuf.Pbuf
		if len(want) > 0 {
			i = rng.IntN(len(want))
			at = want[i]
		}
		switch op := rng.IntN(9); {
		case op == 0 || len(want) == 0:
			want = append(want, fresh())
			q.Push(want[len(want)-1])
		case op == 1:
			want = slices.Insert(want, 0, fresh())
			q.PushFront(want[0])
		case op == 2:
			require.Same(t, want[0], q.Pop())
			require.Nil(t, want[0].QNext())
			want[0].Free()
			want = want[1:]
		case op == 3:
			want = slices.Insert(want, i+1, fresh())
			q.InsertAfter(at, want[i+1])
		case op == 4:
			want = slices.Insert(want, 0, fresh())
			q.InsertAfter(nil, want[0])
		case op == 5 && i+1 < len(want):
			require.Same(t, want[i+1], q.RemoveAfter(at))
			require.Nil(t, want[i+1].QNext())
			want[i+1].Free()
			want = slices.Delete(want, i+1, i+2)
		case op == 6:
			require.True(t, q.Remove(at))
			require.False(t, q.Remove(at))
			at.Free()
			want = slices.Delete(want, i, i+1)
		case op == 7:
			for range rng.IntN(3) {
				p := fresh()
				want = append(want, p)
				other.Push(p)
			}
			q.Splice(&other)
			checkQueue(t, nil, &other)
		default:
			require.Nil(t, q.RemoveAfter(want[len(want)-1]))
		}
		if len(want) > 40 {
			require.Equal(t, len(want), q.FreeAll())
			want = nil
		}
		checkQueue(t, want, &q)
	}
	q.FreeAll()
}

func TestQueueEmpty(t *testing.T) {
	var q, other pbuf.Queue
	checkQueue(t, nil, &q)
	require.Nil(t, q.Pop())
	require.Nil(t, q.RemoveAfter(nil))
	require.False(t, q.Remove(nil))
	require.Zero(t, q.FreeAll())
	q.Splice(&other)
	checkQueue(t, nil, &q)
}

func TestQueueOfOne(t *testing.T) {
	pl := pbuftest.NewPool(t, pbuf.Config{})
	p := pl.Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM)
	var q pbuf.Queue
	for _, put := range []func(){
		func() { q.Push(p) }, func() { q.PushFront(p) }, func() { q.InsertAfter(nil, p) },
	} {
		for _, take := range []func(){
			func() { require.Same(t, p, q.Pop()) },
			func() { require.Same(t, p, q.RemoveAfter(nil)) },
			func() { require.True(t, q.Remove(p)) },
		} {
			put()
			checkQueue(t, []*pbuf.Pbuf{p}, &q)
			take()
			checkQueue(t, nil, &q)
			require.Nil(t, p.QNext())
		}
	}
	p.Free()
}
