package pbuf

// Sizes of the parts of an element, in bytes.
const (
	MbufSize = 128 // rte_mbuf in front of the Pbuf
	PbufSize = 128 // the Pbuf: hot line and control block
	Headroom = 128 // free bytes in front of the data room
	CBSize   = 64  // the control block

	lineShift = 6
	lineSize  = 1 << lineShift
)

// Kind says where a buffer's payload is (lwIP's pbuf_type).
type Kind uint8

const (
	// KindRAM: all bytes in one buffer (PBUF_RAM).
	KindRAM Kind = iota
	// KindPool: a chain of standard buffers (PBUF_POOL).
	KindPool
	// KindRef: the payload is elsewhere and is not copied (PBUF_REF, PBUF_ROM).
	KindRef
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindRAM:
		return "RAM"
	case KindPool:
		return "Pool"
	case KindRef:
		return "Ref"
	}
	return "Kind?"
}

// Layer says which headers will still be put in front of the bytes that are
// allocated (lwIP's pbuf_layer). All but LayerRaw leave Headroom bytes, enough
// for any of them: the longest is Ethernet with two tags, IPv6 and TCP with
// options, 14+8+40+60 = 122 bytes.
type Layer uint8

// The layers, outermost last.
const (
	LayerTransport Layer = iota
	LayerIP
	LayerLink
	LayerRaw
)

func (l Layer) headroom() uintptr {
	if l == LayerRaw {
		return 0
	}
	return Headroom
}

// Pbuf is the header of one buffer. Buffers come from a Pool and are only ever
// handled by pointer. The first 64 bytes are all that the data path touches.
type Pbuf struct {
	_       notInHeap
	next    uintptr // next buffer of the same packet, 0 at the last
	payload uintptr // first byte of this buffer's payload
	totLen  uint32  // bytes in this buffer and all after it
	length  uint32  // bytes in this buffer
	tag
	Meta
	Time  int64   // receive time in ns, valid with RxTime
	qnext uintptr // next packet of the Queue the packet is in
	cb    [CBSize]byte
}

// tag is the part of the header that each class of each pool fills alike.
type tag struct {
	ref   uint16 // holders; 0 = free
	kind  Kind
	state uint8  // Class, and the state bits below
	home  uint8  // pool the buffer came from
	at    uint8  // pool whose thread holds it
	aux   uint16 // stateRegion: its id; stateShared: links; else data room in lines
}

// State bits. A buffer with none of region, link, shared and extern has its bytes
// for itself.
const (
	stateClass  = 0x03 // the element's Class
	stateRegion = 0x04 // KindRef into a Region
	stateLink   = 0x08 // KindRef into another buffer, see Pbuf.link
	stateShared = 0x10 // other buffers are linked to this one
	stateQueued = 0x20 // pbufdebug: in a Queue
	stateLent   = 0x40 // the element is a device's, see Lender
	stateExtern = 0x80 // lent, and the bytes are not the element's own

	stateRef  = stateRegion | stateLink
	stateBusy = stateRef | stateShared | stateExtern
)

// Len returns the payload bytes in this buffer.
func (p *Pbuf) Len() int {
	if debug {
		p.assertLive()
	}
	return int(p.length)
}

// TotLen returns the payload bytes in this buffer and all after it.
func (p *Pbuf) TotLen() int {
	if debug {
		p.assertLive()
	}
	return int(p.totLen)
}

// Next returns the next buffer of the chain, nil at the last.
func (p *Pbuf) Next() *Pbuf {
	if debug {
		p.assertLive()
	}
	return load(&p.next)
}

// QNext returns the next packet of the Queue that p is in, nil at the last.
func (p *Pbuf) QNext() *Pbuf {
	if debug {
		p.assertLive()
	}
	return load(&p.qnext)
}

// Kind returns where the payload of this buffer is.
func (p *Pbuf) Kind() Kind { return p.kind }

// Class returns the size class the buffer's element is from.
func (p *Pbuf) Class() Class { return Class(p.state & stateClass) }

// RefCount returns the number of holders of this buffer.
func (p *Pbuf) RefCount() int { return int(p.ref) }

// Shared reports whether this buffer has other holders, or bytes of its memory
// belong to a rest that was split off. Such a buffer can't be handed to another
// thread or device.
func (p *Pbuf) Shared() bool { return p.ref > 1 || p.state&stateShared != 0 }

// Home returns the ID of the pool the buffer is from.
func (p *Pbuf) Home() uint8 { return p.home }

// Holder returns the ID of the pool whose thread holds the buffer.
func (p *Pbuf) Holder() uint8 { return p.at }

// Pool returns the pool whose thread holds the buffer, for buffers that are to
// go with it.
func (p *Pbuf) Pool() *Pool { return pools[p.at] }

// Ref adds a holder: the buffer, and with it the chain behind it, stays until
// each holder has called Free (pbuf_ref).
func (p *Pbuf) Ref() {
	if debug {
		p.assertRef()
	}
	p.ref++
}

// end returns the address behind the element's data room.
func (p *Pbuf) end() uintptr {
	return addr(p) + PbufSize + Headroom + uintptr(p.aux)<<lineShift
}
