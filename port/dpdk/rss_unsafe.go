//go:build dpdk

package dpdk

// #include "dev.h"
// #include <rte_ethdev.h>
import "C"

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// tableSize is the size of the table as Info reports it: cards with a longer one
// than package rss knows are given it several times over, which is the same.
func (p *Port) tableSize() int { return min(len(p.reta), rss.MaxRETA) }

// describeRSS puts key and table into Info. A table that is none of package rss's
// is left out: the queue of a flow can't be computed then.
func (p *Port) describeRSS() error {
	p.info.RSS = port.RSS{}
	entries := make([]uint16, p.tableSize())
	for i, q := range p.reta {
		if i < len(entries) {
			entries[i] = uint16(q)
		} else if entries[i%len(entries)] != uint16(q) {
			return nil
		}
	}
	key := make([]byte, p.d.key_len)
	for i := range key {
		key[i] = byte(p.d.key[i])
	}
	k, err := rss.NewKey(key)
	if err != nil {
		return nil // a key of another length; frames come spread all the same
	}
	reta, err := rss.FromEntries(entries)
	if err != nil {
		return nil
	}
	if err := reta.Validate(int(p.d.queues)); err != nil {
		return fmt.Errorf("dpdk %q: table of the device: %w", p.cfg.Device, err)
	}
	p.info.RSS = port.RSS{Key: k, RETA: reta}
	return nil
}

// SetRETA implements port.RETASetter. What the device says that it has is what
// counts.
func (p *Port) SetRETA(t rss.RETA) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkOpen(); err != nil {
		return err
	}
	if !p.info.RSS.Enabled() {
		return fmt.Errorf("%w: %s has no RSS", port.ErrNotSupported, p.info.Name)
	}
	if t.Size() != p.tableSize() {
		return fmt.Errorf("%w: %s has a table of %d entries, not %d", port.ErrConfig, p.info.Name, p.tableSize(), t.Size())
	}
	if err := t.Validate(p.info.Queues); err != nil {
		return fmt.Errorf("%w: %w", port.ErrConfig, err)
	}
	entries := t.Entries()
	table := make([]C.uint16_t, len(p.reta))
	for i := range table {
		table[i] = C.uint16_t(entries[i%len(entries)])
	}
	if p.state == stateStarted {
		if r := C.sp_set_reta(&p.d, &table[0]); r < 0 {
			return fmt.Errorf("dpdk %q: set the table: %w", p.cfg.Device, errnoOf(r))
		}
		if r := C.sp_get_reta(&p.d, &table[0]); r < 0 && r != -C.int(unix.ENOTSUP) {
			return fmt.Errorf("dpdk %q: read the table: %w", p.cfg.Device, errnoOf(r))
		}
	}
	p.reta = table
	return p.describeRSS()
}

// SetKey implements port.KeySetter, before Start.
func (p *Port) SetKey(k rss.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkNew(); err != nil {
		return err
	}
	switch {
	case !p.info.RSS.Enabled() || p.wrapped:
		return fmt.Errorf("%w: %s has no RSS of ours", port.ErrNotSupported, p.info.Name)
	case k.IsZero():
		return fmt.Errorf("%w: a zero RSS key", port.ErrConfig)
	}
	p.cfg.RSSKey = k
	p.spreadKey(k)
	return p.describeRSS()
}

// hashedL4 says for which types of packets the hash that the device gives is
// over the ports too, as package rss's is: bit i for RTE_PTYPE_L4 i. Of a packet
// that the driver can't name, bit 0, it is if it is for both.
func (p *Port) hashedL4() (mask uint32) {
	hf := uint64(p.d.rss_hf)
	const (
		tcp = C.RTE_ETH_RSS_NONFRAG_IPV4_TCP
		udp = C.RTE_ETH_RSS_NONFRAG_IPV4_UDP
	)
	if hf&tcp != 0 {
		mask |= 1 << (C.RTE_PTYPE_L4_TCP >> 8)
	}
	if hf&udp != 0 {
		mask |= 1 << (C.RTE_PTYPE_L4_UDP >> 8)
	}
	if hf&(tcp|udp) == tcp|udp {
		mask |= 1
	}
	return mask
}
