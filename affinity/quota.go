package affinity

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// CPUQuota is how much CPU time the control groups give the process, in cores:
// 1.5 is one and a half. +Inf if there is no limit. Shards poll, so one with
// less than a whole core each is stopped by the scheduler again and again.
func CPUQuota() (cores float64, err error) { return machine.CPUQuota() }

// CPUQuota is the function of the same name for this host: the least of what
// the process's group and those around it are given (version 1
// cpu.cfs_quota_us, version 2 cpu.max).
func (h Host) CPUQuota() (cores float64, err error) {
	dirs, err := h.cgroups("cpu")
	if err != nil {
		return 0, err
	}
	cores = math.Inf(1)
	for _, d := range dirs {
		q, err := h.quota(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the root group, or one without the controller
		}
		if err != nil {
			return 0, err
		}
		cores = min(cores, q)
	}
	return cores, nil
}

// quota reads the limit of one group.
func (h Host) quota(d cgroupDir) (float64, error) {
	if d.v2 {
		file := path.Join(d.path, "cpu.max")
		text, err := h.read(file)
		if err != nil {
			return 0, err
		}
		quota, period, _ := strings.Cut(text, " ")
		return parseQuota(file, quota, period)
	}
	file := path.Join(d.path, "cpu.cfs_quota_us")
	quota, err := h.read(file)
	if err != nil {
		return 0, err
	}
	period, err := h.read(path.Join(d.path, "cpu.cfs_period_us"))
	if err != nil {
		return 0, err
	}
	return parseQuota(file, quota, period)
}

// parseQuota divides microseconds of CPU time by microseconds of period. No
// limit is "max" in version 2 and -1 in version 1.
func parseQuota(file, quota, period string) (float64, error) {
	p, err := strconv.ParseUint(period, 10, 63)
	if err != nil || p == 0 {
		return 0, fmt.Errorf("%w: /%s: period %q", ErrSyntax, file, period)
	}
	if quota == "max" || quota == "-1" {
		return math.Inf(1), nil
	}
	q, err := strconv.ParseUint(quota, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: /%s: quota %q", ErrSyntax, file, quota)
	}
	return float64(q) / float64(p), nil
}
