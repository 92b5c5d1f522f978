package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/affinity"
)

// What is about the cores that shards run on.

// set reads a file with a list of cores; empty if there is none.
func (m *Machine) set(name string) affinity.Set {
	text, found := m.read(name)
	if !found || text == "" || text == "(null)" {
		return affinity.Set{}
	}
	s, err := affinity.ParseList(text)
	if err != nil {
		return affinity.Set{}
	}
	return s
}

// cpuset: a shard can't be pinned where the process may not run.
func (m *Machine) cpuset() Finding {
	const check = "cpuset"
	if out := m.Cores.Minus(m.Allowed); !out.IsEmpty() {
		return bad(check, "taskset, docker --cpuset-cpus, or AllowedCPUs= of the unit", "cores %v are not the process's, which has %v", out, m.Allowed)
	}
	if m.Cores.Len() == m.Allowed.Len() && m.Allowed.Len() > 1 {
		return warn(check, "leave one core at least for the application, the collector and the kernel",
			"the shards take all of the process's cores %v", m.Allowed)
	}
	return ok(check, "cores %v of %v", m.Cores, m.Allowed)
}

// missing reports those of the shards' cores that a list of the kernel's lacks.
func (m *Machine) missing(file string) affinity.Set { return m.Cores.Minus(m.set(file)) }

// isolated: the scheduler puts nothing else on the cores.
func (m *Machine) isolated() Finding {
	const check = "isolcpus"
	if left := m.missing("/sys/devices/system/cpu/isolated"); !left.IsEmpty() {
		return warn(check, fmt.Sprintf("boot with isolcpus=managed_irq,domain,%v (and start the program with taskset -c on all cores it needs)", m.Cores),
			"the scheduler may put others on %v", left)
	}
	return ok(check, "the scheduler leaves %v alone", m.Cores)
}

// noHz: no tick on a core with one thread, and no callbacks of RCU.
func (m *Machine) noHz() Finding {
	const check = "nohz_full"
	if left := m.missing("/sys/devices/system/cpu/nohz_full"); !left.IsEmpty() {
		return warn(check, fmt.Sprintf("boot with nohz_full=%v rcu_nocbs=%v", m.Cores, m.Cores), "the tick interrupts %v", left)
	}
	return ok(check, "no tick on %v", m.Cores)
}

// procs: shards poll without end, each on a P of Go's.
func (m *Machine) procs() Finding {
	const check = "GOMAXPROCS"
	n, have := m.Cores.Len(), m.Procs
	if m.Quota != 0 && m.Quota < float64(n) {
		return bad(check, "raise cpu.max of the control group", "the control group gives %.1f cores, and %d shards want one each", m.Quota, n)
	}
	if have <= n {
		return ok(check, "%d; a group raises it to %d while its shards run (shard.Config.KeepProcs)", have, n+1)
	}
	return ok(check, "%d for %d shards", have, n)
}

// interrupts: none of other devices on the shards' cores.
func (m *Machine) interrupts() Finding {
	const check = "IRQ affinity"
	var on []string
	seen := 0
	for _, irq := range m.names("/proc/irq") {
		if _, err := strconv.Atoi(irq); err != nil {
			continue
		}
		file := path.Join("/proc/irq", irq, "effective_affinity_list")
		if !m.exists(file) {
			file = path.Join("/proc/irq", irq, "smp_affinity_list")
		}
		s := m.set(file)
		if s.IsEmpty() || len(m.names(path.Join("/proc/irq", irq))) == 0 {
			continue
		}
		seen++
		if m.Cores.Minus(s).Len() != m.Cores.Len() && m.used(irq) {
			on = append(on, irq)
		}
	}
	switch {
	case seen == 0:
		return unknown(check, "no /proc/irq")
	case len(on) != 0:
		rest := m.Allowed.Minus(m.Cores)
		return warn(check, fmt.Sprintf("systemctl stop irqbalance; for i in %s; do echo %v > /proc/irq/$i/smp_affinity_list; done", strings.Join(first(on, 8), " "), rest),
			"%d interrupts may come on %v", len(on), m.Cores)
	}
	return ok(check, "none of %d on %v", seen, m.Cores)
}

