package stack

import (
	"github.com/shardstack/shardstack/header"
)

// Selective acknowledgement, the receiver's side (RFC 2018, RFC 2883): what has
// arrived out of order, and what has arrived twice, is told in the ACKs without
// data. Few connections at a time have anything to tell; those have a part for
// it, and tfSackOut says so.

// sackOut is that part. The blocks are those of RFC 2018 4: the one that grew last
// first. A block that has fallen off the end was reported before.
type sackOut struct {
	block [4]header.SACKBlock
	n     int
	dup   header.SACKBlock // RFC 2883: told once; Left == Right: none
}

// sackOut returns the part, making it if need be; nil without SACK.
func (t *TCP) sackOut() *sackOut {
	if t.flags&tfSack == 0 {
		return nil
	}
	c := t.coldPart()
	if c.sack == nil {
		c.sack = t.s.tcp.sackOuts.get()
		t.flags |= tfSackOut
	}
	return c.sack
}

// dropSackOut gives the part back.
func (t *TCP) dropSackOut() {
	if t.flags&tfSackOut == 0 {
		return
	}
	t.s.tcp.sackOuts.put(t.cold.sack)
	t.cold.sack = nil
	t.flags &^= tfSackOut
}

// sackArrived notes that left … right is in the out-of-order queue: the block
// that it belongs to goes first (RFC 2018 4).
func (t *TCP) sackArrived(left, right header.Seq) {
	o := t.sackOut()
	if o == nil {
		return
	}
	b := header.SACKBlock{Left: left, Right: right}
	kept := 0
	for _, x := range o.block[:o.n] {
		if x.Right.Less(b.Left) || x.Left.Greater(b.Right) {
			o.block[kept] = x
			kept++
			continue
		}
		if x.Left.Less(b.Left) {
			b.Left = x.Left
		}
		if x.Right.Greater(b.Right) {
			b.Right = x.Right
		}
	}
	o.n = min(kept+1, len(o.block))
	copy(o.block[1:o.n], o.block[:kept])
	o.block[0] = b
}

// sackDuplicate notes that left … right arrived though it was there: the next ACK
// says so (RFC 2883 4). Of several until then the first is told.
func (t *TCP) sackDuplicate(left, right header.Seq) {
	if o := t.sackOut(); o != nil && o.dup.Left == o.dup.Right {
		o.dup = header.SACKBlock{Left: left, Right: right}
	}
}

// sackOld is sackDuplicate for a segment, of which what is left of rcvNxt has
// arrived before.
func (t *TCP) sackOld(seq, end header.Seq) {
	if end.Greater(t.rcvNxt) {
		end = t.rcvNxt
	}
	if seq.Less(end) {
		t.sackDuplicate(seq, end)
	}
}

// sackPrune forgets blocks that are acknowledged by now, and the part if nothing
// is left to tell.
func (t *TCP) sackPrune() {
	o := t.cold.sack
	kept := 0
	for _, b := range o.block[:o.n] {
		if b.Right.Greater(t.rcvNxt) {
			o.block[kept] = b
			kept++
		}
	}
	if t.ooseq.Empty() { // or its bytes were given up (RFC 2018 8)
		kept = 0
	}
	if o.n = kept; kept == 0 && o.dup.Left == o.dup.Right {
		t.dropSackOut()
	}
}

// sackOptionLen is the length of the option in an ACK without data, room bytes
// being left for it.
func (t *TCP) sackOptionLen(room int) int {
	if t.flags&tfSackOut == 0 {
		return 0
	}
	t.sackPrune()
	if t.flags&tfSackOut == 0 {
		return 0
	}
	o := t.cold.sack
	n := o.n
	if o.dup.Left != o.dup.Right {
		n++
	}
	if n = min(n, (room-header.TCPSACKLen)/8); n <= 0 {
		return 0
	}
	return header.TCPSACKLen + 8*n
}

// putSack writes the option of n bytes.
func (t *TCP) putSack(b []byte, n int) {
	o := t.cold.sack
	var list [4]header.SACKBlock
	k := (n - header.TCPSACKLen) / 8
	blocks := list[:0]
	if o.dup.Left != o.dup.Right {
		// RFC 2883 4: the duplicate is the first block. If it is part of a
		// block, that one follows.
		blocks = append(blocks, o.dup)
		o.dup = header.SACKBlock{}
	}
	blocks = append(blocks, o.block[:min(o.n, k-len(blocks))]...)
	header.PutSACK(b, blocks)
	if o.n == 0 {
		t.dropSackOut()
	}
}
