package shard

import "fmt"

// WarningKind says what a Warning is about.
type WarningKind uint8

// The kinds.
const (
	// WarnHash: a port does not hash as it reports, or does not report how.
	WarnHash WarningKind = iota
	// WarnTable: a port does not take a new table.
	WarnTable
	// WarnStall: a shard does not come round (Config.Watchdog).
	WarnStall
	// WarnCores: shards do not have a core each.
	WarnCores
)

var warningNames = [...]string{"hash", "table", "stall", "cores"}

// String is "hash", "table", "stall" or "cores".
func (k WarningKind) String() string {
	if int(k) < len(warningNames) {
		return warningNames[k]
	}
	return "invalid"
}

// Warning is something that works, but not as it should.
type Warning struct {
	Kind  WarningKind
	Shard int    // its ID, or -1
	Port  int    // index in Config.Ports, or -1
	Text  string // one line
	Stack []byte // of WarnStall: the stacks of all goroutines
}

// String is the kind and the text.
func (w Warning) String() string { return fmt.Sprintf("%v: %s", w.Kind, w.Text) }

// maxWarnings is how many warnings a group keeps: the first ones.
const maxWarnings = 64

// Warnings are the first 64 warnings so far. Any thread.
func (g *Group) Warnings() []Warning {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Warning(nil), g.warnings...)
}

// warn keeps a warning and tells Config.OnWarning. Any thread.
func (g *Group) warn(w Warning) {
	g.mu.Lock()
	if len(g.warnings) < maxWarnings {
		g.warnings = append(g.warnings, w)
	}
	g.mu.Unlock()
	if fn := g.cfg.OnWarning; fn != nil {
		fn(w)
	}
}

// portName is the name of port i for messages.
func (g *Group) portName(i int) string {
	return fmt.Sprintf("port %d (%s)", i, g.port(i).info.Name)
}
