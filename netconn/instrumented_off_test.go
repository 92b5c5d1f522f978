//go:build !race && !pbufdebug

package netconn_test

const instrumented = false
