package matrix

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// rowsAtOnce is how many mounts there are at a time: they mostly wait.
const rowsAtOnce = "12"

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
		if why := c.omitted(); why != "" {
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
	for why, l := range reasons {
		t.Logf("%d omitted: %s", len(l), why)
		for _, c := range l {
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
	// Slow ones first, so that they do not run alone at the end.
	slices.SortStableFunc(order, func(a, b string) int {
		return strings.Index(a+" slow", "slow") - len(a) - (strings.Index(b+" slow", "slow") - len(b))
	})
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, rows[name][0])
			for i, c := range rows[name] {
				t.Run(c.fault, func(t *testing.T) { row.test(t, c, i) })
			}
		})
	}
}
