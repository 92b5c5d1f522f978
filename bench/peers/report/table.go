// Package report turns figures into a table of text or Markdown, an array in
// JSON, and a chart in SVG.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Names of the systems, as tables show them.
const (
	GVisor  = "gVisor"
	Linux   = "Linux"
	LwIP    = "lwIP"
	RteRing = "rte_ring"
	Self    = "shardstack"
	SelfOne = "shardstack-1core"
)

// columns are the systems in the order of the table; peers those that Self is
// compared to.
var (
	columns = []string{GVisor, Linux, LwIP, RteRing, SelfOne, Self}
	peers   = []string{GVisor, Linux, LwIP, RteRing}
)

// Cell is what a system did.
type Cell struct {
	Median, Min, Max float64
	Why              string // there is no figure; "" if there is one
}

// Row is a work.
type Row struct {
	Work    string
	Conns   int
	MTU     int // 0: no packets
	Offload bool
	Unit    string
	Lower   bool            // less is better
	Cells   map[string]Cell // by system; those that are missing weren't asked
}

// Table is all that a run measured.
type Table struct {
	Machine string
	How     string
	Rows    []Row
}

// Ratio is how many times better a system is than a peer.
func (r *Row) Ratio(system, peer string) (float64, bool) {
	a, ok := r.Cells[system]
	b, ok2 := r.Cells[peer]
	if !ok || !ok2 || a.Why != "" || b.Why != "" || a.Median <= 0 || b.Median <= 0 {
		return 0, false
	}
	if r.Lower {
		return b.Median / a.Median, true
	}
	return a.Median / b.Median, true
}

// Label names the row.
func (r *Row) Label() string {
	s := r.Work
	if r.Work == "bulk" || r.Work == "bulk-gso" || r.Work == "net-bulk" {
		if r.Offload {
			s += ", offload"
		} else {
			s += fmt.Sprintf(", MTU %d", r.MTU)
		}
	}
	return s
}

// Number writes three significant digits, with k or M.
func Number(v float64) string {
	suffix := ""
	switch a := math.Abs(v); {
	case a >= 999.5e3:
		v, suffix = v/1e6, "M"
	case a >= 9995:
		v, suffix = v/1e3, "k"
	}
	digits := 0
	switch a := math.Abs(v); {
	case a < 9.995:
		digits = 2
	case a < 99.95:
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, v, suffix)
}

// grid is the table as text, headings first, and the reasons why figures are
// missing.
func (t *Table) grid() (rows [][]string, notes []string) {
	head := []string{"work", "conns", "unit"}
	head = append(head, columns...)
	for _, p := range peers {
		head = append(head, "×"+p)
	}
	head = append(head, "1 core ×"+LwIP)
	rows = append(rows, head)
	numbers := make(map[string]int)
	for i := range t.Rows {
		r := &t.Rows[i]
		line := []string{r.Label(), fmt.Sprint(r.Conns), r.Unit}
		for _, c := range columns {
			cell, ok := r.Cells[c]
			switch {
			case !ok:
				line = append(line, "")
			case cell.Why != "":
				note := c + ": " + cell.Why
				if numbers[note] == 0 {
					notes = append(notes, note)
					numbers[note] = len(notes)
				}
				line = append(line, fmt.Sprintf("n/a [%d]", numbers[note]))
			default:
				line = append(line, Number(cell.Median))
			}
		}
		for _, p := range peers {
			line = append(line, r.times(Self, p))
		}
		rows = append(rows, append(line, r.times(SelfOne, LwIP)))
	}
	return rows, notes
}

func (r *Row) times(system, peer string) string {
	x, ok := r.Ratio(system, peer)
	if !ok {
		return ""
	}
	return Number(x)
}

// Text is the table for a terminal.
func (t *Table) Text() string {
	rows, notes := t.grid()
	width := make([]int, len(rows[0]))
	for _, line := range rows {
		for i, s := range line {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", t.Machine, t.How)
	for _, line := range rows {
		var l strings.Builder
		for i, s := range line {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if i == 0 || i == 2 { // words to the left, numbers to the right
				l.WriteString(s + pad + "  ")
			} else {
				l.WriteString(pad + s + "  ")
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	b.WriteString("\n× is how many times better shardstack is.\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "[%d] %s\n", i+1, n)
	}
	return b.String()
}

// Markdown is the table with the chart above it.
func (t *Table) Markdown() string {
	rows, notes := t.grid()
	var b strings.Builder
	fmt.Fprintf(&b, "`make peers`, %s. %s.\n\n![How many times faster than each peer](performance.svg)\n\n", t.How, t.Machine)
	for i, line := range rows {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---|--:|---|" + strings.Repeat("--:|", len(line)-3) + "\n")
		}
	}
	b.WriteString("\n× is how many times better shardstack is.\n")
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	for i, n := range notes {
		fmt.Fprintf(&b, "- [%d] %s\n", i+1, n)
	}
	return b.String()
}

// figure is an element of the JSON array.
type figure struct {
	Work    string  `json:"work"`
	Conns   int     `json:"conns"`
	MTU     int     `json:"mtu"`
	Offload bool    `json:"offload"`
	System  string  `json:"system"`
	Unit    string  `json:"unit"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
}

// JSON is an array of all figures; those that are missing are left out.
func (t *Table) JSON() ([]byte, error) {
	list := []figure{}
	for _, r := range t.Rows {
		for _, c := range columns {
			cell, ok := r.Cells[c]
			if !ok || cell.Why != "" {
				continue
			}
			list = append(list, figure{r.Work, r.Conns, r.MTU, r.Offload, c, r.Unit, cell.Median, cell.Min, cell.Max})
		}
	}
	b, err := json.MarshalIndent(list, "", "  ")
	return append(b, '\n'), err
}
