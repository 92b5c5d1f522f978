package rss

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// benchFlows is a power of two of random flows, enough that neither the
// branch predictor nor one set of table lines learns them.
const benchFlows = 1024

type benchFlow struct {
	remote, local header.Addr
	rport         uint16
}

func makeBenchFlows(v6 bool) (flows [benchFlows]benchFlow) {
	r := rand.New(rand.NewPCG(11, 11))
	for i := range flows {
		f := &flows[i]
		f.remote, f.local = randomAddrs(r, v6)
		f.rport = uint16(r.Uint32())
	}
	return flows
}

var sink uint32

func BenchmarkHash4(b *testing.B) {
	h, flows := NewHasher(DefaultKey), makeBenchFlows(false)
	i := 0
	for b.Loop() {
		f := &flows[i%benchFlows]
		sink += h.Hash4(f.remote.Uint32(), f.local.Uint32(), f.rport, uint16(i))
		i++
	}
}

func BenchmarkHash6(b *testing.B) {
	h, flows := NewHasher(DefaultKey), makeBenchFlows(true)
	i := 0
	for b.Loop() {
		f := &flows[i%benchFlows]
		sink += h.Hash6(f.remote, f.local, f.rport, uint16(i))
		i++
	}
}

func BenchmarkHash6Tables(b *testing.B) {
	h, flows := NewHasher(DefaultKey), makeBenchFlows(true)
	i := 0
	for b.Loop() {
		f := &flows[i%benchFlows]
		sink += h.tables6(f.remote, f.local, uint32(f.rport)<<16|uint32(i&0xffff))
		i++
	}
}

func BenchmarkHash4BitByBit(b *testing.B) {
	key, flows := DefaultKey.Bytes(), makeBenchFlows(false)
	var in [benchFlows][]byte
	for i, f := range flows {
		in[i] = input4(f.remote.Uint32(), f.local.Uint32(), f.rport, uint16(i))
	}
	i := 0
	for b.Loop() {
		sink += toeplitzBits(key, in[i%benchFlows])
		i++
	}
}

func BenchmarkHash6BitByBit(b *testing.B) {
	key, flows := DefaultKey.Bytes(), makeBenchFlows(true)
	var in [benchFlows][]byte
	for i, f := range flows {
		in[i] = input6(f.remote, f.local, f.rport, uint16(i))
	}
	i := 0
	for b.Loop() {
		sink += toeplitzBits(key, in[i%benchFlows])
		i++
	}
}

func BenchmarkHashFrame(b *testing.B) {
	h := NewHasher(DefaultKey)
	for _, c := range frameCases() {
		if c.name != "tcp4" && c.name != "tcp6" && c.name != "two extensions" {
			continue
		}
		frame := c.f.bytes(b)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hash, _ := h.HashFrame(frame)
				sink += hash
			}
		})
	}
}

func BenchmarkPort(b *testing.B) {
	reta, err := NewRETA(512, 16)
	require.NoError(b, err)
	h := NewHasher(DefaultKey)
	bench := func(name string, v6 bool, lo, hi uint16) {
		s, err := NewSolver(h, reta, 5, lo, hi)
		require.NoError(b, err)
		flows := makeBenchFlows(v6)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				f := &flows[i%benchFlows]
				sink += uint32(s.Port(f.remote, f.local, f.rport, i))
				i++
			}
		})
	}
	bench("v4", false, 49152, 65535)
	bench("v4/unaligned", false, 32768, 60999)
	bench("v4/cut", false, 33000, 33200) // no whole block: bit by bit
	bench("v6", true, 49152, 65535)
	bench("v6/cut", true, 33000, 33200)
}

// The next port of a flow, after the first was in use.
func BenchmarkPortsPort(b *testing.B) {
	reta, err := NewRETA(512, 16)
	require.NoError(b, err)
	s, err := NewSolver(NewHasher(DefaultKey), reta, 5, 32768, 60999)
	require.NoError(b, err)
	f := makeBenchFlows(false)[0]
	ports := s.Ports(f.remote, f.local, f.rport)
	i := uint32(0)
	for b.Loop() {
		sink += uint32(ports.Port(i))
		i++
	}
}

func BenchmarkNewSolver(b *testing.B) {
	reta, err := NewRETA(512, 16)
	require.NoError(b, err)
	h := NewHasher(DefaultKey)
	for b.Loop() {
		s, err := NewSolver(h, reta, 5, 32768, 60999)
		if err != nil {
			b.Fatal(err)
		}
		sink += s.v4.flows[0].count
	}
}
