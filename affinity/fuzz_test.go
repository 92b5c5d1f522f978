package affinity

import (
	"io/fs"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// roundTrip checks that both ways to write a set read back as the same set.
func roundTrip(t *testing.T, s Set) {
	t.Helper()
	again, err := ParseList(s.String())
	require.NoError(t, err)
	require.Equal(t, s, again)
	again, err = ParseMask(s.Mask())
	require.NoError(t, err)
	require.Equal(t, s, again)

	again, err = Of(s.Cores()...)
	require.NoError(t, err)
	require.Equal(t, s, again)
	require.Len(t, s.Cores(), s.Len())
}

// FuzzParseMask compares with math/big what has no commas.
func FuzzParseMask(f *testing.F) {
	for _, s := range []string{"0xf", "F", "1,00000000", "0x", "", "0", "ff,00000000,80000001", "8" + strings.Repeat("0", 255)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseMask(text)
		if err != nil {
			require.True(t, s.IsEmpty())
			return
		}
		roundTrip(t, s)
		digits := strings.ReplaceAll(strings.TrimSpace(text), ",", "")
		if len(digits) > 2 && strings.EqualFold(digits[:2], "0x") {
			digits = digits[2:]
		}
		n, ok := new(big.Int).SetString(digits, 16)
		require.True(t, ok)
		for core := range MaxCores {
			require.Equal(t, n.Bit(core) == 1, s.Contains(core), "core %d", core)
		}
		require.LessOrEqual(t, n.BitLen(), MaxCores)
	})
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"0-3,8", "8,0-3", "1,1", "", "\n", "1-", "3-1", "0-1023", "1024", "0-7:1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseList(text)
		if err != nil {
			require.True(t, s.IsEmpty())
			return
		}
		roundTrip(t, s)
		require.LessOrEqual(t, len(s.String()), len(strings.TrimSpace(text)), "it is not the shortest form")
	})
}

// FuzzSet builds sets from bits, which reach all cores.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0x0f, 0x01})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, bits []byte) {
		var s Set
		for core := range min(len(bits)*8, MaxCores) {
			if bits[core/8]&(1<<(core%8)) != 0 {
				require.NoError(t, s.Add(core))
			}
		}
		roundTrip(t, s)
	})
}

// FuzzCgroup feeds anything as the kernel's files; all that is read from them
// has to stay below the mount points.
func FuzzCgroup(f *testing.F) {
	f.Add(groupsBoth, mountsBoth)
	f.Add("0::/a/../../b\n", mountsV2)
	f.Add("4:cpuset,cpu:/docker/abc\n", "41 30 0:31 /docker/abc /a\\040b\\134 ro - cgroup cgroup rw,cpuset,cpu\n")
	f.Add("0::/\n", "1 1 0:1 /.. / rw - cgroup2 cgroup2 rw\n")
	f.Add("0::/x\n", "1 1 0:1 relative also rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		h := fake(t, "0-3", map[string]string{"proc/self/cgroup": groups, "proc/self/mountinfo": mounts})
		for _, controller := range []string{"cpu", "cpuset"} {
			dirs, err := h.cgroups(controller)
			require.NoError(t, err)
			for _, d := range dirs {
				name := strings.TrimPrefix(d.path+"/cpu.max", "/")
				require.True(t, fs.ValidPath(strings.ToValidUTF8(name, "?")), "%q", d.path)
			}
		}
	})
}

func FuzzCPUMax(f *testing.F) {
	for _, s := range []string{"max 100000", "150000 100000", "-1 100000", "", "1 0", "1", "18446744073709551615 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := fake(t, "0", map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"proc/self/mountinfo":   mountsV2,
			"sys/fs/cgroup/cpu.max": text,
		}).CPUQuota()
		if err != nil {
			require.ErrorIs(t, err, ErrSyntax)
			return
		}
		require.False(t, math.IsNaN(q))
		require.GreaterOrEqual(t, q, 0.0)
	})
}

func FuzzPCIAddress(f *testing.F) {
	for _, s := range []string{"0000:3b:00.0", "3B:1f.7", "10000:e1:00.0", "0000:../x.0", "3b:20.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, ok := pciAddress(text)
		if !ok {
			return
		}
		require.Regexp(t, `^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$`, address)
		again, ok := pciAddress(address)
		require.True(t, ok)
		require.Equal(t, address, again)
	})
}
