package test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// joints says which packages of this module each one may import. What is not
// listed may import none.
var joints = map[string][]string{
	"p9mapfs/cmd/p9mapfs": {"p9mapfs/fusefs", "p9mapfs/p9client", "p9mapfs/pagecache", "p9mapfs/writeback", "p9mapfs/errors", "p9mapfs/export", "p9mapfs/rescue"},
	"p9mapfs/fusefs":      {"p9mapfs/pagecache", "p9mapfs/writeback", "p9mapfs/p9client", "p9mapfs/errors"},
	"p9mapfs/writeback":   {"p9mapfs/errors"},
}

const goFUSE = "github.com/hanwen/go-fuse/"

type listedPackage struct {
	ImportPath, Dir                    string
	Imports                            []string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

// ours lists the packages of this module.
func ours(t *testing.T) (l []listedPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "p9mapfs/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		switch err := d.Decode(&p); err {
		case nil:
			l = append(l, p)
		case io.EOF:
			return l
		default:
			t.Fatal(err)
		}
	}
}

func TestImportsFormTheDAGOfTheDesign(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range ours(t) {
		seen[p.ImportPath] = true
		if strings.HasPrefix(p.ImportPath, "p9mapfs/test") {
			continue // what tests is above everything
		}
		for _, i := range p.Imports {
			switch {
			case i == "p9mapfs" || strings.HasPrefix(i, "p9mapfs/"):
				if !slices.Contains(joints[p.ImportPath], i) {
					t.Errorf("%s imports %s", p.ImportPath, i)
				}
			case strings.HasPrefix(i, goFUSE) && p.ImportPath != "p9mapfs/fusefs":
				t.Errorf("%s imports %s, which is for fusefs", p.ImportPath, i)
			case i == "testing":
				t.Errorf("%s imports %s outside of its tests", p.ImportPath, i)
			}
		}
	}
	for _, want := range []string{"cmd/p9mapfs", "fusefs", "pagecache", "writeback", "p9client", "errors", "export", "rescue"} {
		if !seen["p9mapfs/"+want] {
			t.Errorf("there is no package p9mapfs/%s; was it renamed?", want)
		}
	}
}

// The fault proxy would hide a mistake of the client if they shared code.
func TestImportsTheFaultProxySharesNoCode(t *testing.T) {
	for _, p := range ours(t) {
		if !strings.HasPrefix(p.ImportPath, "p9mapfs/test/faultproxy") {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, ".") || strings.HasPrefix(i, "p9mapfs/") && !strings.HasPrefix(i, "p9mapfs/test/faultproxy") {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
}

func TestImportsOfTheJournalSayItsName(t *testing.T) {
	found := 0
	for _, p := range ours(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, name)
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, i := range f.Imports {
				if i.Path.Value != `"p9mapfs/errors"` {
					continue
				}
				found++
				if i.Name == nil || i.Name.Name != "errjournal" {
					t.Errorf("%s: import it as errjournal %s", path, i.Path.Value)
				}
			}
		}
	}
	if found == 0 {
		t.Error("nobody imports p9mapfs/errors: this test looks at nothing")
	}
}
