package affinity

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// cgroupDir is one directory of a control group that the process is in.
type cgroupDir struct {
	path string // without the slash in front
	v2   bool
}

// mount is what a line of mountinfo says of a mounted cgroup file system.
type mount struct {
	root    string // the group, in the whole hierarchy, that is mounted
	point   string // where it is mounted
	v2      bool
	options []string // for version 1, the controllers are among these
}

// cgroups lists the directories of the groups that hold the process for a
// controller ("cpu", "cpuset"), innermost first, in each hierarchy, version 1
// before 2. On a machine with both, a controller is in one of the two; its
// files are then missing in the other, which callers take as "nothing said".
func (h Host) cgroups(controller string) ([]cgroupDir, error) {
	groups, err := h.read("proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without control groups
	}
	if err != nil {
		return nil, err
	}
	info, err := h.read("proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	mounts := parseMounts(info)
	var dirs []cgroupDir
	for _, v2 := range []bool{false, true} {
		if group, ok := parseGroup(groups, controller, v2); ok {
			if m := pickMount(mounts, controller, v2, group); m != nil {
				dirs = append(dirs, m.chain(group)...)
			}
		}
	}
	return dirs, nil
}

// pickMount finds the mount with the controller's files, if possible one that
// the group is in: parts of a hierarchy may be mounted elsewhere, too.
func pickMount(mounts []mount, controller string, v2 bool, group string) *mount {
	var best *mount
	for i := range mounts {
		m := &mounts[i]
		if !m.serves(controller, v2) {
			continue
		}
		if _, ok := m.below(group); ok {
			return m
		}
		if best == nil {
			best = m
		}
	}
	return best
}

// parseGroup finds the path of the process's group in the lines
// "id:controllers:path" of /proc/self/cgroup (cgroups(7)).
func parseGroup(text, controller string, v2 bool) (string, bool) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") {
			continue
		}
		if v2 && f[0] == "0" && f[1] == "" || !v2 && hasWord(f[1], controller) {
			return f[2], true
		}
	}
	return "", false
}

// parseMounts finds the cgroup file systems in the lines "id parent dev root
// point options [fields] - type source superoptions" of mountinfo (proc(5)).
func parseMounts(text string) []mount {
	var mounts []mount
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 || r[0] != "cgroup" && r[0] != "cgroup2" {
			continue
		}
		mounts = append(mounts, mount{
			root:    unescape(l[3]),
			point:   unescape(l[4]),
			v2:      r[0] == "cgroup2",
			options: strings.Split(r[2], ","),
		})
	}
	return mounts
}

// unescape undoes the octal escapes of mountinfo (space, tab, newline and
// backslash).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// serves tells whether the controller's files are below this mount.
func (m *mount) serves(controller string, v2 bool) bool {
	if m.v2 || v2 {
		return m.v2 && v2
	}
	return slices.Contains(m.options, controller)
}

// below is the path of the group under the mount point; false if the group is
// not in what is mounted.
func (m *mount) below(group string) (string, bool) {
	if hasParent(group) || hasParent(m.root) {
		return "", false // outside of the namespace: the rest is not told
	}
	root := path.Clean(m.root)
	if root == "/" {
		return group, true
	}
	if group == root || strings.HasPrefix(group, root+"/") {
		return group[len(root):], true
	}
	return "", false
}

// hasParent tells whether a path goes up anywhere.
func hasParent(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }

// chain lists the directories from the group up to the mount point. Where the
// group is not in what is mounted (a container that sees the path of the host,
// a namespace that begins deeper) the mount point is all there is.
func (m *mount) chain(group string) []cgroupDir {
	rel, _ := m.below(group)
	top := path.Join("/", m.point)
	var dirs []cgroupDir
	for dir := path.Join(top, rel); ; dir = path.Dir(dir) {
		dirs = append(dirs, cgroupDir{path: dir[1:], v2: m.v2})
		if len(dir) <= len(top) {
			return dirs
		}
	}
}

// hasWord tells whether a list with commas has the word in it.
func hasWord(list, word string) bool {
	return slices.Contains(strings.Split(list, ","), word)
}
