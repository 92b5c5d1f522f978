package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// withNOPs is a frame whose segment has four NOPs for options, if it is no SYN:
// nothing predicts it then, and all else is as before.
func withNOPs(b []byte) []byte {
	if (*header.TCP4)(b).TCP().Flags()&header.TCPSyn != 0 {
		return b
	}
	b = append(append(append([]byte(nil), b[:header.TCP4Len]...), header.TCPOptNOP, header.TCPOptNOP, header.TCPOptNOP, header.TCPOptNOP),
		b[header.TCP4Len:]...)
	ip := b[header.EthernetLen:]
	binary.BigEndian.PutUint16(ip[2:], binary.BigEndian.Uint16(ip[2:])+4)
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^header.Checksum(ip[:header.IPv4Len], 0))
	h := (*header.TCP4)(b).TCP()
	b[46] += 1 << 4 // data offset
	h.SetChecksum(0)
	l4 := b[header.EthernetLen+header.IPv4Len:]
	h.SetChecksum(^header.Checksum(l4, (*header.Plain4)(b).PseudoSum(len(l4))))
	return b
}

// TestPredictionEqualsTheStates plays connections that open, talk and close in many
// ways to two hosts: to one so that segments may be predicted, to the other so that
// each takes the way through its state's function.
func TestPredictionEqualsTheStates(t *testing.T) {
	edges := map[TCPState]int{}
	for seed := range uint64(12) {
		w := newTwins(t)
		w.h[1] = newTwins(t).h[0]
		w.h[1].wire = func(b []byte) { w.sent[1] = append(w.sent[1], b) }
		w.sent = [2][][]byte{}
		r := rand.New(rand.NewPCG(seed, 2))
		seq := map[uint16]header.Seq{}
		for range 3000 {
			b := randomSegment(r, w, ipv4{ttl: 64}, seq, pattern(r.IntN(2)*r.IntN(500)))
			for i, h := range w.h {
				one := b
				if i == 1 {
					one = withNOPs(b)
				}
				before := h.stats.TCP.PredictedHits
				state := StateClosed
				if p := h.twinOf(b); p != nil {
					state = p.state
				}
				h.in(one)
				if i == 1 {
					require.Equal(t, before, h.stats.TCP.PredictedHits)
				} else if p := h.twinOf(b); p == nil || p.state != state {
					edges[state]++
				}
			}
			later, closes := time.Duration(r.IntN(3))*time.Millisecond, r.IntN(12) == 0
			for _, h := range w.h {
				if p := h.twinOf(b); closes && p != nil && p.state == StateEstablished {
					_ = p.Close()
				}
				h.advance(later)
			}
			require.Equal(t, w.sent[1], w.sent[0], "what is sent")
			a, z := w.h[0].stats.TCP, w.h[1].stats.TCP
			a.PredictedHits, z.PredictedHits = 0, 0
			require.Equal(t, z, a, "what is counted")
			for _, b := range w.sent[0] {
				h := (*header.TCP4)(b).TCP()
				w.segs[h.DstPort()] = h
			}
			w.sent = [2][][]byte{}
		}
	}
	for _, s := range []TCPState{StateSynRcvd, StateEstablished, StateFinWait1, StateFinWait2, StateLastAck} {
		require.Positive(t, edges[s], s.String())
	}
}

// twinOf is the connection that a frame is for.
func (h *host) twinOf(b []byte) *TCP {
	f := (*header.TCP4)(b)
	src, dst := header.AddrFrom4Uint(f.Plain().Src()), header.AddrFrom4Uint(f.Plain().Dst())
	return h.lookup(dst, src, f.TCP().DstPort(), f.TCP().SrcPort(), h.hashFlow(dst, src, f.TCP().DstPort(), f.TCP().SrcPort()))
}
