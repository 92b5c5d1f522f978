//go:build !linux

package netconn

import "os"

// alarmLen is one byte a ring.
const alarmLen = 1

func newFileAlarm() (*alarm, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &alarm{r: r, w: w}, nil
}
