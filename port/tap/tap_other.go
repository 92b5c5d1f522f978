//go:build !linux

package tap

import (
	"fmt"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
)

// Port is a TAP device; there are none on this platform.
type Port struct{ port.Port }

// New returns an error that matches port.ErrNotSupported.
func New(cfg Config) (*Port, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: TAP devices are Linux's", port.ErrNotSupported)
}

// KernelMAC is the MAC of the kernel's end.
func (p *Port) KernelMAC() header.MAC { return header.MAC{} }
