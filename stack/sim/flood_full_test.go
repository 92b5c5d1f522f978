//go:build amd64 && !pbufdebug

package sim

// floodSYNs is how many SYNs TestSYNFlood sends.
const floodSYNs = 1_000_000
