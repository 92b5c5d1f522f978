//go:build dpdk

package dpdk

// #include "dev.h"
import "C"

import (
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/shardstack/shardstack/port"
)

// Flow is a rule that is in force.
type Flow struct {
	p *Port
	f unsafe.Pointer
}

// AddFlow has the device steer packets by a rule (rte_flow). The error matches
// port.ErrNotSupported if it can't, and says why. The port has to be started.
// Any thread.
func (p *Port) AddFlow(r Rule) (*Flow, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := r.Validate(p.info.Queues); err != nil {
		return nil, err
	}
	if p.state != stateStarted {
		return nil, fmt.Errorf("%w: a rule, and %s does not run", port.ErrState, p.info.Name)
	}
	c := C.struct_sp_rule{
		ether_type: C.uint16_t(r.EtherType), proto: C.uint8_t(r.Proto),
		sport: C.uint16_t(r.SrcPort), dport: C.uint16_t(r.DstPort), queue: C.uint16_t(r.Queue),
	}
	setPrefix(&c.src, &c.src_mask, &c.version, r.Src)
	setPrefix(&c.dst, &c.dst_mask, &c.version, r.Dst)
	var why [128]C.char
	f := C.sp_flow_create(p.d.port, &c, &why[0], C.uint32_t(len(why)))
	if f == nil {
		return nil, fmt.Errorf("%w: dpdk %q: rule %+v: %s", port.ErrNotSupported, p.cfg.Device, r, C.GoString(&why[0]))
	}
	return &Flow{p, f}, nil
}

// setPrefix writes a network as address and mask.
func setPrefix(addr, mask *[16]C.uint8_t, version *C.uint8_t, n netip.Prefix) {
	if !n.IsValid() {
		return
	}
	*version = 6
	if n.Addr().Is4() {
		*version = 4
	}
	for i, b := range n.Masked().Addr().AsSlice() {
		addr[i] = C.uint8_t(b)
		ones := min(max(n.Bits()-8*i, 0), 8)
		mask[i] = C.uint8_t(0xff << (8 - ones) & 0xff)
	}
}

// Remove takes the rule back. Closing the port does, too. Any thread.
func (f *Flow) Remove() error {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if err := f.p.checkOpen(); err != nil {
		return err
	}
	var why [128]C.char
	if C.sp_flow_destroy(f.p.d.port, f.f, &why[0], C.uint32_t(len(why))) != 0 {
		return fmt.Errorf("dpdk %q: remove a rule: %s", f.p.cfg.Device, C.GoString(&why[0]))
	}
	return nil
}
