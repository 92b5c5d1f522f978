package dpdk

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/port"
)

// EAL says how DPDK's environment is started. The zero value of each field is its
// documented default.
type EAL struct {
	// Args are passed as they are, without the program's name in front; the other
	// fields are not looked at then. Default: made of them.
	Args []string
	// Cores are those that the program's shards run on; DPDK itself runs on the
	// first. Default: all that the process may use.
	Cores affinity.Set
	// MemoryMB is how much memory DPDK may use, in MiB. It is touched as it is
	// used. Default NoHugeMB without huge pages, else all that are free.
	MemoryMB int
	// NoHugeMB is MemoryMB where there are no huge pages. Each GiB takes some 12
	// MiB of tables. Default DefaultMemoryMB.
	NoHugeMB int
	// NoHuge does without huge pages. Default: if there are none that are free.
	NoHuge bool
	// Devices are PCI addresses that may be used, with their options
	// ("0000:01:00.0,mprq_en=1"). Others are found when they are opened.
	Devices []string
	// Vdevs are virtual devices that are made at the start.
	Vdevs []string
	// LogLevel of DPDK's messages on standard error, as in "info" or "8".
	// Default "error".
	LogLevel string
	// More arguments, behind those made.
	More []string
}

// DefaultMemoryMB is the most that DPDK uses where there are no huge pages.
const DefaultMemoryMB = 4096

// noDevice is an address that no card has: the list of those allowed must name
// one, or else all are taken.
const noDevice = "ffff:ff:1f.7"

// Arguments are those of rte_eal_init, without the program's name. Errors match
// port.ErrConfig or are those of the affinity.
func (e EAL) Arguments() ([]string, error) {
	if e.Args != nil {
		return e.Args, nil
	}
	if min(e.MemoryMB, e.NoHugeMB) < 0 || max(e.MemoryMB, e.NoHugeMB) > 1<<24 {
		return nil, fmt.Errorf("%w: dpdk: %d and %d MiB of memory", port.ErrConfig, e.MemoryMB, e.NoHugeMB)
	}
	cores := e.Cores
	if cores.IsEmpty() {
		var err error
		if cores, err = affinity.Allowed(); err != nil {
			return nil, err
		}
	}
	main := strconv.Itoa(cores.First(1).Cores()[0])
	args := []string{"-l", main, "--main-lcore", main, "--no-telemetry"}
	memory := e.MemoryMB
	if e.NoHuge || freeHugePages("/sys/kernel/mm/hugepages") == 0 {
		// Without huge pages there are no addresses that a device could use, but
		// by an IOMMU.
		args = append(args, "--no-huge", "--no-shconf", "--file-prefix", fmt.Sprint("shardstack", os.Getpid()), "--iova-mode=va")
		memory = or(memory, or(e.NoHugeMB, DefaultMemoryMB))
	} else {
		args = append(args, "--in-memory")
	}
	if memory != 0 {
		args = append(args, "-m", strconv.Itoa(memory))
	}
	args = append(args, "--log-level="+or(e.LogLevel, "error"))
	for _, d := range append([]string{noDevice}, e.Devices...) {
		args = append(args, "-a", d)
	}
	for _, d := range e.Vdevs {
		args = append(args, "--vdev", d)
	}
	return append(args, e.More...), nil
}

// freeHugePages counts the huge pages of any size that nobody has.
func freeHugePages(dir string) (n int) {
	files, _ := filepath.Glob(filepath.Join(dir, "hugepages-*", "free_hugepages")) // the pattern is good
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if k, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			n += k
		}
	}
	return n
}
