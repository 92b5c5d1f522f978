package tap

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
)

// device is the file that makes TAP devices.
const device = "/dev/net/tun"

// create makes the device and configures it. The thread is in its namespace, and
// what is opened here stays there.
func (p *Port) create() error {
	for i := range p.cfg.Queues {
		fd, name, err := p.openQueue(p.cfg.Name)
		if err != nil {
			return fmt.Errorf("queue %d: %w", i, err)
		}
		p.cfg.Name = name // with its number, from the first queue on
		p.queues = append(p.queues, newQueue(fd))
	}
	if err := p.negotiate(); err != nil {
		return err
	}
	var err error
	if p.ctl, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		p.ctl = -1
		return fmt.Errorf("control socket: %w", err)
	}
	if p.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if p.link, err = p.nl.LinkByName(p.cfg.Name); err != nil {
		return fmt.Errorf("find device: %w", err)
	}
	if err := p.steer(); err != nil {
		return err
	}
	return p.configure()
}

// openQueue opens a queue of a device, which is made with its first one, and
// returns the device's name. Whether there are virtio headers is settled by the
// first, as the kernel has them for a device, not for a queue.
func (p *Port) openQueue(name string) (fd int, found string, err error) {
	fd, err = unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, "", fmt.Errorf("%w: %s: %w", port.ErrNotSupported, device, err)
	case err != nil:
		return -1, "", fmt.Errorf("%s: %w", device, err)
	}
	if len(p.queues) == 0 && !p.cfg.NoVnetHdr {
		features, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
		p.vnet = err == nil && features&unix.IFF_VNET_HDR != 0
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE)
	if p.vnet {
		flags |= unix.IFF_VNET_HDR
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, "", fmt.Errorf("TUNSETIFF %q: %w", name, err)
	}
	return fd, ifr.Name(), nil
}

// configure sets up the kernel's end.
func (p *Port) configure() error {
	c := &p.cfg
	if !c.KernelMAC.IsZero() {
		if err := p.nl.LinkSetHardwareAddr(p.link, net.HardwareAddr(c.KernelMAC[:])); err != nil {
			return fmt.Errorf("set MAC %v: %w", c.KernelMAC, err)
		}
	}
	if err := p.nl.LinkSetMTU(p.link, c.MTU); err != nil {
		return fmt.Errorf("set MTU %d: %w", c.MTU, err)
	}
	if c.QueueLen > 0 {
		if err := p.nl.LinkSetTxQLen(p.link, c.QueueLen); err != nil {
			return fmt.Errorf("set queue length %d: %w", c.QueueLen, err)
		}
	}
	for _, a := range c.Addrs {
		addr := &netlink.Addr{IPNet: &net.IPNet{
			IP:   a.Addr().AsSlice(),
			Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen()),
		}}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // good at once: the other end is ours
		}
		if err := p.nl.AddrAdd(p.link, addr); err != nil {
			return fmt.Errorf("add address %v: %w", a, err)
		}
	}
	link, err := p.nl.LinkByName(c.Name)
	if err != nil {
		return fmt.Errorf("find device: %w", err)
	}
	hw := link.Attrs().HardwareAddr
	if len(hw) != len(header.MAC{}) {
		return fmt.Errorf("device has no Ethernet address but %q", hw)
	}
	p.kernelMAC = header.MAC(hw)
	return nil
}
