package affinity

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Allowed is the set of the cores that this process may run on: those that it
// started with (sched_getaffinity, so what taskset and systemd say) that are in
// its control group's cpuset. Pinning threads does not change the answer.
func Allowed() (Set, error) { return machine.Allowed() }

// Online is the set of the cores that the machine has switched on. It is empty
// where the kernel does not say.
func Online() (Set, error) { return machine.Online() }

// Validate tells whether a process may have a thread on each of the cores. The
// error matches ErrEmpty if there is no core in the set; ErrNotAllowed if there
// is one that is not online, not in the control group's cpuset, or that the
// process was not started with, and then says which and why.
func (s Set) Validate() error { return machine.Validate(s) }

// Allowed is the function of the same name for this host.
func (h Host) Allowed() (Set, error) {
	s, err := h.process()
	if err != nil {
		return Set{}, err
	}
	group, ok, err := h.cgroupCores()
	if err != nil {
		return Set{}, err
	}
	if ok {
		s = s.Intersect(group)
	}
	return s, nil
}

// Online is the function of the same name for this host.
func (h Host) Online() (Set, error) {
	s, err := h.readList("sys/devices/system/cpu/online")
	if errors.Is(err, fs.ErrNotExist) {
		return Set{}, nil
	}
	return s, err
}

// Validate is Set.Validate for this host.
func (h Host) Validate(s Set) error {
	if s.IsEmpty() {
		return ErrEmpty
	}
	online, err := h.Online()
	if err != nil {
		return err
	}
	group, inGroup, err := h.cgroupCores()
	if err != nil {
		return err
	}
	process, err := h.process()
	if err != nil {
		return err
	}
	// Each core is named once, with the reason that is hardest to change.
	var faults []error
	reject := func(limit Set, name string) {
		if bad := s.Minus(limit); !bad.IsEmpty() {
			faults = append(faults, fmt.Errorf("%w: %v: %s %v", ErrNotAllowed, bad, name, limit))
			s = s.Intersect(limit)
		}
	}
	if !online.IsEmpty() {
		reject(online, "the machine has online")
	}
	if inGroup {
		reject(group, "the control group's cpuset is")
	}
	reject(process, "the process was started with")
	return errors.Join(faults...)
}

// cgroupCores is the cpuset that holds the process: that of the innermost
// group that has one. ok is false if none has.
func (h Host) cgroupCores() (s Set, ok bool, err error) {
	dirs, err := h.cgroups("cpuset")
	if err != nil {
		return Set{}, false, err
	}
	for _, d := range dirs {
		names := []string{"cpuset.effective_cpus", "cpuset.cpus"}
		if d.v2 {
			names = []string{"cpuset.cpus.effective"}
		}
		for _, name := range names {
			s, err := h.readList(path.Join(d.path, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return Set{}, false, fmt.Errorf("cpuset: %w", err)
			}
			if !s.IsEmpty() {
				return s, true, nil
			}
		}
	}
	return Set{}, false, nil
}