// used reports whether an interrupt has an owner: a folder below its own.
func (m *Machine) used(irq string) bool {
	for _, name := range m.names(path.Join("/proc/irq", irq)) {
		switch name {
		case "affinity_hint", "effective_affinity", "effective_affinity_list", "node", "smp_affinity", "smp_affinity_list", "spurious":
		default:
			return true
		}
	}
	return false
}

func first(list []string, n int) []string { return list[:min(n, len(list))] }

// balance: irqbalance undoes what was set by hand.
func (m *Machine) balance() Finding {
	const check = "irqbalance"
	for _, pid := range m.names("/proc") {
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		if name, _ := m.read(path.Join("/proc", pid, "comm")); name == "irqbalance" {
			return warn(check, "systemctl stop irqbalance, or IRQBALANCE_BANNED_CPULIST", "runs, as process %s", pid)
		}
	}
	return ok(check, "does not run")
}

// governor: cores at a fixed, high frequency.
func (m *Machine) governor() Finding {
	const check = "cpufreq"
	var slow []int
	known := ""
	for _, core := range m.Cores.Cores() {
		g, found := m.read(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", core))
		if !found {
			continue
		}
		known = g
		if g != "performance" {
			slow = append(slow, core)
		}
	}
	switch {
	case known == "":
		return unknown(check, "the machine does not let the kernel choose (a guest, or the BIOS does: set it to maximum performance there)")
	case len(slow) != 0:
		return warn(check, "cpupower frequency-set -g performance", "governor %s on %d of the cores", known, len(slow))
	}
	return ok(check, "governor performance")
}

// siblings: two shards on the threads of one core share its caches and ports.
func (m *Machine) siblings() Finding {
	const check = "hyper-threads"
	both := map[string]int{}
	shared := 0
	for _, core := range m.Cores.Cores() {
		list, found := m.read(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", core))
		if !found {
			return unknown(check, "no topology")
		}
		if both[list]++; both[list] == 2 {
			shared++
		}
	}
	if shared != 0 {
		return warn(check, "name one thread of each core only, and leave its sibling idle, or turn SMT off", "%d cores have two shards", shared)
	}
	return ok(check, "each shard has a core of its own")
}

// turbo: frequencies that change make runs differ.
func (m *Machine) turbo() Finding {
	const check = "turbo"
	if n, found := m.number("/sys/devices/system/cpu/intel_pstate/no_turbo"); found {
		return onOff(check, n == 0)
	}
	if n, found := m.number("/sys/devices/system/cpu/cpufreq/boost"); found {
		return onOff(check, n != 0)
	}
	return unknown(check, "the machine does not say")
}

func onOff(check string, on bool) Finding {
	if on {
		return ok(check, "on: the most speed; for runs to compare turn it off (intel_pstate/no_turbo, cpufreq/boost)")
	}
	return ok(check, "off: runs compare well")
}

// sleepStates: a core that has slept deeply wakes late.
func (m *Machine) sleepStates() Finding {
	const check = "C-states"
	deep := 0
	for _, state := range m.names("/sys/devices/system/cpu/cpu0/cpuidle") {
		us, found := m.number(path.Join("/sys/devices/system/cpu/cpu0/cpuidle", state, "latency"))
		off, _ := m.number(path.Join("/sys/devices/system/cpu/cpu0/cpuidle", state, "disable"))
		if found && us > 10 && off == 0 {
			deep = max(deep, us)
		}
	}
	if deep != 0 {
		return warn(check, "boot with processor.max_cstate=1 intel_idle.max_cstate=0, or cpupower idle-set -D 10; with --idle spin the shards' cores never sleep",
			"waking up takes up to %d µs", deep)
	}
	return ok(check, "no deep ones")
}

// numaBalancing moves pages about.
func (m *Machine) numaBalancing() Finding {
	const check = "NUMA balancing"
	n, found := m.number("/proc/sys/kernel/numa_balancing")
	switch {
	case !found:
		return ok(check, "none")
	case n != 0:
		return warn(check, "sysctl kernel.numa_balancing=0", "on: it takes pages away to see who uses them")
	}
	return ok(check, "off")
}
