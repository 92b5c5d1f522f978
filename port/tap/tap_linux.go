package tap

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// Port is a TAP device. It implements port.Port.
type Port struct {
	cfg       Config
	kernelMAC header.MAC
	queues    []*queue
	vnet      bool         // frames have virtio headers
	caps      offload.Caps // what the kernel took
	steerErr  error        // why rss is nil

	mu    sync.Mutex // serialises Attach, Start, Close, Link and the steerer
	rss   *steerer   // nil: the kernel steers in its own way
	state state
	ctl   int             // socket in the namespace, for the state of the link
	nl    *netlink.Handle // and to bring it up
	link  netlink.Link
}

var (
	_ port.Port       = (*Port)(nil)
	_ port.RETASetter = (*Port)(nil)
	_ port.HashProber = (*Port)(nil)
)

// state says where in its life a port is.
type state uint8

const (
	stateNew state = iota
	stateStarted
	stateClosed
)

// New makes the device, with all its queues, in its namespace, and configures
// the kernel's end. Errors match port.ErrConfig, port.ErrNotSupported if the
// kernel has no TAP devices, or are the kernel's.
func New(cfg Config) (*Port, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg.withDefaults(), ctl: -1}
	if err := netspace.Do(cfg.Netns, p.create); err != nil {
		return nil, errors.Join(fmt.Errorf("tap %q: %w", p.cfg.Name, err), p.release())
	}
	return p, nil
}

// Info describes the port. Without virtio headers MultiSeg is all that it has of
// offloads.
func (p *Port) Info() port.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	info := port.Info{
		Name: p.cfg.Name, Queues: len(p.queues), MTU: p.cfg.MTU, MAC: p.cfg.MAC,
		Caps: p.caps,
	}
	if p.rss != nil {
		info.RSS = port.RSS{Key: p.rss.key, RETA: p.rss.reta}
	}
	return info
}

// KernelMAC is the MAC of the kernel's end.
func (p *Port) KernelMAC() header.MAC { return p.kernelMAC }

// checkNew says why the port can't be set up any more. Under mu.
func (p *Port) checkNew() error {
	switch p.state {
	case stateStarted:
		return fmt.Errorf("%w: %s", port.ErrState, p.cfg.Name)
	case stateClosed:
		return fmt.Errorf("%w: %s", port.ErrClosed, p.cfg.Name)
	}
	return nil
}

// Attach gives queue q its pool.
func (p *Port) Attach(q int, pool *pbuf.Pool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q < 0 || q >= len(p.queues) {
		return fmt.Errorf("%w: %s has %d, not %d", port.ErrQueue, p.cfg.Name, len(p.queues), q)
	}
	if err := p.checkNew(); err != nil {
		return err
	}
	if p.queues[q].pool != nil {
		return fmt.Errorf("%w: queue %d of %s", port.ErrState, q, p.cfg.Name)
	}
	if err := p.queues[q].attach(pool, p.cfg.maxFrame(), p.maxBig(), p.vnet); err != nil {
		return fmt.Errorf("queue %d of %s: %w", q, p.cfg.Name, err)
	}
	return nil
}

// Start brings the kernel's end up, if Config.Up says so.
func (p *Port) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkNew(); err != nil {
		return err
	}
	for i, q := range p.queues {
		if q.pool == nil {
			return fmt.Errorf("%w: queue %d of %s", port.ErrNotAttached, i, p.cfg.Name)
		}
	}
	if p.cfg.Up {
		if err := p.nl.LinkSetUp(p.link); err != nil {
			return fmt.Errorf("tap %q: bring up: %w", p.cfg.Name, err)
		}
	}
	p.state = stateStarted
	return nil
}

// Close removes the device and returns the buffers.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateClosed {
		return fmt.Errorf("%w: %s", port.ErrClosed, p.cfg.Name)
	}
	p.state = stateClosed
	for _, q := range p.queues {
		q.reclaim()
	}
	return p.release()
}

// release closes whatever is open.
func (p *Port) release() error {
	var errs []error
	for _, q := range p.queues {
		errs = append(errs, q.close())
	}
	if p.rss != nil {
		errs = append(errs, p.rss.close())
		p.rss = nil
	}
	if p.ctl >= 0 {
		errs = append(errs, unix.Close(p.ctl))
		p.ctl = -1
	}
	if p.nl != nil {
		p.nl.Close()
		p.nl = nil
	}
	return errors.Join(errs...)
}

// Link is up when the port is started and the kernel's end is up.
func (p *Port) Link() port.LinkState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateStarted {
		return port.LinkState{}
	}
	ifr, err := unix.NewIfreq(p.cfg.Name)
	if err == nil {
		err = unix.IoctlIfreq(p.ctl, unix.SIOCGIFFLAGS, ifr)
	}
	return port.LinkState{Up: err == nil && ifr.Uint16()&unix.IFF_UP != 0}
}

// Stats are the counters of queue q, zero for a queue that does not exist. What
// the kernel drops before it is read is not in them.
func (p *Port) Stats(q int) port.Stats {
	var s port.Stats
	if q >= 0 && q < len(p.queues) {
		p.queues[q].shared.Load(&s)
	}
	return s
}

// Waiter is the queue's own file.
func (p *Port) Waiter(q int) port.Waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q < 0 || q >= len(p.queues) || p.state == stateClosed {
		return nil
	}
	return p.queues[q]
}
