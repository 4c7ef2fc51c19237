//go:build matrix

package matrix

import (
	"cmp"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// rowsAtOnce is how many mounts there are at a time: they mostly wait.
const rowsAtOnce = "32"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", rowsAtOnce); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// cases are the cells that are tested.
func cases() (l []cell) {
	for _, c := range product() {
		if c.omitted() == "" {
			l = append(l, c)
		}
	}
	return l
}

func TestEveryCellIsACaseOrHasAReason(t *testing.T) {
	reasons := map[string][]cell{}
	sentences := map[string]bool{}
	different := map[string]bool{} // with one errno for all
	total := len(product())
	for _, c := range product() {
		why := c.omitted()
		if why != "" {
			reasons[why] = append(reasons[why], c)
			continue
		}
		if sentences[c.String()] {
			t.Errorf("twice: %v", c)
		}
		sentences[c.String()] = true
		if errnos[c.fault] != 0 {
			c.fault = "refused"
		}
		different[c.String()] = true
	}
	t.Logf("%d cells, %d cases (%d with all errnos counted as one), %d omitted", total, len(sentences), len(different), total-len(sentences))
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%d omitted: %s", len(reasons[why]), why)
		for _, c := range reasons[why] {
			t.Logf("    %v", c)
		}
	}
	if len(different) < 500 {
		t.Errorf("%d different cases only", len(different))
	}
}

func TestFaultMatrix(t *testing.T) {
	rows := map[string][]cell{}
	var order []string
	for _, c := range cases() {
		if rows[c.row()] == nil {
			order = append(order, c.row())
		}
		rows[c.row()] = append(rows[c.row()], c)
	}
	slices.SortStableFunc(order, func(a, b string) int { // they would run alone at the end
		return cmp.Compare(strings.Count(b, "slow"), strings.Count(a, "slow"))
	})
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, rows[name][0])
			for i, c := range rows[name] {
				t.Run(c.name(), func(t *testing.T) { row.test(t, c, i) })
			}
		})
	}
}
