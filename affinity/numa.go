package affinity

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// NoNode says that the firmware gave a device no NUMA node.
const NoNode = -1

// NUMANode is the node whose memory is nearest to the core: 0 on a machine
// without NUMA. ErrRange if the core is not from 0 to MaxCores-1, ErrNotAllowed
// if the machine does not have it.
func NUMANode(core int) (int, error) { return machine.NUMANode(core) }

// NodeCores is the set of the cores of a NUMA node. An unknown node gives an
// error that matches fs.ErrNotExist.
func NodeCores(node int) (Set, error) { return machine.NodeCores(node) }

// PCINUMANode is the node that a PCI device ("0000:3b:00.0"; the domain "0000:"
// may be left out) is attached to, or NoNode. ErrSyntax if that is no PCI
// address; an error that matches fs.ErrNotExist if there is no such device.
func PCINUMANode(address string) (int, error) { return machine.PCINUMANode(address) }

// NUMANode is the function of the same name for this host.
func (h Host) NUMANode(core int) (int, error) {
	if core < 0 || core >= MaxCores {
		return 0, fmt.Errorf("%w: %d", ErrRange, core)
	}
	dir := "sys/devices/system/cpu/cpu" + strconv.Itoa(core)
	entries, err := fs.ReadDir(h.files(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %d: no such core", ErrNotAllowed, core)
	}
	if err != nil {
		return 0, fmt.Errorf("affinity: %w", err)
	}
	// The node is told by a link named after it.
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), "node"); ok {
			if node, err := strconv.ParseUint(n, 10, 31); err == nil {
				return int(node), nil
			}
		}
	}
	return 0, nil
}

// NodeCores is the function of the same name for this host.
func (h Host) NodeCores(node int) (Set, error) {
	return h.readList("sys/devices/system/node/node" + strconv.Itoa(node) + "/cpulist")
}

// PCINUMANode is the function of the same name for this host.
func (h Host) PCINUMANode(address string) (int, error) {
	full, ok := pciAddress(address)
	if !ok {
		return 0, fmt.Errorf("%w: PCI address %q", ErrSyntax, address)
	}
	file := path.Join("sys/bus/pci/devices", full, "numa_node")
	text, err := h.read(file)
	if err != nil {
		return 0, err
	}
	node, err := strconv.ParseInt(text, 10, 32)
	if err != nil || node < NoNode {
		return 0, fmt.Errorf("%w: /%s: %q", ErrSyntax, file, text)
	}
	return int(node), nil
}

// pciAddress checks domain:bus:device.function and brings it into the form of
// sysfs: lower case, with the domain.
func pciAddress(s string) (string, bool) {
	s = strings.ToLower(s)
	if len(s) == len("00:00.0") {
		s = "0000:" + s
	}
	// A domain has four digits, or more where a hypervisor makes them up.
	domain, rest, ok := strings.Cut(s, ":")
	if !ok || len(domain) < 4 || len(domain) > 8 || len(rest) != len("00:00.0") {
		return "", false
	}
	if !isHex(domain) || !isHex(rest[0:2]) || rest[2] != ':' || !isHex(rest[3:5]) || rest[5] != '.' {
		return "", false
	}
	return s, rest[3] <= '1' && rest[6] >= '0' && rest[6] <= '7'
}

func isHex(s string) bool {
	for i := range len(s) {
		if _, ok := hexDigit(s[i]); !ok {
			return false
		}
	}
	return true
}
