package linux

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// idle gives the memory of one end of a connection: what the kernel's slabs
// grew by for s.Conns of them, or as many as descriptors allow, both ends
// counted.
func idle(s *work.Spec, v *veth) (float64, error) {
	var ln int
	if err := v.server.in(func() (err error) { ln, err = newListener(port); return err }); err != nil {
		return 0, err
	}
	limit, err := descriptors()
	if err != nil {
		return 0, err
	}
	n := min(s.Conns, limit/2)
	before, err := slab()
	if err != nil {
		return 0, err
	}
	var fds []int
	defer func() {
		for _, fd := range fds {
			closeFD(fd)
		}
	}()
	err = v.client.in(func() error {
		for i := range n {
			fd, err := newConn(i/32768, port)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			for end := time.Now().Add(work.Timeout); ; {
				c, e := accept(ln)
				if e == 0 {
					fds = append(fds, c)
					break
				}
				if e != unix.EAGAIN || time.Now().After(end) {
					return fmt.Errorf("accept: %w", e)
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	after, err := slab()
	return float64(after-before) / float64(2*n), err
}

// slab gives the bytes in all of the kernel's slabs.
func slab() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var kb int64
		if strings.HasPrefix(sc.Text(), "Slab:") {
			_, err := fmt.Sscanf(sc.Text(), "Slab: %d kB", &kb)
			return kb << 10, err
		}
	}
	return 0, work.Missing("/proc/meminfo has no Slab line")
}
