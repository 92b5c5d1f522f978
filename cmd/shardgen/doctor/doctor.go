// Package doctor looks at a machine for what keeps a generator from its best:
// pages, isolation of cores, interrupts, frequencies, the place of the card. It
// changes nothing; each finding says what to do.
package doctor

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/affinity"
)

// Verdict is what came of a check.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // works, but not at its best
	Bad     Verdict = "bad"     // does not work
	Unknown Verdict = "unknown" // the machine does not say
)

// Finding is the result of one check.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Do      string  `json:"do,omitempty"` // what to do; "" if nothing
}

// Machine is what is looked at. The zero value of each field is its documented
// default.
type Machine struct {
	// Root is where /proc, /sys and the rest lie. Default: the machine's own.
	Root fs.FS
	// Cores are those that shards will run on. Default: Allowed.
	Cores affinity.Set
	// Allowed are the cores that the process may use.
	Allowed affinity.Set
	// Device is a PCI address, or the name of an interface of the kernel's;
	// "" if there is none to look at.
	Device string
	// Procs is GOMAXPROCS. Default: this process's.
	Procs int
	// Quota is how many cores' time the control group has; 0: no limit.
	Quota float64
	// Superuser is root, who may do everything.
	Superuser bool
	// HasDPDK tells whether the program was built with DPDK.
	HasDPDK bool
}

// Here is this machine, for shards on these cores (default: all that the process
// may use) and a device. Errors are the affinity's.
func Here(cores affinity.Set, device string, dpdk bool) (*Machine, error) {
	allowed, err := affinity.Allowed()
	if err != nil {
		return nil, err
	}
	if cores.IsEmpty() {
		cores = allowed
	}
	quota, err := affinity.CPUQuota()
	if err != nil || math.IsInf(quota, 1) {
		quota = 0
	}
	return &Machine{
		Quota: quota, Root: os.DirFS("/"), Cores: cores, Allowed: allowed, Device: device, HasDPDK: dpdk,
		Procs: runtime.GOMAXPROCS(0), Superuser: os.Geteuid() == 0,
	}, nil
}

// Examine makes all checks, in the order in which they are worth mending.
func (m *Machine) Examine() []Finding {
	var list []Finding
	for _, check := range []func(*Machine) Finding{
		(*Machine).library, (*Machine).permissions, (*Machine).cpuset, (*Machine).hugePages, (*Machine).transparent,
		(*Machine).iommu, (*Machine).vfio, (*Machine).driver, (*Machine).numa,
		(*Machine).isolated, (*Machine).noHz, (*Machine).procs, (*Machine).interrupts, (*Machine).balance,
		(*Machine).governor, (*Machine).siblings, (*Machine).turbo, (*Machine).sleepStates, (*Machine).numaBalancing,
	} {
		list = append(list, check(m))
	}
	return list
}

// Print writes findings as text, those to mend with what to do below.
func Print(w io.Writer, list []Finding) error {
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%-8s %-16s %s\n", f.Verdict, f.Check, f.Found); err != nil {
			return err
		}
		if f.Do == "" {
			continue
		}
		for _, line := range strings.Split(f.Do, "\n") {
			if _, err := fmt.Fprintf(w, "%-25s → %s\n", "", line); err != nil {
				return err
			}
		}
	}
	return nil
}

// read gives a file's text without blanks around, and whether it is there.
func (m *Machine) read(name string) (string, bool) {
	b, err := fs.ReadFile(m.Root, strings.TrimPrefix(name, "/"))
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(b)), true
}

// number reads a file with a number.
func (m *Machine) number(name string) (int, bool) {
	text, ok := m.read(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// names lists a directory, sorted.
func (m *Machine) names(dir string) (list []string) {
	entries, err := fs.ReadDir(m.Root, strings.TrimPrefix(dir, "/"))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	sort.Strings(list)
	return list
}

// exists reports whether a file is there.
func (m *Machine) exists(name string) bool {
	_, err := fs.Stat(m.Root, strings.TrimPrefix(name, "/"))
	return err == nil
}

// link is the last part of what a symbolic link points to.
func (m *Machine) link(name string) (string, bool) {
	if target, err := fs.ReadLink(m.Root, strings.TrimPrefix(name, "/")); err == nil {
		return path.Base(target), true
	}
	return "", false
}

// bootOption is the value of an option of the kernel's command line.
func (m *Machine) bootOption(name string) (string, bool) {
	text, _ := m.read("/proc/cmdline")
	for _, f := range strings.Fields(text) {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// isAddress reports whether the device is a PCI address.
func isAddress(device string) bool {
	device, _, _ = strings.Cut(device, ",")
	return strings.Count(device, ":") == 2 && strings.Contains(device, ".")
}

// pci is the folder of the device in /sys, "" if it is none on a bus.
func (m *Machine) pci() string {
	device, _, _ := strings.Cut(m.Device, ",")
	switch {
	case m.Device == "":
		return ""
	case isAddress(device):
		return "/sys/bus/pci/devices/" + device
	case m.exists("/sys/class/net/" + device + "/device"):
		return "/sys/class/net/" + device + "/device"
	}
	return ""
}

// ok, warn, bad and unknown make findings.
func ok(check, format string, args ...any) Finding {
	return Finding{Check: check, Verdict: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(check, do, format string, args ...any) Finding {
	return Finding{Check: check, Verdict: Warn, Found: fmt.Sprintf(format, args...), Do: do}
}

func bad(check, do, format string, args ...any) Finding {
	return Finding{Check: check, Verdict: Bad, Found: fmt.Sprintf(format, args...), Do: do}
}

func unknown(check, format string, args ...any) Finding {
	return Finding{Check: check, Verdict: Unknown, Found: fmt.Sprintf(format, args...)}
}
