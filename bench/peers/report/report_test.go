package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func table() *Table {
	return &Table{Machine: "a <machine>", How: "medians of 5", Rows: []Row{
		{Work: "bulk", Conns: 16, MTU: 1500, Unit: "Gbit/s", Cells: map[string]Cell{
			GVisor: {Median: 2, Min: 1, Max: 3}, LwIP: {Why: "it has none"}, SelfOne: {Median: 10}, Self: {Median: 50, Min: 40, Max: 60},
		}},
		{Work: "idle", Conns: 10000, Unit: "bytes", Lower: true, Cells: map[string]Cell{
			GVisor: {Median: 5000}, LwIP: {Why: "it has none"}, Self: {Median: 500},
		}},
	}}
}

func TestRatioIsHowManyTimesBetter(t *testing.T) {
	rows := table().Rows
	x, ok := rows[0].Ratio(Self, GVisor)
	require.True(t, ok)
	require.Equal(t, 25.0, x)
	x, ok = rows[1].Ratio(Self, GVisor)
	require.True(t, ok)
	require.Equal(t, 10.0, x, "where less is better")
	_, ok = rows[0].Ratio(Self, LwIP)
	require.False(t, ok)
	_, ok = rows[0].Ratio(Self, Linux)
	require.False(t, ok)
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 1.234: "1.23", 9.996: "10.0", 12.34: "12.3", 99.96: "100", 548.2: "548", 9994: "9994",
		9996: "10.0k", 123456: "123k", 999499: "999k", 999600: "1.00M", 2536919: "2.54M",
	} {
		require.Equal(t, want, Number(v))
	}
}

func TestTextAndMarkdown(t *testing.T) {
	for _, s := range []string{table().Text(), table().Markdown()} {
		require.Contains(t, s, "bulk, MTU 1500")
		require.Contains(t, s, "25.0")
		require.Contains(t, s, "[1] lwIP: it has none")
		require.NotContains(t, s, "[2]", "the same reason has one number")
	}
}

func TestJSONLeavesOutWhatIsMissing(t *testing.T) {
	b, err := table().JSON()
	require.NoError(t, err)
	var list []figure
	require.NoError(t, json.Unmarshal(b, &list))
	require.Len(t, list, 5)
	require.Equal(t, figure{"bulk", 16, 1500, false, GVisor, "Gbit/s", 2, 1, 3}, list[0])
	b, err = (&Table{}).JSON()
	require.NoError(t, err)
	require.Equal(t, "[]\n", string(b), "an array, not null")
}

func TestSVGIsWellFormed(t *testing.T) {
	svg := table().SVG()
	require.Contains(t, string(svg), "a &lt;machine&gt;")
	for _, tick := range []string{">×0.1<", ">×1<", ">×10<", ">×100<"} {
		require.Contains(t, string(svg), tick)
	}
	require.Equal(t, 2, bytes.Count(svg, []byte(`height="10" class="a"/>`))-1, "a bar a ratio, and the legend's")
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func TestUpdateKeepsWhatIsAround(t *testing.T) {
	path := t.TempDir() + "/performance.md"
	require.NoError(t, UpdateFile(path, "one\n"), "there is no file yet")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	s := "before\n" + string(b) + "after\n"
	require.NoError(t, os.WriteFile(path, []byte(s), 0o600))
	require.NoError(t, UpdateFile(path, "two\n"))
	b, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "before\n# Performance\n\n"+beginMark+"\ntwo\n"+endMark+"\nafter\n", string(b))
	for _, bad := range []string{"", beginMark, endMark} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		require.Error(t, UpdateFile(path, "three"), bad)
	}
}

func TestMachineNamesCores(t *testing.T) {
	require.Contains(t, Machine(2), "2 cores used")
}
