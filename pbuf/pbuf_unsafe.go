package pbuf

import "unsafe"

// The layout is shared with DPDK and with the sizes documented for users.
var (
	_ [PbufSize - unsafe.Sizeof(Pbuf{})]byte
	_ [unsafe.Sizeof(Pbuf{}) - PbufSize]byte
	_ [CBSize - unsafe.Offsetof(Pbuf{}.cb)]byte
	_ [unsafe.Offsetof(Pbuf{}.cb) - CBSize]byte
)

// The offsets that drivers know are right: two arrays of length 0 for each.
var (
	_ [unsafe.Offsetof(Pbuf{}.next) - OffNext]byte
	_ [unsafe.Offsetof(Pbuf{}.payload) - OffPayload]byte
	_ [OffPayload - unsafe.Offsetof(Pbuf{}.payload)]byte
	_ [unsafe.Offsetof(Pbuf{}.totLen) - OffTotLen]byte
	_ [OffTotLen - unsafe.Offsetof(Pbuf{}.totLen)]byte
	_ [unsafe.Offsetof(Pbuf{}.length) - OffLen]byte
	_ [OffLen - unsafe.Offsetof(Pbuf{}.length)]byte
	_ [unsafe.Offsetof(Pbuf{}.tag) - OffRef]byte
	_ [OffRef - unsafe.Offsetof(Pbuf{}.tag)]byte
	_ [unsafe.Offsetof(tag{}.kind) - (OffKind - OffRef)]byte
	_ [OffKind - OffRef - unsafe.Offsetof(tag{}.kind)]byte
	_ [unsafe.Offsetof(tag{}.state) - (OffState - OffRef)]byte
	_ [OffState - OffRef - unsafe.Offsetof(tag{}.state)]byte
	_ [unsafe.Offsetof(tag{}.home) - (OffHome - OffRef)]byte
	_ [OffHome - OffRef - unsafe.Offsetof(tag{}.home)]byte
	_ [unsafe.Offsetof(tag{}.at) - (OffAt - OffRef)]byte
	_ [OffAt - OffRef - unsafe.Offsetof(tag{}.at)]byte
	_ [unsafe.Offsetof(tag{}.aux) - (OffRoom - OffRef)]byte
	_ [OffRoom - OffRef - unsafe.Offsetof(tag{}.aux)]byte
	_ [unsafe.Offsetof(Pbuf{}.Meta) - OffMeta]byte
	_ [OffMeta - unsafe.Offsetof(Pbuf{}.Meta)]byte
	_ [unsafe.Offsetof(Pbuf{}.Time) - OffTime]byte
	_ [OffTime - unsafe.Offsetof(Pbuf{}.Time)]byte
	_ [unsafe.Offsetof(Pbuf{}.qnext) - OffQNext]byte
	_ [OffQNext - unsafe.Offsetof(Pbuf{}.qnext)]byte
)

// at returns the buffer whose header is at address a, which is not 0: the
// compiler takes the result of unsafe.Add for a pointer other than nil. The
// address is outside the Go heap, so it is not the collector's business.
func at(a uintptr) *Pbuf { return (*Pbuf)(unsafe.Add(nil, a)) }

// load returns the buffer whose address is in *a, nil for 0.
func load(a *uintptr) *Pbuf { return *(**Pbuf)(unsafe.Pointer(a)) }

func addr(p *Pbuf) uintptr { return uintptr(unsafe.Pointer(p)) }

// bytesAt returns n bytes of a mapping.
func bytesAt(a uintptr, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(nil, a)), n)
}

// Payload returns the bytes of this buffer, not of the chain. The slice is
// valid until the buffer is freed and its capacity ends with the payload.
func (p *Pbuf) Payload() []byte {
	if debug {
		p.assertLive()
	}
	return unsafe.Slice((*byte)(unsafe.Add(nil, p.payload)), p.length)
}

// CB returns the control block of p as a *T: 64 bytes that belong to whoever
// holds the packet at the moment. T must fit and may not contain pointers, as
// the collector would not see them. The block is not cleared by Alloc.
func CB[T any](p *Pbuf) *T {
	if unsafe.Sizeof(*(*T)(nil)) > CBSize {
		panic("pbuf: control block type is larger than CBSize")
	}
	if debug {
		p.assertLive()
		assertNoPointers[T]()
	}
	return (*T)(unsafe.Pointer(&p.cb))
}

// Addr returns the address of the header, for Backing and rings of addresses.
func (p *Pbuf) Addr() uintptr { return addr(p) }

// At returns the buffer whose header is at address a, as returned by Addr, nil
// for 0.
func At(a uintptr) *Pbuf { return load(&a) }

// PayloadAddr returns the address of the first payload byte, for DMA.
func (p *Pbuf) PayloadAddr() uintptr { return p.payload }

// externStart is where the memory begins that a lent buffer's bytes are in: the
// first word of an rte_mbuf is the address of its buffer.
func (p *Pbuf) externStart() uintptr {
	return *(*uintptr)(unsafe.Add(unsafe.Pointer(p), -MbufSize))
}

// link is the first word of the data room of a KindRef buffer that points into
// another buffer: the address of that buffer, which it holds a reference of.
func (p *Pbuf) link() *uintptr {
	return (*uintptr)(unsafe.Add(unsafe.Pointer(p), PbufSize))
}
