package tap

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// steerer is the kernel's program with its maps.
type steerer struct {
	key    rss.Key
	reta   rss.RETA
	hasher *rss.Hasher
	tables *ebpf.Map
	queues *ebpf.Map
	prog   *ebpf.Program
}

// retaSize is how many entries a device with so many queues has.
func retaSize(queues int) int {
	if queues > 128 {
		return rss.MaxRETA
	}
	return 128
}

// newSteerer loads the program into the kernel. What the kernel lacks, or does
// not permit, matches port.ErrNotSupported.
func newSteerer(key rss.Key, queues int) (_ *steerer, err error) {
	if key.IsZero() {
		key = rss.DefaultKey
	}
	s := &steerer{key: key, hasher: rss.NewHasher(key)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: steering by eBPF: %w", port.ErrNotSupported, errors.Join(err, s.close()))
		}
	}()
	if s.reta, err = rss.NewRETA(retaSize(queues), queues); err != nil {
		return nil, err
	}
	value := func(name string, b []byte) (*ebpf.Map, error) {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(b)), MaxEntries: 1})
		if err != nil {
			return nil, err
		}
		return m, m.Put(uint32(0), b)
	}
	if s.tables, err = value("toeplitz", hashTables(key)); err != nil {
		return nil, err
	}
	if s.queues, err = value("reta", retaWords(&s.reta)); err != nil {
		return nil, err
	}
	s.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "steer", Type: ebpf.SocketFilter, License: "Dual BSD/GPL",
		Instructions: steeringProgram(s.tables.FD(), s.queues.FD()),
	})
	return s, err
}

// attach has the kernel steer the frames of a device, of which fd is a queue.
func (s *steerer) attach(fd int) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETSTEERINGEBPF, s.prog.FD()); err != nil {
		return fmt.Errorf("%w: TUNSETSTEERINGEBPF: %w", port.ErrNotSupported, err)
	}
	return nil
}

// setRETA gives the program another table.
func (s *steerer) setRETA(t rss.RETA) error {
	if err := s.queues.Put(uint32(0), retaWords(&t)); err != nil {
		return fmt.Errorf("update the table: %w", err)
	}
	s.reta = t
	return nil
}

func (s *steerer) close() error {
	var errs []error
	if s.prog != nil {
		errs = append(errs, s.prog.Close())
	}
	for _, m := range []*ebpf.Map{s.tables, s.queues} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// steer sets up steering as the configuration says.
func (p *Port) steer() error {
	if p.cfg.Steering == SteerKernel || p.cfg.Steering == SteerAuto && len(p.queues) < 2 {
		return nil
	}
	s, err := newSteerer(p.cfg.RSSKey, len(p.queues))
	if err == nil {
		if err = s.attach(p.queues[0].fd); err != nil {
			err = errors.Join(err, s.close())
		}
	}
	if err != nil {
		p.steerErr = err
		if p.cfg.Steering == SteerEBPF {
			return err
		}
		return nil
	}
	p.rss = s
	return nil
}

// SteeringError is why the kernel does not steer by RSS although it was asked to,
// nil if it does. It matches port.ErrNotSupported. Any thread.
func (p *Port) SteeringError() error { return p.steerErr }

// SetRETA implements port.RETASetter, also while frames flow.
func (p *Port) SetRETA(t rss.RETA) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == stateClosed:
		return fmt.Errorf("%w: %s", port.ErrClosed, p.cfg.Name)
	case p.rss == nil:
		return fmt.Errorf("%w: %s has no RSS", port.ErrNotSupported, p.cfg.Name)
	case t.Size() != p.rss.reta.Size():
		return fmt.Errorf("%w: a RETA of %d entries for %s, which has %d", port.ErrConfig, t.Size(), p.cfg.Name, p.rss.reta.Size())
	}
	if err := t.Validate(len(p.queues)); err != nil {
		return fmt.Errorf("%w: %s: %w", port.ErrConfig, p.cfg.Name, err)
	}
	if err := p.rss.setRETA(t); err != nil {
		return fmt.Errorf("tap %q: %w", p.cfg.Name, err)
	}
	return nil
}

// minProbe is the shortest frame that the kernel runs a program on for a test.
const minProbe = 14

// ProbeHash implements port.HashProber: it has the kernel run the program on the
// frame. The hash is ours, as the program gives the queue only.
func (p *Port) ProbeHash(frame []byte) (hash uint32, queue int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rss == nil || p.state == stateClosed || len(frame) < minProbe {
		return 0, 0, fmt.Errorf("%w: %s has no RSS", port.ErrNotSupported, p.cfg.Name)
	}
	hash, _ = p.rss.hasher.HashFrame(frame)
	n, err := p.rss.prog.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		return 0, 0, fmt.Errorf("%w: run the program: %w", port.ErrNotSupported, err)
	}
	return hash, int(n) % len(p.queues), nil
}
