package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/bench/peers/report"
)

// options are the command line.
type options struct {
	runs     int
	time     time.Duration
	short    bool
	quiet    bool
	json     string
	docs     string
	works    string
	coreList string
	profiles string
}

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == trialCommand {
		err = serveTrial(os.Args[2:], os.Stdout)
	} else {
		err = run(os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string, errs io.Writer) (o options, err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.runs, "runs", 5, "runs of each trial; the table has their medians")
	f.DurationVar(&o.time, "time", time.Second, "how long a trial measures")
	f.BoolVar(&o.short, "short", false, "one run of 200 ms each: shows that everything works, measures nothing")
	f.BoolVar(&o.quiet, "quiet", false, "no line for each trial on standard error")
	f.StringVar(&o.json, "json", "", "`file` to write the figures to, as an array")
	f.StringVar(&o.docs, "docs", "", "`folder` whose performance.md gets the table, and performance.svg the chart")
	f.StringVar(&o.works, "works", "", "only works whose NAME/CONNECTIONS matches this `pattern`")
	f.StringVar(&o.coreList, "cores", "", "`list` of cores (default: all allowed)")
	f.StringVar(&o.profiles, "profiles", "", "`folder` to write a CPU profile of each trial to")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments %q", f.Args())
	}
	if o.runs < 1 || o.time <= 0 {
		return o, errors.New("-runs and -time must be positive")
	}
	return o, nil
}

// cores are those that trials may use; the calling thread, from which their
// processes inherit it, keeps to them from now on.
func (o *options) cores() (affinity.Set, error) {
	set, err := affinity.Allowed()
	if o.coreList != "" {
		set, err = affinity.ParseList(o.coreList)
	}
	if err != nil {
		return set, err
	}
	runtime.LockOSThread()
	return set, affinity.Apply(set)
}

func (o *options) plan(errs io.Writer) (*plan, error) {
	set, err := o.cores()
	if err != nil {
		return nil, err
	}
	if o.profiles != "" {
		if err := os.Setenv(profileEnv, o.profiles); err != nil {
			return nil, err
		}
	}
	p := &plan{runs: o.runs, time: o.time, warm: 200 * time.Millisecond, cores: set.Cores(), log: errs, trial: trial}
	if o.short {
		p.runs, p.time, p.warm = 1, 200*time.Millisecond, 20*time.Millisecond
	}
	if o.quiet {
		p.log = io.Discard
	}
	return p, nil
}

// run measures all rows and reports them. Trials that failed are told at the
// end, after what the others gave.
func run(args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(o.works)
	if err != nil {
		return err
	}
	p, err := o.plan(errs)
	if err != nil {
		return err
	}
	t := report.Table{
		Machine: report.Machine(len(p.cores)),
		How:     fmt.Sprintf("medians of %d, %v a trial, %s", p.runs, p.time, time.Now().UTC().Format(time.DateOnly)),
	}
	var chosen []aCase
	for _, c := range cases() {
		if pattern.MatchString(fmt.Sprintf("%s/%d", c.name, c.spec.Conns)) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no work matches %q", o.works)
	}
	rows, failed := p.measure(chosen)
	t.Rows = rows
	fmt.Fprint(out, t.Text())
	return errors.Join(failed, write(&t, &o))
}

// write stores what the command line asks for.
func write(t *report.Table, o *options) error {
	if o.json != "" {
		b, err := t.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, b, 0o644); err != nil {
			return err
		}
	}
	if o.docs == "" {
		return nil
	}
	if o.short || strings.TrimSpace(o.works) != "" {
		return errors.New("-docs wants all works, measured: neither -short nor -works")
	}
	if err := os.WriteFile(filepath.Join(o.docs, "performance.svg"), t.SVG(), 0o644); err != nil {
		return err
	}
	return report.UpdateFile(filepath.Join(o.docs, "performance.md"), t.Markdown())
}
