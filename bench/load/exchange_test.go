package load

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

func netipPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 24) }

func addrs(list ...netip.Addr) []netip.Addr { return list }

func TestExchangeHashesAgree(t *testing.T) {
	for _, timeWait := range []int64{-1, 10 * second} {
		w := newWire(t, pbuf.Config{Buffers: 4096}, func(c *stack.Config) { setTimeWait(c, timeWait) })
		sv := w.serve(ServerConfig{})
		c := NewExchange(w.client.s, Config{To: to(PortExchange), Conns: 3, Size: 3_000_001})
		w.start(c)
		w.until(10*second, c.Done)
		require.NoError(t, c.Err())
		require.Equal(t, uint64(3), c.Counters().Ops)
		require.Equal(t, uint64(3*(3_000_001+exchangeHash)), c.Counters().BytesIn)
		w.until(second, func() bool { return sv.Counters().Closed == 3 })
		require.Equal(t, uint64(3), sv.Counters().Ops)
		require.Zero(t, sv.Counters().Errors)
		w.clean()
	}
}

func TestExchangeFindsWrongBytes(t *testing.T) {
	// A peer that speaks the protocol but sends zeros.
	w := newWire(t, pbuf.Config{}, nil)
	l := w.server.s.NewTCP()
	const size = 5000
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		var h [exchangeHash]byte
		binary.BigEndian.PutUint64(h[:], 0x1234)
		require.NoError(t, pcb.Write(make([]byte, size), 0))
		require.NoError(t, pcb.Write(h[:], 0))
		return pcb.Shutdown(false, true)
	})
	require.NoError(t, l.Bind(to(PortExchange)))
	require.NoError(t, l.Listen(5))
	c := NewExchange(w.client.s, Config{To: to(PortExchange), Size: size})
	w.start(c)
	w.until(second, c.Done)
	require.ErrorIs(t, c.Err(), ErrExchange)
	require.Equal(t, uint64(1), c.Counters().Errors)
	require.Zero(t, c.Counters().Ops)
}

func TestExchangeFindsAnEarlyEnd(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	sv := w.serve(ServerConfig{})
	pcb := w.client.s.NewTCP()
	require.NoError(t, pcb.Connect(to(PortExchange), func(_ any, pcb *stack.TCP, _ error) error {
		require.NoError(t, pcb.Write([]byte{0, 0, 0, 0, 0, 0, 1, 0, 'x'}, 0))
		return pcb.Shutdown(false, true)
	}))
	w.until(second, func() bool { return sv.Counters().Errors == 1 })
	require.Zero(t, sv.Counters().Ops)
}

func TestPatternStreamIsWhatHashPatternHashes(t *testing.T) {
	h := &recorder{}
	HashPattern(h, PatternSeed, 2*patternBlock+17)
	require.Len(t, h.b, 2*patternBlock+17)
	block := NewPattern(PatternSeed)
	for _, off := range []uint64{0, 5, patternBlock - 1, patternBlock, patternBlock + 12345} {
		part := streamAt(block, off)
		n := min(len(part), len(h.b)-int(off))
		require.Equal(t, h.b[off:int(off)+n], part[:n])
	}
	require.Equal(t, h.b[:patternBlock+9], patternOf(patternBlock+9))
}

// recorder is a hash that keeps what it is given.
type recorder struct{ b []byte }

func (r *recorder) Write(b []byte) (int, error) { r.b = append(r.b, b...); return len(b), nil }
func (r *recorder) Sum(b []byte) []byte         { return append(b, r.b...) }
func (r *recorder) Reset()                      { r.b = nil }
func (r *recorder) Size() int                   { return len(r.b) }
func (r *recorder) BlockSize() int              { return 1 }
