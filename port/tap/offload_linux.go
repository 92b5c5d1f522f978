package tap

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
)

// What is asked of TUNSETOFFLOAD: which frames the kernel may give us. Each step
// is tried if the kernel refuses the one before, as it does with bits that it
// doesn't know.
var rxSteps = [...]int{
	unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN,
	unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6,
	unix.TUN_F_CSUM,
	0,
}

// rxUSO are the bits for UDP, since Linux 6.2, which knows them only together.
const rxUSO = unix.TUN_F_USO4 | unix.TUN_F_USO6

// txCaps is what the kernel does with what we send once there are virtio
// headers, whatever it was asked to give us.
const txCaps = offload.TxTCPCsum | offload.TxUDPCsum | offload.TSO4 | offload.TSO6 | offload.TSOECN

// negotiate settles offloads with the kernel and sets caps. All queues are
// open; what is set is the device's.
func (p *Port) negotiate() error {
	p.caps = offload.MultiSeg
	fd := p.queues[0].fd
	if !p.vnet {
		if p.cfg.UDPLRO {
			return fmt.Errorf("%w: virtio headers for UDPLRO", port.ErrNotSupported)
		}
		// A device that was there before may have been used with offloads.
		return setOffload(fd, 0)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return fmt.Errorf("TUNSETVNETHDRSZ: %w", err)
	}
	p.caps |= txCaps
	// A kernel that can give us datagrams in one packet can take them so.
	uso := setOffload(fd, rxSteps[0]|rxUSO) == nil
	switch {
	case uso:
		p.caps |= offload.USO
	case p.cfg.UDPLRO:
		return fmt.Errorf("%w: UDPLRO (TUN_F_USO4, TUN_F_USO6)", port.ErrNotSupported)
	}
	if p.cfg.UDPLRO {
		p.caps |= offload.RxCsum | offload.LRO | offload.UDPLRO
		return nil
	}
	var err error
	for _, bits := range rxSteps {
		if err = setOffload(fd, bits); err == nil {
			p.caps |= capsOf(bits)
			return nil
		}
	}
	return err
}

// capsOf is what the port does of reception if the kernel took bits.
func capsOf(bits int) offload.Caps {
	var c offload.Caps
	if bits&unix.TUN_F_CSUM != 0 {
		c |= offload.RxCsum
	}
	if bits&unix.TUN_F_TSO4 != 0 {
		c |= offload.LRO
	}
	return c
}

func setOffload(fd, bits int) error {
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, bits); err != nil {
		return fmt.Errorf("TUNSETOFFLOAD %#x: %w", bits, err)
	}
	return nil
}

// maxBig is the length of the longest frame of several segments, 0 without
// virtio headers.
func (p *Port) maxBig() int {
	if !p.vnet {
		return 0
	}
	return header.EthernetLen + 2*header.VLANLen + header.IPv6Len + offload.MaxTSO
}
