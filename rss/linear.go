package rss

import "math/bits"

// portBits is the width of a port, the dimension of the space L maps from.
const portBits = 16

// columns is the matrix of a linear map over GF(2), from the bits of a port to
// the bits that index a RETA: columns[b] is the image of bit b.
type columns [portBits]uint16

// columnsOf reads the matrix of L, cut to the bits in mask, off the byte tables
// of a destination port.
func columnsOf(hi, lo *byteTable, mask uint32) (c columns) {
	for b := range portBits / 2 {
		c[b] = uint16(lo[1<<b] & mask)
		c[b+portBits/2] = uint16(hi[1<<b] & mask)
	}
	return c
}

// apply is the image of x.
func (c *columns) apply(x uint16) (y uint16) {
	for ; x != 0; x &= x - 1 {
		y ^= c[bits.TrailingZeros16(x)]
	}
	return y
}

// basis is a basis of the image of a matrix in echelon form. The element whose
// highest bit is p stands at p, with one port that maps to it; zero means none.
type basis struct {
	image [portBits]uint16
	port  [portBits]uint16
}

// reduce clears the highest bits of basis elements from y. Vectors of one coset
// of the image leave the same rest, those of the image zero; y ^ rest is then
// the image of x.
func (b *basis) reduce(y uint16) (rest, x uint16) {
	for p := portBits - 1; p >= 0; p-- {
		if y>>p&1 != 0 && b.image[p] != 0 {
			y ^= b.image[p]
			x ^= b.port[p]
		}
	}
	return y, x
}

// eliminated is what Gaussian elimination finds out about a matrix. The columns
// are taken from the lowest bit up, so everything here is made of as few low
// bits as the matrix allows.
type eliminated struct {
	basis
	rank int
	// width is the number of low bits whose images already span the whole
	// image: ports that differ in higher bits only can be brought together
	// by changing the low ones.
	width int
	// kernel are the width-rank independent vectors of the low bits that map
	// to zero.
	kernel []uint16
}

// eliminate solves the matrix, whose low minWidth bits are to be used whether
// they are needed or not.
func eliminate(c *columns, minWidth int) eliminated {
	e := eliminated{width: minWidth}
	free := make([]uint16, 0, portBits)
	for b, y := range c {
		rest, x := e.reduce(y)
		x ^= 1 << b
		if rest == 0 {
			free = append(free, x)
			continue
		}
		p := bits.Len16(rest) - 1
		e.image[p], e.port[p] = rest, x
		e.rank++
		e.width = max(e.width, b+1)
	}
	// Of the vectors found, those with no bit above width.
	e.kernel = free[:e.width-e.rank]
	return e
}

// portsReachAll reports whether the low 12 bits of a destination port reach
// every entry of the largest RETA.
func portsReachAll(hi, lo *byteTable) bool {
	c := columnsOf(hi, lo, MaxRETA-1)
	e := eliminate(&c, 0)
	return 1<<e.rank == MaxRETA && e.width <= 12
}
