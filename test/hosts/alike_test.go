package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDeal: each test stays with one host, and hosts get as many.
func TestDeal(t *testing.T) {
	t.Parallel()
	tests := []string{"A", "B", "C", "D", "E", "F", "G"}
	for _, hosts := range [][]string{nil, {"x"}, {"x", "y"}, {"x", "y", "z"}} {
		left, has := deal(tests, hosts), map[string][]string{}
		for _, test := range tests {
			for _, h := range hosts {
				if to, ok := left[h][test]; !ok {
					has[h] = append(has[h], test)
				} else if _, ok := left[to][test]; ok || to == "" {
					t.Errorf("%s leaves %s to %q, which has it not", h, test, to)
				}
			}
		}
		if want := map[int]string{0: "map[]", 1: "map[x:[A B C D E F G]]", 2: "map[x:[A C E G] y:[B D F]]", 3: "map[x:[A D G] y:[B E] z:[C F]]"}[len(hosts)]; fmt.Sprint(has) != want {
			t.Errorf("%d hosts have %v, want %s", len(hosts), has, want)
		}
	}
}

// TestAlike: what is shared among hosts is in the suite.
func TestAlike(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var suite strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		suite.Write(b)
	}
	for i, test := range alike {
		name, row, _ := strings.Cut(test, "/")
		if !strings.Contains(suite.String(), "\nfunc "+name+"(t *testing.T)") {
			t.Errorf("the suite has no test %s", test)
		}
		for word := range strings.FieldsFuncSeq(row, func(r rune) bool { return strings.ContainsRune("_,/=", r) }) {
			if !strings.Contains(suite.String(), word) {
				t.Errorf("%s has no row %s: there is no %q", name, row, word)
			}
		}
		if slices.Contains(alike[:i], test) {
			t.Errorf("%s is there twice", test)
		}
	}
}

// TestShare: hosts with managers, and this machine, take no part, and who asks
// for certain tests gets them on every host.
func TestShare(t *testing.T) {
	t.Parallel()
	hosts := []string{thisMachine, "debian12", "debian13", "managers13"}
	b := &workbench{options: options{hosts: hosts}}
	b.share()
	if one, two := b.leaves("debian12"), b.leaves("debian13"); !strings.Contains("|"+one+"|"+two+"|", "|^TestUpdates$/^flake$|") || b.leaves(thisMachine) != "" || b.leaves("managers13") != "" {
		t.Errorf("debian12 leaves %s\ndebian13 %s\nothers %q %q", one, two, b.leaves(thisMachine), b.leaves("managers13"))
	}
	for _, o := range []options{{hosts: hosts, whole: true}, {hosts: hosts, run: "TestUpdates"}, {hosts: hosts, command: []string{"true"}}, {hosts: []string{"sid"}}} {
		b := &workbench{options: o}
		b.share()
		for _, h := range hosts {
			if left := b.leaves(h); left != "" {
				t.Errorf("%+v: %s leaves %s", o, h, left)
			}
		}
	}
}
