package report

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// What lies between these lines of the file is the tool's.
const (
	beginMark = "<!-- peers:begin, written by make peers UPDATE=1 -->"
	endMark   = "<!-- peers:end -->"
)

// fresh is the file if there is none.
const fresh = "# Performance\n\n" + beginMark + "\n" + endMark + "\n"

// UpdateFile puts text between the marks of a file, which is made if it isn't
// there.
func UpdateFile(path, text string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(fresh), nil
	}
	if err != nil {
		return err
	}
	s, err := update(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(s), 0o644)
}

func update(old, text string) (string, error) {
	head, rest, ok := strings.Cut(old, beginMark)
	if !ok {
		return "", fmt.Errorf("it has no line %q", beginMark)
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", fmt.Errorf("it has no line %q", endMark)
	}
	return head + beginMark + "\n" + text + endMark + tail, nil
}

// Machine describes where the run takes place.
func Machine(cores int) string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if k, v, ok := strings.Cut(sc.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel := "?"
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel, _, _ = strings.Cut(strings.TrimSpace(string(b)), "-")
	}
	return fmt.Sprintf("%s, %d cores used, Linux %s, %s", model, cores, kernel, runtime.Version())
}
