//go:build !dpdk

package dpdk

import (
	"fmt"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// errTag is what a build without DPDK answers.
var errTag = fmt.Errorf("%w: built without the tag dpdk", port.ErrNotSupported)

// Available reports whether this build has DPDK.
const Available = false

// Port is a DPDK device; this build has none.
type Port struct{ port.Port }

// Flow is a rule that is in force; this build has none.
type Flow struct{}

// Init starts DPDK's environment. Without the tag: port.ErrNotSupported.
func Init(e EAL) error {
	if _, err := e.Arguments(); err != nil {
		return err
	}
	return errTag
}

// UseRunning says that the program has started DPDK itself.
func UseRunning() error { return errTag }

// Open opens a device. Without the tag: port.ErrNotSupported.
func Open(cfg Config) (*Port, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return nil, errTag
}

// Wrap makes a port of a device that runs. Without the tag: port.ErrNotSupported.
func Wrap(uint16, Mempool, Config) (*Port, error) { return nil, errTag }

// NewPair makes a wire in memory. Without the tag: port.ErrNotSupported.
func NewPair(PairConfig) (a, b *Port, err error) { return nil, nil, errTag }

// Leaked counts the buffers of mempools that are no longer used; there are none.
func Leaked() int { return 0 }

// Stop, Restart and the others below need the tag.
func (*Port) Stop() error                       { return errTag }
func (*Port) Restart() error                    { return errTag }
func (*Port) SetPromiscuous(bool) error         { return errTag }
func (*Port) SetAllMulticast(bool) error        { return errTag }
func (*Port) SetMTU(int) error                  { return errTag }
func (*Port) AddMAC(header.MAC) error           { return errTag }
func (*Port) RemoveMAC(header.MAC) error        { return errTag }
func (*Port) SetGroups([]header.MAC) error      { return errTag }
func (*Port) XStats() ([]XStat, error)          { return nil, errTag }
func (*Port) Counters(int) Counters             { return Counters{} }
func (*Port) AddFlow(Rule) (*Flow, error)       { return nil, errTag }
func (*Port) RegisterMemory(*pbuf.Region) error { return errTag }
func (*Flow) Remove() error                     { return errTag }
