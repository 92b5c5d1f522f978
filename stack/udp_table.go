package stack

import (
	"math/bits"

	"github.com/shardstack/shardstack/header"
)

// Which PCB a datagram belongs to is found by two look-ups in hash tables: the
// connected PCBs by both ends, and the bound ones by their local end. The tables
// are flowTables, as TCP's, but the hash is our own: not every NIC hashes the
// ports of UDP.

// udpChunk is how many PCBs are allocated at a time.
const udpChunk = 64

// udpState is UDP's part of a Stack.
type udpState struct {
	flows    flowTable           // connected PCBs
	ports    flowTable           // PCBs bound to an address
	bound    [256]*[256]portUser // who is bound to a port, a page for each high byte
	chunks   []*[udpChunk]UDP
	used     uint32 // PCBs that were ever given out
	free     *UDP
	key      [4]uint64
	nextPort uint32
	dst      header.Addr // of the datagram in work
}

func (s *Stack) udpInit() {
	us := &s.udp
	us.flows.init(false)
	us.ports.init(false)
	for i := range us.key {
		us.key[i] = uint64(s.rng.uint32())<<32 | uint64(s.rng.uint32()) | 1
	}
	us.nextPort = s.rng.uint32()
}

// udpClose closes every PCB.
func (s *Stack) udpClose() {
	for id := range s.udp.used {
		s.udp.pcb(id).Close()
	}
}

// pcb is the PCB with that number.
func (us *udpState) pcb(id uint32) *UDP { return &us.chunks[id/udpChunk][id%udpChunk] }

// NewUDP makes a PCB that is neither bound nor connected (udp_new). Nil: the
// stack is closed.
func (s *Stack) NewUDP() *UDP {
	if s.closed {
		return nil
	}
	us := &s.udp
	u := us.free
	if u != nil {
		us.free = u.next
	} else {
		id := us.used
		if id%udpChunk == 0 {
			us.chunks = append(us.chunks, new([udpChunk]UDP))
		}
		us.used++
		u = us.pcb(id)
		u.id = id
	}
	u.s, u.next = s, nil
	return u
}

// Close gives the PCB back (udp_remove). No callback comes any more.
func (u *UDP) Close() {
	s := u.s
	if s == nil {
		return
	}
	u.Disconnect()
	u.unbind()
	*u = UDP{id: u.id, next: s.udp.free}
	s.udp.free = u
}

// hash mixes both ends of a flow under a secret, so that nobody can fill one
// place of a table.
func (us *udpState) hash(local, remote header.Addr, ports uint32) uint32 {
	k := &us.key
	h1, l1 := bits.Mul64(local.Lo()^k[0], remote.Lo()^k[1]^uint64(ports)<<32)
	h2, l2 := bits.Mul64(local.Hi()^k[2]^uint64(ports), remote.Hi()^k[3])
	x := h1 ^ l1 ^ h2 ^ l2
	return uint32(x>>32 ^ x)
}

// findFlow is the PCB connected from remote to local; ports are remote<<16 |
// local.
func (us *udpState) findFlow(local, remote header.Addr, ports uint32) *UDP {
	if us.flows.n == 0 {
		return nil
	}
	return us.search(&us.flows, us.hash(local, remote, ports), func(u *UDP) bool {
		return u.local == local && u.remote == remote && uint32(u.rport)<<16|uint32(u.lport) == ports
	})
}

// anyOf is a set of families of which a PCB takes any address.
type anyOf uint8

const (
	any4 anyOf = 1 << iota
	any6
)

func anyOfFamily(f family) anyOf { return [...]anyOf{any4 | any6, any4, any6}[f] }

// takes reports whether the family of an address is in the set.
func (a anyOf) takes(local header.Addr) bool { return a>>famIndex(local)&1 != 0 }

// famIndex is 0 for IPv4 and 1 for IPv6.
func famIndex(a header.Addr) uint8 {
	if a.Is4() {
		return 0
	}
	return 1
}

// portUser says who is bound to a port, for each family: a PCB for any address, or
// some for addresses of their own, which are in the table of ports.
type portUser struct {
	n   [2]uint32 // PCBs with an address of their own
	all [2]uint32 // number + 1 of the one bound to any; 0: none
}

