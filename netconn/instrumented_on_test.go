//go:build race || pbufdebug

package netconn_test

// instrumented: the build adds allocations of its own.
const instrumented = true
