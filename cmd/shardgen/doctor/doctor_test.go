package doctor

import (
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
)

func cores(t testing.TB, list string) affinity.Set {
	t.Helper()
	s, err := affinity.ParseList(list)
	require.NoError(t, err)
	return s
}

// tree makes a machine's files of texts; what begins with "→" is a link.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		if target, ok := bytes.CutPrefix([]byte(text), []byte("→")); ok {
			m[name] = &fstest.MapFile{Data: target, Mode: fs.ModeSymlink}
			continue
		}
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// tuned is a machine with nothing to mend.
func tuned(t testing.TB) *Machine {
	return &Machine{
		Cores: cores(t, "2-3"), Allowed: cores(t, "0-7"), Device: "0000:01:00.0", Procs: 8, Superuser: true, HasDPDK: true,
		Root: tree(map[string]string{
			"usr/lib/x86_64-linux-gnu/librte_eal.so.23":                  "",
			"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":      "1024\n",
			"sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages":    "1000\n",
			"sys/kernel/mm/transparent_hugepage/enabled":                 "always [madvise] never\n",
			"sys/kernel/iommu_groups/0/type":                             "DMA\n",
			"sys/bus/pci/drivers/vfio-pci/bind":                          "",
			"sys/bus/pci/devices/0000:01:00.0/driver":                    "→../../../bus/pci/drivers/vfio-pci",
			"sys/bus/pci/devices/0000:01:00.0/numa_node":                 "0\n",
			"sys/devices/system/node/node0/cpulist":                      "0-3\n",
			"sys/devices/system/node/node1/cpulist":                      "4-7\n",
			"sys/devices/system/cpu/isolated":                            "2-3\n",
			"sys/devices/system/cpu/nohz_full":                           "2-3\n",
			"proc/cmdline":                                               "iommu=pt isolcpus=2-3\n",
			"proc/irq/24/smp_affinity_list":                              "0-1\n",
			"proc/irq/24/effective_affinity_list":                        "0\n",
			"proc/irq/24/eth0/x":                                         "",
			"proc/irq/25/smp_affinity_list":                              "0-7\n",
			"proc/1/comm":                                                "init\n",
			"sys/devices/system/cpu/cpu2/cpufreq/scaling_governor":       "performance\n",
			"sys/devices/system/cpu/cpu3/cpufreq/scaling_governor":       "performance\n",
			"sys/devices/system/cpu/cpu2/topology/thread_siblings_list":  "2\n",
			"sys/devices/system/cpu/cpu3/topology/thread_siblings_list":  "3\n",
			"sys/devices/system/cpu/intel_pstate/no_turbo":               "1\n",
			"sys/devices/system/cpu/cpu0/cpuidle/state0/latency":         "2\n",
			"proc/sys/kernel/numa_balancing":                             "0\n",
			"sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages":   "0\n",
			"sys/devices/system/cpu/cpu0/cpuidle/state1/latency":         "300\n",
			"sys/devices/system/cpu/cpu0/cpuidle/state1/disable":         "1\n",
			"sys/bus/pci/devices/0000:02:00.0/driver":                    "→../../../bus/pci/drivers/ixgbe",
			"sys/bus/pci/devices/0000:03:00.0/driver":                    "→../../../bus/pci/drivers/mlx5_core",
			"sys/bus/pci/devices/0000:04:00.0/vendor":                    "0x8086\n",
			"sys/bus/pci/devices/0000:02:00.0/numa_node":                 "1\n",
			"sys/class/net/eth0/device/driver":                           "→../../../bus/pci/drivers/ixgbe",
			"sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages": "0\n",
		}),
	}
}

func TestTunedMachine(t *testing.T) {
	for _, f := range tuned(t).Examine() {
		require.Equal(t, OK, f.Verdict, "%+v", f)
		require.Empty(t, f.Do, "%+v", f)
	}
}

