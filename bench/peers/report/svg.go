package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// The chart: a group of bars a row of the table, a bar a peer, as long as the
// logarithm of how many times better Self is; bars to the left say worse.
const (
	chartWidth = 860
	labelWidth = 210
	rightRoom  = 70
	barHeight  = 11
	groupGap   = 9
	topRoom    = 64
	bottomRoom = 30

	leastDecades = 1 // left of 1: a tenth is where bars end
)

var barClass = map[string]string{GVisor: "a", Linux: "b", LwIP: "c", RteRing: "d"}

// style has a set of colours for light pages and one for dark ones.
const style = `<style>
text{font:12px system-ui,sans-serif;fill:#222}
.s{font-size:10px;fill:#555}.h{font-size:15px;font-weight:600}
.g{stroke:#ddd}.o{stroke:#222}
.a{fill:#2b6cb0}.b{fill:#b7791f}.c{fill:#2f855a}.d{fill:#97266d}
@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#aaa}.g{stroke:#444}.o{stroke:#eee}
.a{fill:#63b3ed}.b{fill:#f6ad55}.c{fill:#68d391}.d{fill:#ed64a6}}
</style>
`

// SVG is the chart.
func (t *Table) SVG() []byte {
	most := 10.0
	bars := 0
	groups := 0
	for i := range t.Rows {
		n := 0
		for _, p := range peers {
			if x, ok := t.Rows[i].Ratio(Self, p); ok {
				most = max(most, x)
				n++
			}
		}
		if bars += n; n > 0 {
			groups++
		}
	}
	c := chart{decades: math.Ceil(math.Log10(most))}
	height := topRoom + bottomRoom + bars*barHeight + groups*groupGap
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="How many times better shardstack is than each peer">`+"\n%s", chartWidth, height, style)
	c.text(10, 22, "h", "How many times better shardstack is")
	c.text(10, 40, "s", t.Machine+"; "+t.How)
	c.legend()
	c.axis(height - bottomRoom)
	y := topRoom + groupGap/2
	for i := range t.Rows {
		if n := c.group(&t.Rows[i], y); n > 0 {
			y += n*barHeight + groupGap
		}
	}
	c.b.WriteString("</svg>\n")
	return c.b.Bytes()
}

type chart struct {
	b       bytes.Buffer
	decades float64 // right of 1
}

// x is where a ratio lies.
func (c *chart) x(ratio float64) float64 {
	const room = chartWidth - labelWidth - rightRoom
	decade := max(math.Log10(ratio), -leastDecades)
	return labelWidth + room*(decade+leastDecades)/(c.decades+leastDecades)
}

func (c *chart) text(x, y float64, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" class="%s">`, x, y, class)
	_ = xml.EscapeText(&c.b, []byte(s)) // a bytes.Buffer takes all
	c.b.WriteString("</text>\n")
}

func (c *chart) legend() {
	x := float64(labelWidth)
	for _, p := range peers {
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="47" width="10" height="10" class="%s"/>`+"\n", x, barClass[p])
		c.text(x+14, 56, "s", "than "+p)
		x += 110
	}
}

// axis draws a line a decade.
func (c *chart) axis(bottom int) {
	for d := -leastDecades; d <= int(c.decades); d++ {
		class, v := "g", math.Pow10(d)
		if d == 0 {
			class = "o"
		}
		fmt.Fprintf(&c.b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="%s"/>`+"\n", c.x(v), c.x(v), topRoom, bottom, class)
		c.text(c.x(v)-8, float64(bottom+14), "s", fmt.Sprintf("×%g", v))
	}
}

// group draws a row at y and gives how many bars it has.
func (c *chart) group(r *Row, y int) (n int) {
	for _, p := range peers {
		ratio, ok := r.Ratio(Self, p)
		if !ok {
			continue
		}
		x0, x1 := c.x(1), c.x(ratio)
		top := y + n*barHeight
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" class="%s"/>`+"\n", min(x0, x1), top, math.Abs(x1-x0), barHeight-1, barClass[p])
		c.text(max(x0, x1)+4, float64(top+barHeight-2), "s", Number(ratio))
		n++
	}
	if n > 0 {
		label := r.Label()
		if r.Conns > 1 {
			label += fmt.Sprintf(" (%d)", r.Conns)
		}
		c.text(10, float64(y)+float64(n*barHeight)/2+4, "", label)
	}
	return n
}
