// Pktscript runs packetdrill scripts on the stack, in simulated time.
//
//	pktscript [flags] FILE…
//
// It prints a line a script, and for each that fails what was expected and what
// was seen. The exit code is 0 if all scripts passed, 1 if the stack did something
// else than a script says, and 2 if a script can't be read or asks for something
// that is not supported. docs/pktscript.md describes the language.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/stack/script"
)

// Exit codes.
const (
	exitPass = iota
	exitMismatch
	exitScript
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// flags are the command line.
type flags struct {
	opt     script.Options
	verbose bool
	quiet   bool
	files   []string
	defines []string
}

// parseFlags reads the command line. done: it was all about help, or wrong.
func parseFlags(args []string, stderr io.Writer) (f flags, code int, done bool) {
	fs := pflag.NewFlagSet("pktscript", pflag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, "usage: pktscript [flags] FILE…\n\nRuns packetdrill scripts on the stack. A folder stands for all *.pkt below it.\n\n")
		fs.PrintDefaults()
		fmt.Fprint(stderr, "\nexit code: 0 passed, 1 not as expected, 2 a script is wrong or asks for what is not supported\n")
	}
	var set []string
	fs.StringArrayVarP(&f.defines, "define", "D", nil, "a symbol NAME=VALUE that scripts may use")
	fs.BoolVar(&f.opt.Strict, "strict", false, "also compare what packetdrill lets pass: TS ecr, packets that nobody expects, exact times")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print every packet, what print() wrote, and warnings")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print failures only")
	fs.StringVar(&f.opt.IPVersion, "ip-version", "", "ipv4, ipv4-mapped-ipv6 or ipv6, for scripts that do not say (default ipv4)")
	fs.StringArrayVarP(&set, "option", "o", nil, "a setting NAME=VALUE, as the lines --NAME=VALUE of scripts")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return f, exitPass, true
		}
		fmt.Fprintf(stderr, "pktscript: %v\n", err)
		return f, exitScript, true
	}
	for _, s := range set {
		name, value, _ := strings.Cut(s, "=")
		f.opt.Options = append(f.opt.Options, script.Option{Name: name, Value: value})
	}
	if f.files = fs.Args(); len(f.files) == 0 {
		fs.Usage()
		return f, exitScript, true
	}
	return f, 0, false
}

func run(args []string, stdout, stderr io.Writer) int {
	f, code, done := parseFlags(args, stderr)
	if done {
		return code
	}
	files, err := expand(f.files)
	if err != nil {
		fmt.Fprintf(stderr, "pktscript: %v\n", err)
		return exitScript
	}
	passed := 0
	for _, file := range files {
		c := runFile(&f, file, stdout)
		if c == exitPass {
			passed++
		}
		code = max(code, c)
	}
	if len(files) > 1 {
		fmt.Fprintf(stdout, "%d of %d scripts passed\n", passed, len(files))
	}
	return code
}

// expand replaces folders by the scripts below them.
func expand(args []string) (files []string, err error) {
	for _, a := range args {
		info, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, a)
			continue
		}
		err = filepath.WalkDir(a, func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(p) == ".pkt" {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// runFile runs one script and reports on it.
func runFile(f *flags, file string, w io.Writer) int {
	src, err := os.ReadFile(file)
	var res *script.Result
	began := time.Now()
	if err == nil {
		var s *script.Script
		if s, err = script.Parse(file, src, f.defines...); err == nil {
			res, err = s.Run(f.opt)
		}
	}
	if f.verbose && res != nil {
		for _, list := range [][]string{res.Trace, res.Output, res.Warnings} {
			for _, line := range list {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
	}
	var e *script.Error
	switch {
	case err == nil:
		if !f.quiet {
			fmt.Fprintf(w, "ok    %s (%v of simulated time in %v)\n", file, time.Duration(res.Elapsed), time.Since(began).Round(100*time.Microsecond))
		}
		return exitPass
	case errors.Is(err, script.ErrMismatch) && errors.As(err, &e):
		fmt.Fprintf(w, "FAIL  %s", e.Diff())
		return exitMismatch
	case errors.Is(err, script.ErrUnsupported):
		fmt.Fprintf(w, "SKIP  %v\n", err)
	default:
		fmt.Fprintf(w, "ERROR %v\n", err)
	}
	return exitScript
}
