package rss

// minWidth is the least binary logarithm of the block size: it bounds the
// number of blocks, and so the table family.high, to 256.
const minWidth = 8

// flow is what is known of all flows whose constant has the same low bits.
type flow struct {
	count uint32 // ports of the range that lead to the queue
	block uint32 // ports of a whole block that do, the same for each block
	skip  uint32 // those of the first block that lie below the range
	entry uint32 // index of the first reachable entry in family.entries
}

// family is the part of a Solver for one address family.
//
// The 65,536 ports are cut into aligned blocks of 2^width, where width is the
// number of low port bits whose images span the image of L. Then every block
// has equally many ports for the queue: its higher bits only add a constant,
// which lies in the image and so permutes the entries that are in reach. That
// turns a range of ports into arithmetic: number the ports of the queue from the
// start of the block that holds the first port of the range, skip those below
// the range, and with n of them a block, number i is at place i%n of the i/n-th
// block.
//
// Within a whole block a place stands for a pair of one of the queue's entries
// t in reach and a kernel vector k: the port is L⁻¹(t ^ constant) ^ k. In the
// blocks that the range cuts off at an end, places are in the order of ports
// instead, and found by descending the bits of the port.
type family struct {
	cols         columns
	width        uint8  // 8 to 16
	kernelBits   uint8  // width - rank, 0 to 16
	firstBlock   uint32 // block that holds the first port of the range
	wholeLo      uint32 // blocks [wholeLo, wholeHi) lie in the range whole
	wholeHi      uint32
	flows        [MaxRETA]flow             // by constant
	inverse      [MaxRETA]uint16           // a port of block 0 for a vector of the image
	entries      [MaxRETA]uint16           // the queue's entries, by coset of the image
	high         [1 << minWidth]uint16     // L of the first port of a block
	kernelLo     [256]uint16               // combinations of the first 8 kernel vectors
	kernelHi     [256]uint16               // and of the rest
	subtreeCount [portBits][MaxRETA]uint16 // ports below 2^j for a constant
}

func (f *family) any() bool {
	for i := range f.flows {
		if f.flows[i].count != 0 {
			return true
		}
	}
	return false
}

// init solves L = c for one queue and the ports lo to hi.
func (f *family) init(c *columns, reta *RETA, queue, lo, hi uint16) {
	e := eliminate(c, minWidth)
	f.cols = *c
	f.width = uint8(e.width)
	f.kernelBits = uint8(len(e.kernel))
	for i := range f.kernelLo {
		f.kernelLo[i] = combine(e.kernel, i)
		f.kernelHi[i] = combine(e.kernel, i<<8)
	}
	for b := range 1 << (portBits - e.width) {
		f.high[b] = c.apply(uint16(b << e.width))
	}
	f.initEntries(&e.basis, reta, queue)
	f.initCounts(reta, queue)
	f.initRange(uint32(lo), uint32(hi))
}

// combine is the XOR of the vectors whose bits are set in m; bits past the
// last vector are ignored.
func combine(vectors []uint16, m int) (x uint16) {
	for i, v := range vectors {
		if m>>i&1 != 0 {
			x ^= v
		}
	}
	return x
}

// initEntries lists the queue's entries by coset of the image, notes for each
// constant where those in its reach begin, and inverts L on block 0.
func (f *family) initEntries(b *basis, reta *RETA, queue uint16) {
	mask := reta.mask()
	var cosets [MaxRETA]uint16 // the rest that stands for the coset of a vector
	for v := range uint32(MaxRETA) {
		cosets[v], f.inverse[v] = b.reduce(uint16(v & mask))
	}
	var start [MaxRETA + 1]uint32 // counting sort of the entries by coset
	for t := range mask + 1 {
		if reta.Queue(t) == queue {
			start[cosets[t]+1]++
		}
	}
	for rest := range MaxRETA {
		start[rest+1] += start[rest]
	}
	next := start
	for t := range mask + 1 {
		if reta.Queue(t) == queue {
			f.entries[next[cosets[t]]] = uint16(t)
			next[cosets[t]]++
		}
	}
	for c := range f.flows {
		f.flows[c].entry = start[cosets[c]]
	}
}

// initCounts fills subtreeCount: the ports below 2^(j+1) are those below 2^j
// and, with the image of bit j added to the constant, as many above.
func (f *family) initCounts(reta *RETA, queue uint16) {
	for v := range uint32(MaxRETA) {
		if reta.Queue(v) == queue {
			f.subtreeCount[0][v] = 1
		}
	}
	for j := range f.width - 1 {
		below, col := &f.subtreeCount[j], f.cols[j]
		for v := range uint16(MaxRETA) {
			f.subtreeCount[j+1][v] = below[v] + below[v^col]
		}
	}
	top, col := &f.subtreeCount[f.width-1], f.cols[f.width-1]
	for v := range uint16(MaxRETA) {
		f.flows[v].block = uint32(top[v]) + uint32(top[v^col])
	}
}

// initRange counts the ports of the range for each constant.
func (f *family) initRange(lo, hi uint32) {
	inBlock := uint32(1)<<f.width - 1
	last := hi >> f.width
	f.firstBlock = lo >> f.width
	f.wholeLo = (lo + inBlock) >> f.width
	f.wholeHi = (hi + 1) >> f.width
	for c := range f.flows {
		fl := &f.flows[c]
		fl.skip = f.below(uint16(c)^f.high[f.firstBlock], lo&inBlock)
		end := f.below(uint16(c)^f.high[last], hi&inBlock+1)
		fl.count = fl.block*(last-f.firstBlock) + end - fl.skip
	}
}

// below counts the queue's ports below end, 0 to 2^width, within a block of
// constant v.
func (f *family) below(v uint16, end uint32) (n uint32) {
	if end>>f.width != 0 {
		return f.flows[v].block
	}
	for j := int(f.width) - 1; j >= 0; j-- {
		if end>>j&1 != 0 {
			n += uint32(f.subtreeCount[j][v])
			v ^= f.cols[j]
		}
	}
	return n
}

// port is the queue's port number i for the flows with constant c.
func (f *family) port(c, i uint32) uint16 {
	fl := &f.flows[c%MaxRETA]
	if i >= fl.count {
		if fl.count == 0 {
			return 0
		}
		i %= fl.count
	}
	i += fl.skip
	block := i / fl.block
	i -= block * fl.block
	block += f.firstBlock
	base := uint16(block << (f.width & 31))
	c ^= uint32(f.high[block%(1<<minWidth)])
	if block < f.wholeLo || block >= f.wholeHi {
		return base | f.descend(c, i)
	}
	k := i & (1<<(f.kernelBits&31) - 1)
	t := uint32(f.entries[(fl.entry+i>>(f.kernelBits&31))%MaxRETA])
	return base | f.inverse[(t^c)%MaxRETA] ^ f.kernelLo[byte(k)] ^ f.kernelHi[byte(k>>8)]
}

// descend finds the queue's i-th port, in order of ports, within a block of
// constant v: at each bit, either i is among the ports with that bit clear, or
// it is past them all and the bit is set.
func (f *family) descend(v, i uint32) (x uint16) {
	for j := int(f.width) - 1; j >= 0; j-- {
		n := uint32(f.subtreeCount[j%portBits][v%MaxRETA])
		// All ones if i >= n: no branch, it could not be predicted.
		past := ^uint32(int64(uint64(i)-uint64(n)) >> 63)
		i -= n & past
		v ^= uint32(f.cols[j%portBits]) & past
		x |= uint16(past & 1 << (j % portBits))
	}
	return x
}
