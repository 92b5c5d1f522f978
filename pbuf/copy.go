package pbuf

// Skip returns the buffer that holds byte off of the chain and the byte's
// offset in that buffer. If the chain is shorter it returns nil and by how much
// off is behind its end (pbuf_skip).
func (p *Pbuf) Skip(off int) (*Pbuf, int) {
	for p != nil && off >= int(p.length) {
		off -= int(p.length)
		p = p.Next()
	}
	return p, off
}

// CopyPartial copies bytes of the chain from off on into dst, until either
// ends, and returns how many it copied (pbuf_copy_partial).
func (p *Pbuf) CopyPartial(dst []byte, off int) int {
	if off < 0 {
		return 0
	}
	q, off := p.Skip(off)
	n := 0
	for q != nil && n < len(dst) {
		n += copy(dst[n:], q.Payload()[off:])
		off = 0
		q = q.Next()
	}
	return n
}

// Contiguous returns bytes [off, off+n) of the chain: in place if one buffer
// holds them, else copied to buf, which must have n bytes. It returns nil if
// chain or buf are too short (pbuf_get_contiguous).
func (p *Pbuf) Contiguous(buf []byte, n, off int) []byte {
	if n < 0 || off < 0 || off > int(p.totLen) || n > int(p.totLen)-off {
		return nil
	}
	q, qoff := p.Skip(off)
	if q == nil {
		return buf[:0]
	}
	if b := q.Payload()[qoff:]; len(b) >= n {
		return b[:n:n]
	}
	if len(buf) < n {
		return nil
	}
	q.CopyPartial(buf[:n], qoff)
	return buf[:n]
}

// Take copies b to the start of the chain's payload, which must have room for
// all of it (pbuf_take). It returns ErrMem, with nothing written, if it has not.
func (p *Pbuf) Take(b []byte) error { return p.TakeAt(b, 0) }

// TakeAt copies b over the chain's payload from off on. It returns ErrMem, with
// nothing written, if the payload ends before (pbuf_take_at).
func (p *Pbuf) TakeAt(b []byte, off int) error {
	if off < 0 || off > int(p.totLen) || len(b) > int(p.totLen)-off {
		return ErrMem
	}
	q, off := p.Skip(off)
	for len(b) > 0 {
		n := copy(q.Payload()[off:], b)
		b = b[n:]
		off = 0
		q = q.Next()
	}
	return nil
}

// Copy copies the payload of the chain to the start of that of dst. It returns
// ErrArg, with nothing written, if dst is nil or shorter (pbuf_copy).
func (p *Pbuf) Copy(dst *Pbuf) error {
	return p.CopyTo(dst, int(p.totLen), 0)
}

// CopyTo copies the first n bytes of the chain over the payload of dst from off
// on. It returns ErrArg, with nothing written, if one of the two is too short
// (pbuf_copy_partial_pbuf).
func (p *Pbuf) CopyTo(dst *Pbuf, n, off int) error {
	if dst == nil || n < 0 || n > int(p.totLen) ||
		off < 0 || off > int(dst.totLen) || n > int(dst.totLen)-off {
		return ErrArg
	}
	dst, off = dst.Skip(off)
	for ; n > 0; p = p.Next() {
		b := p.Payload()
		if len(b) > n {
			b = b[:n]
		}
		n -= len(b)
		for len(b) > 0 {
			m := copy(dst.Payload()[off:], b)
			b = b[m:]
			if off += m; off == int(dst.length) {
				dst, off = dst.Next(), 0
			}
		}
	}
	return nil
}

// Clone returns a new packet of kind k with room for the headers of l and the
// same bytes, Meta and Time, from the pool of p's holder; nil if that has no
// buffers, and for KindRef (pbuf_clone).
func (p *Pbuf) Clone(l Layer, k Kind) *Pbuf {
	q := pools[p.at].Alloc(l, int(p.totLen), k)
	if q == nil {
		return nil
	}
	if p.Copy(q) != nil {
		q.Free()
		return nil
	}
	q.Meta = p.Meta
	q.Time = p.Time
	return q
}

// Coalesce returns the packet in one buffer: p itself if it is one or there is
// no memory, else a copy, with p freed (pbuf_coalesce). The caller's reference
// goes over to the result.
func (p *Pbuf) Coalesce(l Layer) *Pbuf {
	if p.next == 0 {
		return p
	}
	q := p.Clone(l, KindRAM)
	if q == nil {
		return p
	}
	p.Free()
	return q
}
