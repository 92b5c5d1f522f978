package pbuf

// An alias is a second header on the bytes of a buffer, for the thread of another
// pool: so that it can read what the buffer's own thread keeps, to send it again.
// It lies in the mbuf area in front of the buffer, which only DPDK uses, so that
// making one takes no memory, and it is to its pool what a device's buffer is: a
// KindRef with StateLent, which goes to the pool's Lender when it is freed. Who
// made the pool's Lender brings it back to the thread of the buffer's pool, where
// Unalias drops the reference to the buffer that the alias was.
//
// Neither thread touches what is the other's: of the buffer the holder of the
// alias reads the payload only, and nobody writes that before the alias is back.

// stateAlias is the state of an alias; no class has elements like it.
const stateAlias = stateClass | stateLent | stateExtern

// Alias reports whether the bytes of this buffer are those of another thread's, or of
// a device's element that others look at too: to be read only.
func (p *Pbuf) Alias() bool { return p.state >= stateLent|stateExtern }

// inFront reports whether an alias lies in front of the buffer that it is of.
func (p *Pbuf) inFront() bool { return p.state&^(stateShared|stateQueued) == stateAlias }

// CanAlias reports whether buffers of this pool have the room for an alias: those
// of a Backing don't, as it is a device's there.
func (pl *Pool) CanAlias() bool {
	for c := range NumClasses {
		if pl.classes[c].backing != nil {
			return false
		}
	}
	return true
}

// Borrower says what aliases are made for: the ID of the pool whose thread gets
// them, the Meta that they have, and which buffers not to make any of: those with less
// than Least or more than Most bytes, or with one of Not in their Flags.
type Borrower struct {
	To          uint8
	Meta        Meta
	Least, Most int
	Not         Flags
}

// MakeAliases turns the caller's references to the first of ps into aliases on their
// payload as it is now, and puts their addresses into out: to be passed to the thread
// of pool by.To, and not to be touched before. It returns how many, and their bytes.
// It stops at a buffer that is not one of pool pl's own and alone (a KindRef, a
// chain, lent, with slices), has an alias already, or is not what by asks for. Only
// if pl.CanAlias.
func (pl *Pool) MakeAliases(ps []*Pbuf, by *Borrower, now int64, out []uintptr) (n, bytes int) {
	ps = ps[:min(len(ps), len(out))]
	least, span := uint32(by.Least), uint32(by.Most-by.Least)
	m := by.Meta
	t := tag{ref: 1, kind: KindRef, state: stateAlias, home: by.To, at: by.To}
	for i, p := range ps {
		k := p.length
		if p.next != 0 || p.state > stateClass || p.kind == KindRef || p.home != pl.id || p.at != pl.id ||
			k-least > span || p.Flags&by.Not != 0 {
			break
		}
		if debug {
			p.assertLive()
		}
		p.state |= stateExtern
		a := at(addr(p) - MbufSize)
		a.next = 0
		a.payload = p.payload
		a.totLen = k
		a.length = k
		a.tag = t
		a.Meta = m
		a.Time = now
		a.qnext = 0
		if debug {
			a.debugAdopt()
		}
		out[i] = addr(a)
		bytes += int(k)
		n++
	}
	return n, bytes
}

// Unalias takes back aliases, by their addresses, that were freed and brought home
// to the thread of the pool whose buffers they were made of.
func Unalias(aliases []uintptr) {
	for len(aliases) > 0 {
		p := at(aliases[0] + MbufSize)
		p.state &^= stateExtern
		if p.ref > 1 {
			p.ref-- // who sent it keeps it, to send it again
		} else {
			p.Free()
		}
		aliases = aliases[1:]
	}
}

// AliasHome is the ID of the pool that the buffer of an alias is from. Any thread.
func AliasHome(a uintptr) uint8 { return at(a + MbufSize).home }

// Borrowed books n aliases that have come to this pool. Pool's thread.
func (pl *Pool) Borrowed(n int) { pl.lentOut += n }

// freeAliases is freeLinked for aliases at home; p is one.
func (pl *Pool) freeAliases(p *Pbuf) (n int, next *Pbuf) {
	for state := p.state; p != nil && p.ref == 1 && p.state == state && p.home == pl.id && p.at == pl.id; {
		p.ref = 0
		pl.lent[pl.lentN] = addr(p)
		n++
		p = load(&p.next)
		if pl.lentN++; pl.lentN == lentBatch {
			pl.FlushLent()
		}
	}
	pl.lentOut -= n
	return n, p
}
