package affinity

import (
	"io/fs"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCPUQuotaV2(t *testing.T) {
	files := map[string]string{
		"proc/self/cgroup":    "0::/a/b\n",
		"proc/self/mountinfo": mountsV2,
	}
	for _, c := range []struct {
		inner, outer string
		want         float64
	}{
		{"", "", math.Inf(1)},
		{"max 100000", "", math.Inf(1)},
		{"150000 100000", "", 1.5},
		{"150000 100000", "max 100000", 1.5},
		{"150000 100000", "50000 100000", 0.5},
		{"max 100000", "800000 200000", 4},
	} {
		delete(files, "sys/fs/cgroup/a/b/cpu.max")
		delete(files, "sys/fs/cgroup/a/cpu.max")
		if c.inner != "" {
			files["sys/fs/cgroup/a/b/cpu.max"] = c.inner + "\n"
		}
		if c.outer != "" {
			files["sys/fs/cgroup/a/cpu.max"] = c.outer + "\n"
		}
		got, err := fake(t, "0", files).CPUQuota()
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
}

func TestCPUQuotaV1(t *testing.T) {
	const dir = "sys/fs/cgroup/cpu,cpuacct/pods/"
	files := map[string]string{
		"proc/self/cgroup":             groupsBoth,
		"proc/self/mountinfo":          mountsBoth,
		dir + "p1/cpu.cfs_quota_us":    "-1\n",
		dir + "p1/cpu.cfs_period_us":   "100000\n",
		dir + "cpu.cfs_quota_us":       "250000\n",
		dir + "cpu.cfs_period_us":      "100000\n",
		"sys/fs/cgroup/unified/README": "no controllers here",
	}
	got, err := fake(t, "0", files).CPUQuota()
	require.NoError(t, err)
	require.Equal(t, 2.5, got, "the outer group limits the inner one")

	files[dir+"p1/cpu.cfs_quota_us"] = "20000\n"
	got, err = fake(t, "0", files).CPUQuota()
	require.NoError(t, err)
	require.Equal(t, 0.2, got)

	files[dir+"p1/cpu.cfs_quota_us"] = "lots\n"
	_, err = fake(t, "0", files).CPUQuota()
	require.ErrorIs(t, err, ErrSyntax)
	require.ErrorContains(t, err, dir+"p1/cpu.cfs_quota_us")
}

func TestCPUQuotaErrors(t *testing.T) {
	for _, text := range []string{"", "max", "100000", "1 0", "1 -5", "-1 x", "-2 100000", "1 2 3", "1.5 100"} {
		_, err := fake(t, "0", map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"proc/self/mountinfo":   mountsV2,
			"sys/fs/cgroup/cpu.max": text,
		}).CPUQuota()
		require.ErrorIs(t, err, ErrSyntax, "%q", text)
	}
	_, err := fake(t, "0", map[string]string{"proc/self/cgroup": "0::/\n"}).CPUQuota()
	require.ErrorIs(t, err, fs.ErrNotExist)
	got, err := fake(t, "0", nil).CPUQuota()
	require.NoError(t, err, "a kernel without control groups")
	require.Equal(t, math.Inf(1), got)
}
