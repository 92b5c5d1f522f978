//go:build pbufdebug

package stack

// bufferChecks: the buffers' own checks are on, which allocate.
const bufferChecks = true
