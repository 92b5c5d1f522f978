package affinity

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Host answers questions about a machine from its file system. The zero value
// is the machine that the process runs on.
type Host struct {
	// FS is the root directory; of it /proc/self/cgroup, /proc/self/mountinfo,
	// /sys and the mounted cgroup file systems are read. nil is the real one.
	FS fs.FS
	// Process gives the cores that the scheduler lets the process use. nil is
	// Start, the set that it started with.
	Process func() (Set, error)
}

// machine is the Host of the package's functions.
var machine Host

// files is the root directory.
func (h Host) files() fs.FS {
	if h.FS != nil {
		return h.FS
	}
	return os.DirFS("/")
}

// process is the scheduler's answer.
func (h Host) process() (Set, error) {
	if h.Process != nil {
		return h.Process()
	}
	return Start()
}

// read gives the text of a file without the space around it. The path has no
// slash in front.
func (h Host) read(path string) (string, error) {
	b, err := fs.ReadFile(h.files(), path)
	if err != nil {
		return "", fmt.Errorf("affinity: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// readList reads a file that holds a list of cores.
func (h Host) readList(path string) (Set, error) {
	text, err := h.read(path)
	if err != nil {
		return Set{}, err
	}
	s, err := ParseList(text)
	if err != nil {
		return Set{}, fmt.Errorf("/%s: %w", path, err)
	}
	return s, nil
}
