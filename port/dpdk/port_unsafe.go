//go:build dpdk

package dpdk

// #include <rte_ethdev.h>
// #include "dev.h"
import "C"

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// Port is a DPDK device. It implements port.Port, port.PoolBacker,
// port.RETASetter and port.KeySetter.
type Port struct {
	cfg     Config
	queues  []*queue
	info    port.Info
	mempool *C.struct_rte_mempool // the program's, of Wrap
	wrapped bool                  // the program configures, starts and stops it
	made    bool                  // by us, and goes with the port
	pair    *pair                 // nil: no pair

	mu    sync.Mutex // serialises all but the bursts
	d     C.struct_sp_device
	reta  []C.uint16_t // of the device's size
	state state
	last  [3]C.uint64_t // counters of the closed device
}

var (
	_ port.Port       = (*Port)(nil)
	_ port.RETASetter = (*Port)(nil)
	_ port.KeySetter  = (*Port)(nil)
)

// state says where in its life a port is.
type state uint8

const (
	stateNew state = iota
	stateStarted
	stateStopped // and may be started again
	stateClosed
)

// Open opens a device, and makes it if it is a virtual one, but lets no frames
// flow. Errors match port.ErrConfig, port.ErrNotSupported if DPDK can't, or are
// DPDK's. Any thread.
func Open(cfg Config) (*Port, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ensure(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg.withDefaults()}
	err := within(cfg.Netns, func() error {
		dev := C.CString(cfg.Device)
		defer free(unsafe.Pointer(dev))
		r := C.sp_probe(dev, &p.d.port)
		if r < 0 {
			return fmt.Errorf("dpdk: no device %q: %w", cfg.Device, errnoOf(r))
		}
		p.made = r == 0
		if err := p.configure(); err != nil {
			p.remove()
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// remove takes a device away that Open has made.
func (p *Port) remove() {
	if p.made {
		C.sp_remove(p.d.port)
	}
}

// Wrap makes a port of a device that the program has configured and started with
// as many receive as transmit queues, by its number; of cfg only RSSKey is not
// looked at, for what the device has counts. Frames are received in elements of
// mp, which should have a private area of pbuf.PbufSize bytes (rte_pktmbuf_pool_create)
// or else each frame is copied. Close leaves the device running. UseRunning is to
// be called before. Any thread.
func Wrap(id uint16, mp Mempool, cfg Config) (*Port, error) {
	cfg.Device = or(cfg.Device, fmt.Sprintf("port%d", id))
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ensure(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg.withDefaults(), wrapped: true}
	p.d.port = C.uint16_t(id)
	if r := C.sp_describe(&p.d); r < 0 {
		return nil, p.fail(r)
	}
	if r := C.sp_adopt_running(&p.d); r < 0 {
		return nil, p.fail(r)
	}
	if mp != 0 {
		m := (*C.struct_rte_mempool)(unsafe.Add(nil, mp))
		var room C.uint32_t
		if C.sp_mempool_fits(m, &room) != 0 && room >= pbuf.DefaultDataRoom {
			p.mempool = m
		}
	}
	if err := p.describe(); err != nil {
		return nil, err
	}
	return p, nil
}

// fail makes an error of what the device said.
func (p *Port) fail(r C.int) error {
	err := errnoOf(r)
	if r == -C.int(unix.ERANGE) || r == -C.int(unix.EINVAL) {
		err = fmt.Errorf("%w: %w", port.ErrConfig, err)
	}
	return fmt.Errorf("dpdk %q: %s: %w", p.cfg.Device, C.GoString(&p.d.why[0]), err)
}

// Every hash that a stack's connections may be found by (package rss).
const rssWanted = C.RTE_ETH_RSS_IP | C.RTE_ETH_RSS_TCP | C.RTE_ETH_RSS_UDP

// configure tells the device what it is to do, and learns what it does.
func (p *Port) configure() error {
	d, cfg := &p.d, &p.cfg
	if r := C.sp_describe(d); r < 0 {
		return p.fail(r)
	}
	d.queues, d.mtu = C.uint16_t(cfg.Queues), C.uint16_t(cfg.MTU)
	d.rx_desc, d.tx_desc = C.uint16_t(cfg.RxDesc), C.uint16_t(cfg.TxDesc)
	d.offloads = flag(cfg.Without != offload.All)
	d.lro = flag(cfg.Without&offload.LRO == 0)
	d.vlan_strip = flag(cfg.Without&offload.VLANStrip == 0)
	d.fast_free, d.want_intr, d.promiscuous = flag(cfg.FastFree), flag(!cfg.Polled), flag(cfg.Promiscuous)
	d.rss_hf = rssWanted
	p.spreadKey(cfg.RSSKey)
	if r := C.sp_configure(d); r < 0 {
		return p.fail(r)
	}
	p.spreadKey(cfg.RSSKey)
	p.reta = make([]C.uint16_t, d.reta_size)
	for i := range p.reta {
		p.reta[i] = C.uint16_t(i % cfg.Queues)
	}
	return p.describe()
}

func flag(on bool) C.uint8_t {
	if on {
		return 1
	}
	return 0
}

// spreadKey gives the device a key of its length.
func (p *Port) spreadKey(k rss.Key) {
	b := k.Bytes()
	for i := range p.d.key {
		p.d.key[i] = C.uint8_t(b[i%len(b)])
	}
}

// describe makes Info of what the device is.
func (p *Port) describe() error {
	d := &p.d
	p.info = port.Info{
		Name: C.GoString(&d.name[0]), Queues: int(d.queues), MTU: int(d.mtu),
		Caps: p.caps() &^ p.cfg.Without, NUMANode: pbuf.AnyNode,
	}
	if p.info.Name == "" {
		p.info.Name = p.cfg.Device
	}
	p.queues = make([]*queue, p.info.Queues)
	for i := range p.queues {
		p.queues[i] = new(queue)
	}
	for i := range p.info.MAC {
		p.info.MAC[i] = byte(d.mac[i])
	}
	if d.numa >= 0 && d.physical != 0 {
		p.info.NUMANode = pbuf.Node(int(d.numa))
	}
	p.info.RSS = port.RSS{}
	if d.rss_hf == 0 || p.info.Queues == 1 && !p.info.Caps.Has(offload.RSSHash) {
		return nil
	}
	if p.wrapped {
		p.reta = make([]C.uint16_t, d.reta_size)
		if C.sp_get_reta(d, &p.reta[0]) != 0 {
			return nil // a table that can't be read is none that can be computed with
		}
	}
	return p.describeRSS()
}

// caps are the offloads that are on.
func (p *Port) caps() (c offload.Caps) {
	rx, tx := uint64(p.d.rx_offloads), uint64(p.d.tx_offloads)
	for _, o := range [...]struct {
		have, want uint64
		caps       offload.Caps
	}{
		{tx, C.RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, offload.TxIPCsum},
		{tx, C.RTE_ETH_TX_OFFLOAD_TCP_CKSUM, offload.TxTCPCsum},
		{tx, C.RTE_ETH_TX_OFFLOAD_UDP_CKSUM, offload.TxUDPCsum},
		{tx, C.RTE_ETH_TX_OFFLOAD_TCP_TSO, offload.TSO4 | offload.TSO6},
		{tx, C.RTE_ETH_TX_OFFLOAD_UDP_TSO, offload.USO},
		{tx, C.RTE_ETH_TX_OFFLOAD_VLAN_INSERT, offload.VLANInsert},
		{tx, C.RTE_ETH_TX_OFFLOAD_MULTI_SEGS, offload.MultiSeg},
		{rx, C.RTE_ETH_RX_OFFLOAD_TCP_CKSUM | C.RTE_ETH_RX_OFFLOAD_UDP_CKSUM, offload.RxCsum},
		{rx, C.RTE_ETH_RX_OFFLOAD_TCP_LRO, offload.LRO},
		{rx, C.RTE_ETH_RX_OFFLOAD_VLAN_STRIP, offload.VLANStrip},
		{rx, C.RTE_ETH_RX_OFFLOAD_RSS_HASH, offload.RSSHash},
	} {
		if o.have&o.want == o.want {
			c |= o.caps
		}
	}
	if C.sp_times(&p.d, nil) != 0 {
		c |= offload.RxTime
	}
	// Cards clear CWR in all segments but the first; virtio does only if both
	// ends have said so, which no call tells.
	if c.Has(offload.TSO4) && !strings.Contains(C.GoString(&p.d.driver[0]), "virtio") {
		c |= offload.TSOECN
	}
	return c
}

// Info describes the port.
func (p *Port) Info() port.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

// Driver is the name of the device's driver, as "net_ixgbe". Any thread.
func (p *Port) Driver() string { return C.GoString(&p.d.driver[0]) }

// checkNew says why the port can't be set up any more. Under mu.
func (p *Port) checkNew() error {
	switch p.state {
	case stateStarted, stateStopped:
		return fmt.Errorf("%w: %s", port.ErrState, p.info.Name)
	case stateClosed:
		return fmt.Errorf("%w: %s", port.ErrClosed, p.info.Name)
	}
	return nil
}

// checkOpen says why the device can't be asked for anything. Under mu.
func (p *Port) checkOpen() error {
	if p.state == stateClosed {
		return fmt.Errorf("%w: %s", port.ErrClosed, p.info.Name)
	}
	return nil
}

// mac makes a C array of an address.
func macBytes(m *header.MAC) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(m)) }
