package pbuf

import "bytes"

// GetAt returns byte off of the chain, 0 beyond its end (pbuf_get_at).
func (p *Pbuf) GetAt(off int) byte {
	b, _ := p.TryGetAt(off)
	return b
}

// TryGetAt returns byte off of the chain and whether there is one
// (pbuf_try_get_at).
func (p *Pbuf) TryGetAt(off int) (byte, bool) {
	if off < 0 {
		return 0, false
	}
	q, off := p.Skip(off)
	if q == nil {
		return 0, false
	}
	return q.Payload()[off], true
}

// PutAt sets byte off of the chain; beyond its end it does nothing
// (pbuf_put_at).
func (p *Pbuf) PutAt(off int, b byte) {
	if off < 0 {
		return
	}
	if q, off := p.Skip(off); q != nil {
		q.Payload()[off] = b
	}
}

// Memcmp compares b with the bytes of the chain from off on. It returns 0 if
// they are equal, -1 if the chain is too short, else the index in b of the
// first difference plus one (pbuf_memcmp, whose 0xffff is -1 here).
func (p *Pbuf) Memcmp(b []byte, off int) int {
	if off < 0 || off > int(p.totLen) || len(b) > int(p.totLen)-off {
		return -1
	}
	q, off := p.Skip(off)
	for done := 0; done < len(b); {
		part := q.Payload()[off:]
		if len(part) > len(b)-done {
			part = part[:len(b)-done]
		}
		if !bytes.Equal(part, b[done:done+len(part)]) {
			for i := range part {
				if part[i] != b[done+i] {
					return done + i + 1
				}
			}
		}
		done += len(part)
		off = 0
		q = q.Next()
	}
	return 0
}

// Memfind returns the offset of the first occurrence of b in the chain that
// starts at start or behind it, -1 if there is none (pbuf_memfind, whose 0xffff
// is -1 here).
func (p *Pbuf) Memfind(b []byte, start int) int {
	if start < 0 {
		return -1
	}
	if len(b) == 0 {
		if start > int(p.totLen) {
			return -1
		}
		return start
	}
	q, off := p.Skip(start)
	base := start - off
	for q != nil {
		part := q.Payload()
		for off < len(part) {
			i := bytes.IndexByte(part[off:], b[0])
			if i < 0 {
				break
			}
			off += i
			if q.Memcmp(b, off) == 0 {
				return base + off
			}
			off++
		}
		base += len(part)
		off = 0
		q = q.Next()
	}
	return -1
}
