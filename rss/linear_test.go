package rss

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// matrices of every rank: random ones, and ones whose columns repeat.
func testMatrices() (out []columns) {
	r := rand.New(rand.NewPCG(4, 4))
	for i := range 100 {
		var c columns
		mask := uint16(1)<<(6+i%4) - 1
		span := 1 + r.IntN(portBits)
		for b := range c {
			switch {
			case i%3 == 0 && b > 0 && r.IntN(2) == 0:
				c[b] = c[r.IntN(b)]
			case b < span:
				c[b] = uint16(r.Uint32()) & mask
			}
		}
		out = append(out, c)
	}
	return append(out, columns{}, columns{15: 1}, columns{0: 1}, columns{7: 256, 8: 256})
}

func TestColumnsOfIsTheHashOfThePort(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		h := NewHasher(randomKey(t, r))
		c := columnsOf(&h.tab[offPort4], &h.tab[offPort4+1], 511)
		p := uint16(r.Uint32())
		require.Equal(t, uint16(h.Hash4(0, 0, 0, p)&511), c.apply(p))
	}
}

func TestEliminate(t *testing.T) {
	for _, c := range testMatrices() {
		for _, minWidth := range []int{0, minWidth} {
			e := eliminate(&c, minWidth)
			lowest := func(width int) map[uint16]bool {
				image := map[uint16]bool{}
				for x := range 1 << width {
					image[c.apply(uint16(x))] = true
				}
				return image
			}
			image := lowest(portBits)
			require.Len(t, image, 1<<e.rank)
			require.Len(t, lowest(e.width), 1<<e.rank, "the low bits span the image")
			if e.width > minWidth {
				require.Less(t, len(lowest(e.width-1)), 1<<e.rank, "and no fewer do")
			}

			require.Len(t, e.kernel, e.width-e.rank)
			combos := map[uint16]bool{}
			for m := range 1 << len(e.kernel) {
				x := combine(e.kernel, m)
				require.Zero(t, c.apply(x))
				require.Zero(t, uint32(x)>>e.width)
				combos[x] = true
			}
			require.Len(t, combos, 1<<len(e.kernel), "kernel vectors are independent")

			rests := map[uint16]int{}
			for y := range uint16(MaxRETA) {
				rest, x := e.reduce(y)
				require.Equal(t, y^rest, c.apply(x))
				require.Zero(t, uint32(x)>>e.width)
				require.Equal(t, image[y], rest == 0)
				rests[rest]++
			}
			for _, n := range rests {
				require.Equal(t, 1<<e.rank, n, "cosets are of one size")
			}
		}
	}
}
