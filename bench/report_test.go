package main

import (
	"strings"
	"testing"
)

func TestRow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		row  row
		want string
	}{
		{"ratio met", row{what: "start", berth: samples{110, 100, 120}, peer: samples{100, 100, 101}, ratio: 1.1},
			"start | 110 ms | 100 ms | 1.1 | <= 1.10 | yes | 3 | 100-120 | 100-101"},
		{"ratio not met", row{what: "start", berth: samples{12}, peer: samples{10}, ratio: 1.1},
			"start | 12.0 ms | 10.0 ms | 1.2 | <= 1.10 | no | 1 | 12.0-12.0 | 10.0-10.0"},
		{"much faster", row{what: "create", berth: samples{300}, peer: samples{3000}, ratio: 0.125},
			"create | 300 ms | 3000 ms | 0.1 | <= 0.125 (8 times faster) | yes | 1 | 300-300 | 3000-3000"},
		{"absolute", row{what: "ls", berth: samples{9.5}, absolute: 10},
			"ls | 9.50 ms |  |  | <= 10.0 ms | yes | 1 | 9.50-9.50 | "},
		{"absolute not met, though below the peer", row{what: "memory", unit: "MB", berth: samples{5}, peer: samples{9}, absolute: 4},
			"memory | 5.00 MB | 9.00 MB | 0.556 | <= 4.00 MB | no | 1 | 5.00-5.00 | 9.00-9.00"},
		{"without a target", row{what: "ls", berth: samples{1, 2}},
			"ls | 1.50 ms |  |  |  |  | 2 | 1.00-2.00 | "},
		{"quoted", row{what: "exec", berth: samples{4}, peer: samples{29}, quoted: "not measured", ratio: 1},
			"exec | 4.00 ms | 29.0 ms (quoted) | 0.138 | <= 1.00 | yes | 1 | 4.00-4.00 | not measured"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(test.row.cells(), " | "); got != test.want {
				t.Errorf("row\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	table{
		facts:  []fact{{"kernel", "6.1"}},
		rows:   []row{{what: "a", berth: samples{1}, notes: []string{"same"}}, {what: "b", berth: samples{2}, notes: []string{"same", "other"}}},
		failed: []string{"fleet"},
	}.markdown(&b)
	for _, want := range []string{"- kernel: 6.1\n", "| a | 1.00 ms |", "| b | 2.00 ms |", "| fleet: could not be measured |", "\n- same\n- other\n"} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("the table does not have %q once:\n%s", want, &b)
		}
	}
}