// any is the families of which a PCB is bound to any address.
func (use *portUser) any() (a anyOf) {
	if use.all[0] != 0 {
		a |= any4
	}
	if use.all[1] != 0 {
		a |= any6
	}
	return a
}

// findPort is the PCB bound to exactly this local end.
func (us *udpState) findPort(local header.Addr, port uint16) *UDP {
	use := us.user(port)
	if use.n[famIndex(local)] == 0 {
		return nil
	}
	return us.search(&us.ports, us.hash(local, header.Addr{}, uint32(port)), func(u *UDP) bool {
		return u.bound && u.lport == port && u.boundAddr() == local
	})
}

// search walks the slots of a table that hash leads to.
func (us *udpState) search(f *flowTable, hash uint32, match func(u *UDP) bool) *UDP {
	for tab := &f.cur; ; tab = &f.old {
		for i := tab.home(hash); ; i = tab.next(i) {
			slot := tab.slots[i]
			if slot.id == 0 {
				break
			}
			if slot.hash == hash && slot.id != tombstone {
				if u := us.pcb(slot.id - 1); match(u) {
					return u
				}
			}
		}
		if tab == &f.old || f.old.slots == nil {
			return nil
		}
	}
}

// user says who is bound to a port.
func (us *udpState) user(port uint16) portUser {
	if page := us.bound[port>>8]; page != nil {
		return page[port&0xff]
	}
	return portUser{}
}

// count is how many PCBs are bound to a port, one to both families counting twice.
func (us *udpState) count(port uint16) uint32 {
	use := us.user(port)
	n := use.n[0] + use.n[1]
	for _, id := range use.all {
		if id != 0 {
			n++
		}
	}
	return n
}

// addPort puts a bound PCB into the tables.
func (us *udpState) addPort(u *UDP) {
	page := us.bound[u.lport>>8]
	if page == nil {
		page = new([256]portUser)
		us.bound[u.lport>>8] = page
	}
	use := &page[u.lport&0xff]
	if u.any != 0 {
		for i := range use.all {
			if u.any>>i&1 != 0 {
				use.all[i] = u.id + 1
			}
		}
		return
	}
	use.n[famIndex(u.local)]++
	us.ports.insert(us.hash(u.local, header.Addr{}, uint32(u.lport)), u.id)
}

// removePort undoes addPort.
func (us *udpState) removePort(u *UDP) {
	use := &us.bound[u.lport>>8][u.lport&0xff]
	if u.any != 0 {
		for i := range use.all {
			if u.any>>i&1 != 0 {
				use.all[i] = 0
			}
		}
		return
	}
	local := u.boundAddr()
	use.n[famIndex(local)]--
	us.ports.remove(us.hash(u.local, header.Addr{}, uint32(u.lport)), u.id)
}

// udpLookup finds the PCB for a datagram from src to dst, with ports as in the
// header; one that is connected to src is preferred to one bound to dst, that to
// one bound to any (udp_input). A broadcast also reaches the PCB that is bound
// to an address of the interface.
func (s *Stack) udpLookup(nif *Netif, src, dst header.Addr, ports uint32, group bool) *UDP {
	us := &s.udp
	port := uint16(ports)
	if u := us.findFlow(dst, src, ports); u != nil {
		return u
	}
	use, fam := us.user(port), famIndex(dst)
	if use.n[fam] != 0 {
		if u := us.findPort(dst, port); u != nil && u.takesFrom(src, ports) {
			return u
		}
	}
	if id := use.all[fam]; id != 0 {
		if u := us.pcb(id - 1); u.takesFrom(src, ports) {
			return u
		}
	}
	if group && use.n[0] != 0 && dst.Is4() {
		for i := range nif.addrs {
			if u := us.findPort(nif.addrs[i].addr, port); u != nil && u.takesFrom(src, ports) {
				return u
			}
		}
	}
	return nil
}

// takesFrom reports whether the PCB is not connected, or connected to src.
func (u *UDP) takesFrom(src header.Addr, ports uint32) bool {
	return u.rport == 0 || u.remote == src && u.rport == uint16(ports>>16)
}
