//go:build !linux

package port

import "fmt"

func eventfd() (int, error) { return -1, fmt.Errorf("%w: eventfd", ErrNotSupported) }

func signal(int)        {}
func drain(int, []byte) {}
func closeFD(int) error { return nil }
