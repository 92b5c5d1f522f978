//go:build race || pbufdebug

package shard

const instrumented = true
