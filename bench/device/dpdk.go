package device

import (
	"errors"
	"fmt"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

// InitDPDK starts DPDK's environment for shards on these cores, with more
// arguments of its own (EAL's) and, where there are no huge pages, so many MiB of
// memory (0: its default), before the first device of DPDK's is opened; the
// second call, and a name of another kind, do nothing. Errors match
// port.ErrNotSupported in a build without DPDK, port.ErrConfig, or are DPDK's.
func (n Name) InitDPDK(cores affinity.Set, noHugeMB int, more []string) error {
	if !n.DPDK() {
		return nil
	}
	err := dpdk.Init(dpdk.EAL{Cores: cores, NoHugeMB: noHugeMB, More: more})
	if errors.Is(err, port.ErrState) {
		return nil
	}
	return err
}

// The least and the most frames that are asked to wait in a queue of a card.
const (
	minDesc = 512
	maxDesc = 4096
)

func (n Name) openDPDK(cfg Config) (port.Port, error) {
	if len(cfg.KernelAddrs) != 0 {
		return nil, fmt.Errorf("%w: the other end of %v is not made with it, and has the addresses that it has", port.ErrConfig, n)
	}
	desc := min(max(cfg.QueueLen, minDesc), maxDesc)
	c := dpdk.Config{
		Device: n.dpdk, Netns: cfg.Netns, Queues: cfg.Queues, MTU: cfg.MTU, RxDesc: desc, TxDesc: desc,
	}
	if cfg.NoOffload {
		c.Without = offload.All &^ offload.MultiSeg
	}
	p, err := dpdk.Open(c)
	if err != nil {
		return nil, err // and not a port that is nil
	}
	return p, nil
}

// OpenPair opens both ends of a wire whose name is a Pair; of cfg it takes
// Queues, MTU and QueueLen. Errors are as Open's.
func (n Name) OpenPair(cfg Config) (near, far port.Port, err error) {
	if !n.Pair() {
		return nil, nil, fmt.Errorf("%w: %v is no pair of DPDK's", port.ErrConfig, n)
	}
	a, b, err := dpdk.NewPair(dpdk.PairConfig{Queues: cfg.Queues, MTU: cfg.MTU, TxDesc: max(cfg.QueueLen, 32)})
	if err != nil {
		return nil, nil, err
	}
	return a, b, nil
}
