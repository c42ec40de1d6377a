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
		{"ratio met", row{What: "start", Berth: samples{110, 100, 120}, Peer: samples{100, 100, 101}, Ratio: 1.1},
			"start | 110 ms | 100 ms | 1.1 | <= 1.10 | yes | 3 | 100-120 | 100-101"},
		{"ratio not met", row{What: "start", Berth: samples{12}, Peer: samples{10}, Ratio: 1.1},
			"start | 12.0 ms | 10.0 ms | 1.2 | <= 1.10 | no | 1 | 12.0-12.0 | 10.0-10.0"},
		{"much faster", row{What: "create", Berth: samples{300}, Peer: samples{3000}, Ratio: 0.125},
			"create | 300 ms | 3000 ms | 0.1 | <= 0.125 (8 times faster) | yes | 1 | 300-300 | 3000-3000"},
		{"absolute", row{What: "ls", Berth: samples{9.5}, Absolute: 10},
			"ls | 9.50 ms |  |  | <= 10.0 ms | yes | 1 | 9.50-9.50 | "},
		{"absolute not met, though below the peer", row{What: "memory", Unit: "MB", Berth: samples{5}, Peer: samples{9}, Absolute: 4},
			"memory | 5.00 MB | 9.00 MB | 0.556 | <= 4.00 MB | no | 1 | 5.00-5.00 | 9.00-9.00"},
		{"nothing, and there is nothing", row{What: "processes", Unit: "processes", Berth: samples{0, 0}, Nothing: true},
			"processes | 0.00 processes |  |  | none | yes | 2 | 0.00-0.00 | "},
		{"nothing, but there is something", row{What: "processes", Unit: "processes", Berth: samples{1}, Peer: samples{2}, Nothing: true},
			"processes | 1.00 processes | 2.00 processes | 0.5 | none | no | 1 | 1.00-1.00 | 2.00-2.00"},
		{"without a target", row{What: "ls", Berth: samples{1, 2}},
			"ls | 1.50 ms |  |  |  |  | 2 | 1.00-2.00 | "},
		{"quoted", row{What: "exec", Berth: samples{4}, Peer: samples{29}, Quoted: "not measured", Ratio: 1},
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
		Facts:  []fact{{"kernel", "6.1"}},
		Rows:   []row{{What: "a", Berth: samples{1}, Notes: []string{"same"}}, {What: "b", Berth: samples{2}, Notes: []string{"same", "other"}}},
		Failed: []string{"fleet"},
	}.markdown(&b)
	for _, want := range []string{"- kernel: 6.1\n", "| a | 1.00 ms |", "| b | 2.00 ms |", "| fleet: could not be measured |", "\n- same\n- other\n"} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("the table does not have %q once:\n%s", want, &b)
		}
	}
}
