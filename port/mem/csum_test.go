package mem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
)

// open makes a frame whose checksums the stack has left to the port.
func open(t testing.TB, pool *pbuf.Pool, n int) (p *pbuf.Pbuf, whole []byte) {
	t.Helper()
	whole = frame(n, 1, 5)
	p = packet(t, pool, whole)
	b := p.Payload()
	ip := (*header.IPv4)(b[14:])
	ip.SetChecksum(0)
	udp := (*header.UDP)(b[34:])
	udp.SetChecksum(header.PseudoHeader4(ip.Src(), ip.Dst(), header.ProtoUDP, udp.Length()))
	p.L2Len, p.L3Len = 14, 20
	p.Flags = pbuf.TxIPCsum | pbuf.TxUDPCsum
	return p, whole
}

const good = pbuf.RxIPCsumGood | pbuf.RxL4CsumGood

// A receiver that does not look after checksums gets them complete.
func TestOpenChecksumsAreFilledIn(t *testing.T) {
	tx := mem.EndConfig{Caps: offload.TxCsum}
	for name, cfg := range map[string]mem.Config{
		"plain":    {A: tx},
		"steered":  {A: tx, B: mem.EndConfig{Queues: 2}},
		"impaired": {A: tx, AtoB: mem.Impairment{Duplicate: 1}},
		"corrupt":  {A: tx, B: mem.EndConfig{Caps: offload.RxCsum}, AtoB: mem.Impairment{Corrupt: 1e-12}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, cfg)
			p, whole := open(t, w.pa[0], 1000)
			send(t, w.a, 0, 0, p)
			for q := range w.b.Info().Queues {
				for _, a := range recv(w.b, q, 0) {
					require.Equal(t, whole, a.bytes)
					require.Equal(t, w.b.Info().Caps.Has(offload.RxCsum), a.meta.Flags&good == good)
				}
			}
			conserved(t, w.a, w.b)
		})
	}
}

// Between two ends that vouch for the wire nothing is summed at all, and what
// arrives is flagged as good, never as something to be sent.
func TestTrustedWireSumsNothing(t *testing.T) {
	w := newWire(t, mem.Config{
		A: mem.EndConfig{Caps: offload.TxCsum},
		B: mem.EndConfig{Caps: offload.RxCsum},
	})
	p, _ := open(t, w.pa[0], 1000)
	sent := content(p)
	send(t, w.a, 0, 0, p)
	got := recv(w.b, 0, 0)
	require.Len(t, got, 1)
	require.Equal(t, sent, got[0].bytes)
	require.Equal(t, pbuf.Meta{Flags: good}, got[0].meta)

	send(t, w.b, 0, 0, packet(t, w.pb[0], frame(100, 1, 1)))
	got = recv(w.a, 0, 0)
	require.Equal(t, pbuf.Meta{}, got[0].meta, "a did not say that it looks")
}

// Nobody vouches for a frame that the wire damaged.
func TestCorruptedFramesAreNotFlagged(t *testing.T) {
	w := newWire(t, mem.Config{
		B:    mem.EndConfig{Caps: offload.RxCsum},
		AtoB: mem.Impairment{Corrupt: 0.5, Seed: 3},
	})
	damaged := 0
	for i := range 200 {
		f := frame(100, 1, uint64(i))
		send(t, w.a, 0, 0, packet(t, w.pa[0], f))
		got := recv(w.b, 0, 0)
		require.Len(t, got, 1)
		if string(got[0].bytes) == string(f) {
			require.Equal(t, good, got[0].meta.Flags)
		} else {
			damaged++
			require.Zero(t, got[0].meta.Flags)
		}
	}
	require.EqualValues(t, damaged, w.a.Wire().Corrupted)
}

// RxTime is when the frame arrived: when it was sent, or came due.
func TestRxTime(t *testing.T) {
	cfg := mem.Config{B: mem.EndConfig{Caps: offload.RxTime}}
	w := newWire(t, cfg)
	send(t, w.a, 0, 12345, packet(t, w.pa[0], frame(100, 1, 1)))
	got := recv(w.b, 0, 99999)
	require.Equal(t, pbuf.RxTime, got[0].meta.Flags)
	require.EqualValues(t, 12345, got[0].time)

	cfg.AtoB.Delay = 1000
	w = newWire(t, cfg)
	send(t, w.a, 0, 12345, packet(t, w.pa[0], frame(100, 1, 1)))
	got = recv(w.b, 0, 99999)
	require.Equal(t, pbuf.RxTime, got[0].meta.Flags)
	require.EqualValues(t, 13345, got[0].time)
}
