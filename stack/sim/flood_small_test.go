//go:build !amd64 || pbufdebug

package sim

// floodSYNs is how many SYNs TestSYNFlood sends: fewer where every instruction
// is emulated, or every buffer is checked.
const floodSYNs = 50_000
