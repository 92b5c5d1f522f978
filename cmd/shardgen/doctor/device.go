package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// What is about memory, DPDK and the card.

// library: programs built with DPDK load its drivers from a folder.
func (m *Machine) library() Finding {
	const check = "libdpdk"
	found := ""
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/local/lib/x86_64-linux-gnu"} {
		for _, name := range m.names(dir) {
			if strings.HasPrefix(name, "librte_eal.so") && found == "" {
				found = path.Join(dir, name)
			}
		}
	}
	switch {
	case found == "":
		return warn(check, "apt install libdpdk-dev dpdk; then build with -tags dpdk. Ports other than dpdk need none of it",
			"not installed")
	case !m.HasDPDK:
		return warn(check, "build with -tags dpdk to use it", "%s; this program was built without the tag dpdk", found)
	}
	return ok(check, "%s, and this program uses it", found)
}

// permissions: DPDK locks memory and opens devices.
func (m *Machine) permissions() Finding {
	const check = "permissions"
	if m.Superuser {
		return ok(check, "root")
	}
	return warn(check, "run as root; or give the user /dev/vfio/GROUP and /dev/hugepages (chown), `ulimit -l unlimited`, and for TAP devices CAP_NET_ADMIN",
		"not root")
}

// hugePages: fewer misses in the tables of pages, and what a card can address.
func (m *Machine) hugePages() Finding {
	const check = "huge pages"
	const dir = "/sys/kernel/mm/hugepages"
	total, free := 0, 0
	for _, name := range m.names(dir) {
		kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "hugepages-"), "kB"))
		if err != nil {
			continue
		}
		n, _ := m.number(path.Join(dir, name, "nr_hugepages"))
		f, _ := m.number(path.Join(dir, name, "free_hugepages"))
		total, free = total+n*kb/1024, free+f*kb/1024
	}
	const do = "echo 1024 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages (2 GiB),\nor at boot: default_hugepagesz=1G hugepagesz=1G hugepages=8"
	switch {
	case total == 0:
		return warn(check, do, "none reserved: a card needs them without an IOMMU; else DPDK runs with --no-huge, slower")
	case free < 256:
		return warn(check, do, "%d MiB of %d MiB are free", free, total)
	}
	return ok(check, "%d MiB, %d MiB of them free", total, free)
}

// transparent: buffers of native pools are in these, if they may.
func (m *Machine) transparent() Finding {
	const check = "transparent pages"
	text, found := m.read("/sys/kernel/mm/transparent_hugepage/enabled")
	switch {
	case !found:
		return unknown(check, "no /sys/kernel/mm/transparent_hugepage")
	case strings.Contains(text, "[never]"):
		return warn(check, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", "never")
	}
	return ok(check, "%s", text)
}

// iommu: without one a card can only be used unsafely, or by its own driver.
func (m *Machine) iommu() Finding {
	const check = "IOMMU"
	if n := len(m.names("/sys/kernel/iommu_groups")); n != 0 {
		if v, _ := m.bootOption("iommu"); v != "pt" {
			return ok(check, "%d groups (iommu=pt at boot spares the kernel's own devices the translation)", n)
		}
		return ok(check, "%d groups, pass-through for the kernel", n)
	}
	return warn(check, "turn on VT-d or AMD-Vi in the BIOS and boot with intel_iommu=on iommu=pt (AMD: iommu=pt);\nor without protection: echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
		"none")
}

// vfio hands devices to programs.
func (m *Machine) vfio() Finding {
	const check = "vfio-pci"
	switch {
	case m.exists("/sys/bus/pci/drivers/vfio-pci"):
		return ok(check, "loaded")
	case m.Device == "":
		return warn(check, "modprobe vfio-pci (not for cards of Mellanox, which the kernel keeps)", "not loaded")
	}
	if d, _ := m.link(m.pci() + "/driver"); strings.HasPrefix(d, "mlx") {
		return ok(check, "not needed: %s shares its card with DPDK", d)
	}
	return warn(check, "modprobe vfio-pci", "not loaded")
}

// driver: the card must be a program's, not the kernel's.
func (m *Machine) driver() Finding {
	const check = "device"
	dir := m.pci()
	switch {
	case m.Device == "":
		return unknown(check, "none named; --port dpdk:0000:01:00.0 looks at one, /sys/bus/pci/devices has all")
	case dir == "" || !m.exists(dir):
		return bad(check, "lspci -D | grep -i ether lists the cards", "%s: no such PCI device", m.Device)
	}
	d, bound := m.link(dir + "/driver")
	switch {
	case !bound:
		return bad(check, fmt.Sprintf("dpdk-devbind.py -b vfio-pci %s", m.Device), "%s has no driver", m.Device)
	case d == "vfio-pci", d == "uio_pci_generic", d == "igb_uio", strings.HasPrefix(d, "mlx"):
		return ok(check, "%s is with %s", m.Device, d)
	}
	return bad(check, fmt.Sprintf("ip link set DEV down; dpdk-devbind.py -b vfio-pci %s", m.Device), "%s is the kernel's, with %s", m.Device, d)
}

// numa: memory and cores on the card's node.
func (m *Machine) numa() Finding {
	const check = "NUMA node"
	nodes := 0
	for _, name := range m.names("/sys/devices/system/node") {
		if _, err := strconv.Atoi(strings.TrimPrefix(name, "node")); err == nil {
			nodes++
		}
	}
	if nodes < 2 {
		return ok(check, "only one")
	}
	if m.pci() == "" {
		return unknown(check, "%d nodes, and no card named", nodes)
	}
	node, found := m.number(m.pci() + "/numa_node")
	if !found || node < 0 {
		return unknown(check, "the card does not say; see numactl -H and the slots of the board")
	}
	local := m.set(fmt.Sprintf("/sys/devices/system/node/node%d/cpulist", node))
	far := m.Cores.Minus(local)
	if far.IsEmpty() {
		return ok(check, "the card and all cores are on node %d", node)
	}
	return warn(check, fmt.Sprintf("--corelist with cores of %v only; hugepages on node %d (nodes/node%d/hugepages)", local, node, node),
		"the card is on node %d, and cores %v are not", node, far)
}
