package main

import (
	"context"
	"errors"
	"strings"

	"github.com/shardstack/shardstack/cmd/shardgen/doctor"
	"github.com/shardstack/shardstack/port/dpdk"
)

// errSick: the doctor has found what does not work.
var errSick = errors.New("something does not work as it is; the lines marked \"bad\" say what to do")

// runDoctor is the command doctor. It opens no port.
func runDoctor(_ context.Context, _ *command, o *options, out *output) error {
	m, err := doctor.Here(o.cores, deviceName(o.port), dpdk.Available)
	if err != nil {
		return err
	}
	list := m.Examine()
	if o.json {
		err = writeJSON(out.report, list)
	} else {
		err = doctor.Print(out.report, list)
	}
	for _, f := range list {
		if err == nil && f.Verdict == doctor.Bad {
			err = errSick
		}
	}
	return err
}

// deviceName is the card that a --port names: a PCI address or an interface of
// the kernel's; "" if it is made with the port.
func deviceName(port string) string {
	name, found := strings.CutPrefix(port, "dpdk:")
	if !found || strings.HasPrefix(name, "net_") || name == "pair" {
		return ""
	}
	return name
}
