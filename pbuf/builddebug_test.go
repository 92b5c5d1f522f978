//go:build pbufdebug

package pbuf_test

const debugBuild = true
