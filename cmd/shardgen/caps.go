package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/shardstack/shardstack/bench/device"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
)

// stackUses are the offloads that the stack asks for, of whoever does them.
const stackUses = offload.TxCsum | offload.RxCsum | offload.MultiSeg | offload.RSSHash |
	offload.TSO | offload.USO | offload.LRO | offload.UDPLRO

// stackDoes are those that the stack does itself where the port doesn't: it
// hashes flows, writes and reads VLAN tags, and takes the time of a burst for
// that of its frames.
const stackDoes = offload.RSSHash | offload.VLANInsert | offload.VLANStrip | offload.RxTime

// Who does the work of an offload.
const (
	byPort     = "port"
	bySoftware = "software"
	byNobody   = "nobody" // the stack would use it
	notUsed    = "not used"
)

// doneBy tells who does offload c on a port that has have.
func doneBy(c, have offload.Caps) string {
	switch {
	case !stackUses.Has(c):
		return notUsed
	case have.Has(c):
		return byPort
	case (offload.Software | stackDoes).Has(c):
		return bySoftware
	}
	return byNobody
}

// capsReport is what the command ports prints.
type capsReport struct {
	Command string     `json:"command"`
	Ports   []portCaps `json:"ports"`
}

// portCaps is a port with its offloads.
type portCaps struct {
	Port     string        `json:"port"`
	Error    string        `json:"error,omitempty"` // why it could not be opened
	MTU      int           `json:"mtu,omitempty"`
	RSS      bool          `json:"rss"` // the queue of a flow can be computed
	Offloads []offloadDone `json:"offloads,omitempty"`
}

// offloadDone is one offload of a port.
type offloadDone struct {
	Name string `json:"name"`
	Port bool   `json:"port"` // the port can do it
	By   string `json:"by"`   // who does
}

// describe lists all offloads for a port.
func describe(name string, info port.Info) portCaps {
	r := portCaps{Port: name, MTU: info.MTU, RSS: info.RSS.Enabled()}
	for c := offload.Caps(1); c <= offload.All; c <<= 1 {
		r.Offloads = append(r.Offloads, offloadDone{c.String(), info.Caps.Has(c), doneBy(c, info.Caps)})
	}
	return r
}

// runPorts is the command ports. A TAP device is made for a look at it, down and
// without addresses, and goes again.
func runPorts(_ context.Context, c *command, o *options, out *output) error {
	r := capsReport{Command: c.name}
	if o.device.InMemory() {
		near, far, err := openPorts(c, o, 1, 1)
		if err != nil {
			return err
		}
		r.Ports = append(r.Ports, describe(o.device.String(), near.Info()))
		if err := errors.Join(near.Close(), far.Close()); err != nil {
			return err
		}
	}
	if o.port == "" {
		// Where there can be none, the list says why.
		tap, err := deviceCaps("tap:tap%d", o)
		if err != nil {
			tap = portCaps{Port: "tap", Error: err.Error()}
		}
		r.Ports = append(r.Ports, tap)
	} else if !o.device.InMemory() {
		d, err := deviceCaps(o.port, o)
		if err != nil {
			return err
		}
		r.Ports = append(r.Ports, d)
	}
	if o.json {
		return writeJSON(out.report, &r)
	}
	return r.text(out.report)
}

// deviceCaps looks at a device.
func deviceCaps(name string, o *options) (portCaps, error) {
	d, err := device.Parse(name)
	if err != nil {
		return portCaps{}, err
	}
	if err := d.InitDPDK(o.cores, 0, strings.Fields(o.eal)); err != nil {
		return portCaps{}, err
	}
	p, err := d.Open(device.Config{Netns: o.netns, MTU: o.mtu, NoOffload: o.noOffload})
	if err != nil {
		return portCaps{}, err
	}
	kind, _, _ := strings.Cut(name, ":")
	return describe(kind, p.Info()), p.Close()
}

// text prints a table a port.
func (r *capsReport) text(w io.Writer) error {
	for i := range r.Ports {
		p := &r.Ports[i]
		if p.Error != "" {
			say(w, "%s: %s\n", p.Port, p.Error)
			continue
		}
		rss := "no RSS that can be computed"
		if p.RSS {
			rss = "RSS"
		}
		say(w, "%s: MTU %d, %s\n", p.Port, p.MTU, rss)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		say(tw, "  offload\tport can\tdone by\n")
		for _, d := range p.Offloads {
			say(tw, "  %s\t%s\t%s\n", d.Name, map[bool]string{true: "yes", false: "no"}[d.Port], d.By)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "\nAn offload that the stack does not use is idle even if the port has it.")
	return err
}
