package affinity

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// mountinfo of a machine with version 2 only, and of one with both.
const (
	mountsV2 = "24 1 0:22 / /proc rw,nosuid - proc proc rw\n" +
		"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsBoth = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	groupsBoth = "5:cpuset:/pods/p1\n3:cpu,cpuacct:/pods/p1\n1:name=systemd:/init\n0::/init\n"
)

// fake makes a host of files, whose process was started with the given cores.
func fake(t testing.TB, started string, files map[string]string) Host {
	t.Helper()
	m := make(fstest.MapFS)
	for name, text := range files {
		require.True(t, fs.ValidPath(name), name)
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	cores := list(t, started)
	return Host{FS: m, Process: func() (Set, error) { return cores, nil }}
}

func TestAllowedV2(t *testing.T) {
	files := map[string]string{
		"proc/self/cgroup":    "0::/a.slice/b.scope\n",
		"proc/self/mountinfo": mountsV2,
		"sys/fs/cgroup/a.slice/b.scope/cpuset.cpus.effective": "2-5\n",
		"sys/fs/cgroup/a.slice/cpuset.cpus.effective":         "0-7\n",
		"sys/fs/cgroup/cpuset.cpus.effective":                 "0-15\n",
	}
	got, err := fake(t, "0-3", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "2-3", got.String())

	// A group without the controller is under the nearest one with it.
	delete(files, "sys/fs/cgroup/a.slice/b.scope/cpuset.cpus.effective")
	got, err = fake(t, "6-9", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "6-7", got.String())
}

func TestAllowedV1(t *testing.T) {
	files := map[string]string{
		"proc/self/cgroup":                                   groupsBoth,
		"proc/self/mountinfo":                                mountsBoth,
		"sys/fs/cgroup/cpuset/pods/p1/cpuset.cpus":           "1-6\n",
		"sys/fs/cgroup/cpuset/pods/p1/cpuset.effective_cpus": "1-4\n",
		"sys/fs/cgroup/cpuset/cpuset.cpus":                   "0-7\n",
	}
	got, err := fake(t, "0-7", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "1-4", got.String(), "offline cores are not in the effective set")

	delete(files, "sys/fs/cgroup/cpuset/pods/p1/cpuset.effective_cpus")
	got, err = fake(t, "0-7", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "1-6", got.String())

	files["sys/fs/cgroup/cpuset/pods/p1/cpuset.cpus"] = "\n"
	got, err = fake(t, "0-9", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "0-7", got.String(), "an empty set says nothing")
}

// TestAllowedInContainer has the group's path as the host sees it, while only
// that group is mounted, and an unrelated part of the hierarchy before it.
func TestAllowedInContainer(t *testing.T) {
	files := map[string]string{
		"proc/self/cgroup": "4:cpuset:/docker/abc\n",
		"proc/self/mountinfo": "40 30 0:31 /other /mnt/other ro - cgroup cgroup rw,cpuset\n" +
			"41 30 0:31 /docker/abc /sys/fs/cgroup/cpu\\040set ro master:9 - cgroup cgroup rw,cpuset\n",
		"sys/fs/cgroup/cpu set/cpuset.cpus": "3\n",
		"mnt/other/cpuset.cpus":             "0-2\n",
	}
	got, err := fake(t, "0-7", files).Allowed()
	require.NoError(t, err)
	require.Equal(t, "3", got.String())

	// A namespace that begins elsewhere leaves the mount point.
	for _, group := range []string{"/../up", "/docker/abcd", "/docker"} {
		files["proc/self/cgroup"] = "4:cpuset:" + group + "\n"
		files["proc/self/mountinfo"] = "41 30 0:31 /docker/abc /sys/fs/cgroup/cpu\\040set ro - cgroup cgroup rw,cpuset\n"
		got, err = fake(t, "0-7", files).Allowed()
		require.NoError(t, err, group)
		require.Equal(t, "3", got.String(), group)
	}
}

func TestAllowedWithoutCgroups(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no proc":     {},
		"not mounted": {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "1 1 0:1 / / rw - ext4 /dev/vda rw\n"},
		"no group":    {"proc/self/cgroup": "", "proc/self/mountinfo": mountsBoth},
		"no file":     {"proc/self/cgroup": groupsBoth, "proc/self/mountinfo": mountsBoth},
	} {
		h := fake(t, "4-5", files)
		got, err := h.Allowed()
		require.NoError(t, err, name)
		require.Equal(t, "4-5", got.String(), name)
		require.NoError(t, h.Validate(got), name)
	}
}

func TestAllowedErrors(t *testing.T) {
	h := fake(t, "0", map[string]string{
		"proc/self/cgroup":                    "0::/\n",
		"proc/self/mountinfo":                 mountsV2,
		"sys/fs/cgroup/cpuset.cpus.effective": "0-x\n",
	})
	_, err := h.Allowed()
	require.ErrorIs(t, err, ErrSyntax)
	require.ErrorContains(t, err, "/sys/fs/cgroup/cpuset.cpus.effective")
	require.ErrorIs(t, h.Validate(list(t, "0")), ErrSyntax)

	broken := errors.New("broken")
	h = fake(t, "", nil)
	h.Process = func() (Set, error) { return Set{}, broken }
	_, err = h.Allowed()
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, h.Validate(list(t, "0")), broken)

	h = fake(t, "0", map[string]string{"proc/self/cgroup": "0::/\n"})
	_, err = h.Allowed()
	require.ErrorIs(t, err, fs.ErrNotExist, "a group without mountinfo")
}

func TestValidate(t *testing.T) {
	h := fake(t, "0-5", map[string]string{
		"sys/devices/system/cpu/online":       "0-7\n",
		"proc/self/cgroup":                    "0::/\n",
		"proc/self/mountinfo":                 mountsV2,
		"sys/fs/cgroup/cpuset.cpus.effective": "0-3,6-7\n",
	})
	require.NoError(t, h.Validate(list(t, "0-3")))
	require.ErrorIs(t, h.Validate(Set{}), ErrEmpty)

	err := h.Validate(list(t, "0,4-9"))
	require.ErrorIs(t, err, ErrNotAllowed)
	require.EqualError(t, err, "affinity: cores not allowed: 8-9: the machine has online 0-7\n"+
		"affinity: cores not allowed: 4-5: the control group's cpuset is 0-3,6-7\n"+
		"affinity: cores not allowed: 6-7: the process was started with 0-5")
}

func TestOnline(t *testing.T) {
	got, err := fake(t, "", map[string]string{"sys/devices/system/cpu/online": "0-2,5\n"}).Online()
	require.NoError(t, err)
	require.Equal(t, "0-2,5", got.String())
	got, err = fake(t, "", nil).Online()
	require.NoError(t, err)
	require.True(t, got.IsEmpty())
	_, err = fake(t, "", map[string]string{"sys/devices/system/cpu/online": "all"}).Online()
	require.ErrorIs(t, err, ErrSyntax)
}