// Each thing that is wrong is found by its check alone, which says what to do.
func TestEachFaultIsFound(t *testing.T) {
	type change func(m *Machine, files fstest.MapFS)
	set := func(name, text string) change {
		return func(_ *Machine, files fstest.MapFS) { files[name] = &fstest.MapFile{Data: []byte(text)} }
	}
	remove := func(names ...string) change {
		return func(_ *Machine, files fstest.MapFS) {
			for _, n := range names {
				delete(files, n)
			}
		}
	}
	device := func(name string) change { return func(m *Machine, _ fstest.MapFS) { m.Device = name } }
	for _, c := range []struct {
		check   string
		verdict Verdict
		do      string
		change  change
	}{
		{"libdpdk", Warn, "libdpdk-dev", remove("usr/lib/x86_64-linux-gnu/librte_eal.so.23")},
		{"libdpdk", Warn, "-tags dpdk", func(m *Machine, _ fstest.MapFS) { m.HasDPDK = false }},
		{"permissions", Warn, "/dev/vfio", func(m *Machine, _ fstest.MapFS) { m.Superuser = false }},
		{"cpuset", Bad, "taskset", func(m *Machine, _ fstest.MapFS) { m.Allowed = cores(t, "0-2") }},
		{"huge pages", Warn, "nr_hugepages", set("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0")},
		{"huge pages", Warn, "nr_hugepages", set("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "9")},
		{"transparent pages", Warn, "madvise", set("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]")},
		{"IOMMU", Warn, "intel_iommu=on", remove("sys/kernel/iommu_groups/0/type")},
		{"vfio-pci", Warn, "modprobe", remove("sys/bus/pci/drivers/vfio-pci/bind")},
		{"device", Bad, "dpdk-devbind.py", device("0000:04:00.0")},
		{"device", Bad, "lspci", device("0000:09:00.0")},
		{"NUMA node", Warn, "--corelist", set("sys/bus/pci/devices/0000:01:00.0/numa_node", "1")},
		{"isolcpus", Warn, "isolcpus=managed_irq,domain,2-3", set("sys/devices/system/cpu/isolated", "3")},
		{"nohz_full", Warn, "nohz_full=2-3 rcu_nocbs=2-3", set("sys/devices/system/cpu/nohz_full", "(null)")},
		{"GOMAXPROCS", Bad, "cpu.max", func(m *Machine, _ fstest.MapFS) { m.Quota = 1.5 }},
		{"IRQ affinity", Warn, "/proc/irq/$i/smp_affinity_list", set("proc/irq/24/effective_affinity_list", "2")},
		{"irqbalance", Warn, "systemctl stop", set("proc/77/comm", "irqbalance\n")},
		{"cpufreq", Warn, "cpupower", set("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave")},
		{"hyper-threads", Warn, "sibling", func(_ *Machine, files fstest.MapFS) {
			set("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "2-3")(nil, files)
			set("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "2-3")(nil, files)
		}},
		{"C-states", Warn, "max_cstate", set("sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "0")},
		{"NUMA balancing", Warn, "numa_balancing=0", set("proc/sys/kernel/numa_balancing", "1")},
	} {
		m := tuned(t)
		c.change(m, m.Root.(fstest.MapFS))
		found := false
		for _, f := range m.Examine() {
			if f.Check != c.check {
				continue
			}
			found = true
			require.Equal(t, c.verdict, f.Verdict, "%+v", f)
			require.Contains(t, f.Do, c.do, "%+v", f)
		}
		require.True(t, found, c.check)
	}
}

// A card that its kernel driver shares with DPDK stays with it; others don't.
func TestDrivers(t *testing.T) {
	m := tuned(t)
	m.Device = "0000:03:00.0"
	require.Equal(t, OK, m.driver().Verdict)
	delete(m.Root.(fstest.MapFS), "sys/bus/pci/drivers/vfio-pci/bind")
	require.Equal(t, OK, m.vfio().Verdict)
	for _, name := range []string{"0000:02:00.0", "0000:02:00.0,opt=1", "eth0"} {
		m.Device = name
		require.Equal(t, Bad, m.driver().Verdict, name)
		require.Contains(t, m.driver().Found, "ixgbe")
	}
}

// A machine that says nothing is one of which nothing is known; no check fails.
func TestEmptyMachine(t *testing.T) {
	m := &Machine{Root: fstest.MapFS{}, Cores: cores(t, "0"), Allowed: cores(t, "0-1"), Procs: 2}
	list := m.Examine()
	require.Len(t, list, 19)
	var b bytes.Buffer
	require.NoError(t, Print(&b, list))
	for _, f := range list {
		require.NotEmpty(t, f.Found)
		require.Contains(t, b.String(), f.Check)
		if f.Verdict == Warn || f.Verdict == Bad {
			require.NotEmpty(t, f.Do, "%+v", f)
		}
	}
}

// TestHere looks at the machine that the test runs on.
func TestHere(t *testing.T) {
	m, err := Here(affinity.Set{}, "", false)
	require.NoError(t, err)
	require.Equal(t, m.Allowed, m.Cores)
	require.Len(t, m.Examine(), 19)
}
