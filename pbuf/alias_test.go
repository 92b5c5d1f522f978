package pbuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// aliases is a Lender that keeps what comes back.
type aliases struct{ back []uintptr }

func (a *aliases) Drain(src []uintptr) { a.back = append(a.back, src...) }

func filled(t *testing.T, pl *pbuf.Pool, b []byte) *pbuf.Pbuf {
	t.Helper()
	p := pl.Alloc(pbuf.LayerTransport, len(b), pbuf.KindRAM)
	require.NotNil(t, p)
	require.NoError(t, p.Take(b))
	return p
}

// An alias shows the bytes of the buffer to another pool's thread, and its freeing
// is the end of the reference that it was made of.
func TestAlias(t *testing.T) {
	home, away := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	lender := &aliases{}
	require.True(t, away.SetLender(lender))
	require.Same(t, lender, away.Lender())
	require.True(t, home.CanAlias())
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i)
	}
	by := pbuf.Borrower{To: away.ID(), Meta: pbuf.Meta{Flags: pbuf.RxHash, Hash: 9}, Least: 100, Most: 1500, Not: pbuf.TxTSO}
	var ps []*pbuf.Pbuf
	for range 70 {
		ps = append(ps, filled(t, home, data))
	}
	ps[1].Ref()
	out := make([]uintptr, 100)
	n, size := home.MakeAliases(ps, &by, 5, out)
	require.Equal(t, 70, n)
	require.Equal(t, 70*1000, size)
	away.Borrowed(n)
	require.False(t, away.Full(), "they count until they are freed")
	var chain pbuf.Builder
	for _, a := range out[:n] {
		p := pbuf.At(a)
		require.True(t, p.Alias())
		require.Equal(t, data, p.Payload())
		require.Equal(t, by.Meta, p.Meta)
		require.EqualValues(t, 5, p.Time)
		require.Equal(t, away.ID(), p.Home())
		require.Equal(t, home.ID(), pbuf.AliasHome(a))
		chain.Add(p)
	}
	require.Equal(t, 70, chain.Finish().Free(), "a chain of them in one go")
	require.True(t, away.Full())
	away.FlushLent()
	require.ElementsMatch(t, out[:n], lender.back)
	require.Equal(t, 2, ps[1].RefCount())
	pbuf.Unalias(lender.back)
	require.Equal(t, 1, ps[1].RefCount(), "who kept it has it alone")
	ps[1].Free()
}

// No alias is made of what is not a buffer of the pool's own, alone and as asked for;
// what comes before is made.
func TestNoAlias(t *testing.T) {
	home, away := pbuftest.NewPool(t, pbuf.Config{}), pbuftest.NewPool(t, pbuf.Config{})
	lender := &aliases{}
	require.True(t, away.SetLender(lender))
	by := pbuf.Borrower{To: away.ID(), Least: 100, Most: 1500, Not: pbuf.TxTSO}
	buf := func(n int) *pbuf.Pbuf { return filled(t, home, make([]byte, n)) }
	chain := buf(500)
	chain.Cat(buf(500))
	sliced, flagged := buf(1000), buf(1000)
	slice := sliced.Slice(0, 500)
	flagged.Flags = pbuf.TxTSO
	out := make([]uintptr, 4)
	odd := map[string]*pbuf.Pbuf{
		"short": buf(99), "long": buf(1501), "chain": chain, "has slices": sliced,
		"slice": slice, "flag": flagged, "another pool's": filled(t, away, make([]byte, 500)),
	}
	for name, p := range odd {
		first := buf(500)
		n, _ := home.MakeAliases([]*pbuf.Pbuf{first, p, first}, &by, 0, out)
		require.Equal(t, 1, n, name)
		n, _ = home.MakeAliases([]*pbuf.Pbuf{first}, &by, 0, out[1:])
		require.Zero(t, n, "there is one already")
		away.Borrowed(1)
		pbuf.At(out[0]).Free()
	}
	for _, p := range odd { // not before: without the slice there are none
		p.Free()
	}
	away.FlushLent()
	pbuf.Unalias(lender.back)
}
