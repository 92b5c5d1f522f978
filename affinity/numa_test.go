package affinity

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNUMANode(t *testing.T) {
	const cpus = "sys/devices/system/cpu/"
	h := fake(t, "0-3", map[string]string{
		cpus + "cpu0/topology/core_id":          "0\n",
		cpus + "cpu0/node0/cpulist":             "0\n",
		cpus + "cpu2/node1/cpulist":             "2\n",
		cpus + "cpu3/topology/core_id":          "0\n",
		cpus + "cpu3/nodes":                     "",
		cpus + "cpu3/node-1":                    "",
		"sys/devices/system/node/node1/cpulist": "2,6-7\n",
		"sys/devices/system/node/node2/cpulist": "\n",
		"sys/devices/system/node/node3/cpulist": "?\n",
	})
	for core, want := range map[int]int{0: 0, 2: 1, 3: 0} {
		got, err := h.NUMANode(core)
		require.NoError(t, err)
		require.Equal(t, want, got, "core %d", core)
	}
	_, err := h.NUMANode(1)
	require.ErrorIs(t, err, ErrNotAllowed)
	for _, core := range []int{-1, MaxCores} {
		_, err = h.NUMANode(core)
		require.ErrorIs(t, err, ErrRange)
	}

	cores, err := h.NodeCores(1)
	require.NoError(t, err)
	require.Equal(t, "2,6-7", cores.String())
	cores, err = h.NodeCores(2)
	require.NoError(t, err, "a node may have memory only")
	require.True(t, cores.IsEmpty())
	_, err = h.NodeCores(3)
	require.ErrorIs(t, err, ErrSyntax)
	for _, node := range []int{-1, 9} {
		_, err = h.NodeCores(node)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

// TestSysfsLinks has the links that sysfs has, in a real directory.
func TestSysfsLinks(t *testing.T) {
	root := t.TempDir()
	dev := filepath.Join(root, "sys/devices/pci0000:3a/0000:3b:00.0")
	require.NoError(t, os.MkdirAll(dev, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dev, "numa_node"), []byte("1\n"), 0o600))
	bus := filepath.Join(root, "sys/bus/pci/devices")
	require.NoError(t, os.MkdirAll(bus, 0o755))
	require.NoError(t, os.Symlink("../../../devices/pci0000:3a/0000:3b:00.0", filepath.Join(bus, "0000:3b:00.0")))
	cpu := filepath.Join(root, "sys/devices/system/cpu/cpu5")
	require.NoError(t, os.MkdirAll(cpu, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "sys/devices/system/node/node1"), 0o755))
	require.NoError(t, os.Symlink("../../node/node1", filepath.Join(cpu, "node1")))

	h := Host{FS: os.DirFS(root)}
	node, err := h.PCINUMANode("3B:00.0")
	require.NoError(t, err)
	require.Equal(t, 1, node)
	node, err = h.NUMANode(5)
	require.NoError(t, err)
	require.Equal(t, 1, node)
}

func TestPCINUMANode(t *testing.T) {
	const devices = "sys/bus/pci/devices/"
	h := fake(t, "0", map[string]string{
		devices + "0000:3b:00.1/numa_node":  "1\n",
		devices + "0000:00:1f.7/numa_node":  "-1\n",
		devices + "10000:e1:00.0/numa_node": "0\n",
		devices + "0000:01:00.0/numa_node":  "-2\n",
		devices + "0000:02:00.0/numa_node":  "\n",
	})
	for address, want := range map[string]int{
		"0000:3b:00.1":  1,
		"0000:3B:00.1":  1,
		"3b:00.1":       1,
		"0000:00:1f.7":  NoNode,
		"10000:e1:00.0": 0,
	} {
		got, err := h.PCINUMANode(address)
		require.NoError(t, err)
		require.Equal(t, want, got, address)
	}
	for _, address := range []string{"0000:01:00.0", "0000:02:00.0"} {
		_, err := h.PCINUMANode(address)
		require.ErrorIs(t, err, ErrSyntax)
		require.ErrorContains(t, err, address)
	}
	_, err := h.PCINUMANode("0000:3b:00.2")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, address := range []string{
		"", "3b", "3b:00", "3b:00.", "3b:00.8", "3b:20.0", "3b:00.00", "000:3b:00.0", "0000:3b:00:0", "0000:3g:00.0",
		"0000:3b/00.0", "123456789:3b:00.0", "../../..:00.0", "0000:../x.0", "eth0", "0000:3b:00.0\n", " 3b:00.0",
	} {
		_, err := h.PCINUMANode(address)
		require.ErrorIs(t, err, ErrSyntax, "%q", address)
	}
}
