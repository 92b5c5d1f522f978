package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/stack"
)

// flagBits say which flags of its own a command has.
type flagBits uint

const (
	flagTo flagBits = 1 << iota
	flagConns
	flagDuration
	flagSize
	flagRate
	flagCount
	flagPath
	flagEcho
	flagBody
)

// command is a subcommand.
type command struct {
	name     string
	summary  string
	help     string // more, with examples
	flags    flagBits
	defaults defaults
	client   func(s *stack.Stack, cfg load.Config) load.Client // nil: it has none
	run      func(ctx context.Context, c *command, o *options, out *output) error
	units    string // what an operation is, in the plural
	oneShard bool   // works on one shard only
	windows  bool   // connections fill their windows
}

// defaults are those that differ between commands.
type defaults struct {
	device   string
	port     uint16
	echoPort uint16
	conns    int
	duration time.Duration
	size     int64
	sizeHelp string
	rate     float64
}

func (c *command) has(f flagBits) bool { return c.flags&f != 0 }

func findCommand(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

// run is main, for tests: it runs the command line args until it is done or
// ctx is, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		say(stderr, "%s", overview())
		return exitUsage
	}
	name, args := args[0], args[1:]
	if name == "help" || name == "-h" || name == "--help" {
		return help(args, stdout, stderr)
	}
	c := findCommand(name)
	if c == nil {
		say(stderr, "shardgen: no command %q; \"shardgen help\" lists them\n", name)
		return exitUsage
	}
	var o options
	err := o.parse(c, args)
	if err == nil {
		err = profiled(o.profile, func() error { return c.run(ctx, c, &o, &output{stdout, stderr}) })
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, pflag.ErrHelp):
		say(stdout, "%s", c.usage())
		return exitOK
	case errors.Is(err, errUsage):
		say(stderr, "shardgen %s: %s\n\"shardgen help %s\" lists the flags\n", c.name, strings.TrimPrefix(err.Error(), "usage: "), c.name)
		return exitUsage
	}
	say(stderr, "shardgen %s: %v\n", c.name, err)
	return exitFailed
}

// help prints the overview or the flags of a command.
func help(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		say(stdout, "%s", overview())
		return exitOK
	}
	c := findCommand(args[0])
	if c == nil {
		say(stderr, "shardgen: no command %q; \"shardgen help\" lists them\n", args[0])
		return exitUsage
	}
	say(stdout, "%s", c.usage())
	return exitOK
}

// output is where a command prints: the report on standard output, all else on
// standard error.
type output struct{ report, log io.Writer }

// say prints what only people read. Where it can't be printed nobody is there.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
