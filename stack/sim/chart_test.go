//go:build amd64 && !pbufdebug

package sim

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// The chart of the table: a group of bars a loss, a bar a controller, as long as
// the goodput; a stroke where the response function of loss-based control is.
const (
	chartWidth  = 860
	chartLabel  = 110
	chartRight  = 60
	chartBar    = 13
	chartGap    = 14
	chartTop    = 72
	chartBottom = 30
	chartMost   = 100 // Mbit/s at the right end
)

var chartClass = map[string]string{"reno": "c", "cubic": "a", "bbr": "b", "dctcp": "d"}

// chartStyle has a set of colours for light pages and one for dark ones, those of
// docs/performance.svg.
const chartStyle = `<style>
text{font:12px system-ui,sans-serif;fill:#222}
.s{font-size:10px;fill:#555}.h{font-size:15px;font-weight:600}
.g{stroke:#ddd}.o{stroke:#222}.m{stroke:#c53030;stroke-width:2}
.a{fill:#2b6cb0}.b{fill:#b7791f}.c{fill:#2f855a}.d{fill:#97266d}
@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#aaa}.g{stroke:#444}.o{stroke:#eee}.m{stroke:#fc8181}
.a{fill:#63b3ed}.b{fill:#f6ad55}.c{fill:#68d391}.d{fill:#ed64a6}}
</style>
`

type chartWriter struct{ bytes.Buffer }

func (w *chartWriter) text(x, y float64, class, s string) {
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" class="%s">`, x, y, class)
	_ = xml.EscapeText(w, []byte(s)) // a bytes.Buffer takes all
	w.WriteString("</text>\n")
}

func (w *chartWriter) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(w, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (w *chartWriter) bar(x, y, width, height float64, class string) {
	fmt.Fprintf(w, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`+"\n", x, y, width, height, class)
}

// chartX is where a goodput lies.
func chartX(mbps float64) float64 {
	return chartLabel + (chartWidth-chartLabel-chartRight)*mbps/chartMost
}

// chart is the SVG.
func chart(cells []cell) []byte {
	var w chartWriter
	group := len(tableControl)*chartBar + chartGap
	bottom := float64(chartTop + len(tableLosses)*group)
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" role="img" aria-label="Goodput of ten flows over a link that loses frames, by congestion control">`+"\n%s", chartWidth, bottom+chartBottom, chartStyle)
	w.text(10, 22, "h", "Goodput of ten flows over a link that loses frames")
	w.text(10, 40, "s", fmt.Sprintf("Mbit/s of data; bottleneck %.0f Mbit/s, RTT %v, RED queue of two round trips; simulated (testdata/goodput.txt)", tableRate/1e6, tableRTT))
	x := float64(chartLabel)
	for _, c := range tableControl {
		w.bar(x, 50, 10, 10, chartClass[c])
		w.text(x+14, 59, "s", c)
		x += 90
	}
	w.line(x+5, 50, x+5, 60, "m")
	w.text(x+14, 59, "s", "response function (Mathis; RFC 9438 5.1)")
	for v := 0; v <= chartMost; v += 20 {
		class := "g"
		if v == 0 {
			class = "o"
		}
		w.line(chartX(float64(v)), chartTop, chartX(float64(v)), bottom, class)
		w.text(chartX(float64(v))-6, bottom+14, "s", fmt.Sprint(v))
	}
	for j, loss := range tableLosses {
		top := float64(chartTop + j*group + chartGap/2)
		w.text(10, top+float64(group-chartGap)/2+4, "", fmt.Sprintf("%.1f %% loss", loss*100))
		for i := range tableControl {
			c := cells[i*len(tableLosses)+j]
			y := top + float64(i*chartBar)
			w.bar(chartX(0), y, chartX(c.goodput)-chartX(0), chartBar-1, chartClass[c.control])
			if c.model != 0 {
				w.line(chartX(c.model), y, chartX(c.model), y+chartBar-1, "m")
			}
			w.text(max(chartX(c.goodput), chartX(c.model))+5, y+chartBar-3, "s", fmt.Sprintf("%.1f", c.goodput))
		}
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}
