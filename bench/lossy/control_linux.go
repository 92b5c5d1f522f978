package main

import (
	"fmt"

	"github.com/shardstack/shardstack/stack"
)

// setControl chooses the congestion control of our stack by the kernel's name.
func setControl(cfg *stack.Config, name string) error {
	if name != "reno" {
		return fmt.Errorf("lossy: %q is none of the stack's controllers", name)
	}
	_ = cfg
	return nil
}
