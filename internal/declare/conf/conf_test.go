package conf

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestParse has what systemd 252 makes of such files.
func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Assignment{
		"":                            nil,
		"\n\n  \n":                    nil,
		"A=1":                         {{"A", "1", 1}},
		"A=1\nB=\n":                   {{"A", "1", 1}, {"B", "", 2}},
		"  A = 1 2  \r\n":             {{"A", "1 2", 1}},
		"# A=1\n; B=2\nC=3\n":         {{"C", "3", 3}},
		"# goes on \\\nA=1\nB=2":      {{"B", "2", 3}},
		"A=1\nA=2\nB=3\nA=":           {{"B", "3", 3}, {"A", "", 4}},
		"no assignment\nA=1":          {{"A", "1", 2}},
		"export A=1\n1A=2\n=3\nA-B=4": nil,
		`A="a b"`:                     {{"A", "a b", 1}},
		`A="a" 'b'c`:                  {{"A", "abc", 1}},
		`A="\"\\\$\n\a"`:              {{"A", `"\$\n\a`, 1}},
		`A='a\b"'`:                    {{"A", `a\b"`, 1}},
		`A=a\ b\\c\ `:                 {{"A", `a b\c `, 1}},
		"A=a\\\nb\nC=d":               {{"A", "ab", 1}, {"C", "d", 3}},
		"A=\"a\nb\"\nC=d":             {{"A", "a\nb", 1}, {"C", "d", 3}},
		"A=\"a\\\nb\"":                {{"A", "ab", 1}},
		`A="open`:                     {{"A", "open", 1}},
		"A=a#b\nB=a=b":                {{"A", "a#b", 1}, {"B", "a=b", 2}},
		"A=$HOME $(id) `id`":          {{"A", "$HOME $(id) `id`", 1}},
		"EXTRA_NSPAWN_FLAGS= --bind=/a:/b  --tmpfs=/c ": {{"EXTRA_NSPAWN_FLAGS", "--bind=/a:/b  --tmpfs=/c", 1}},
	} {
		got, err := Parse([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"A=1\nB=\x00":                        "line 2: the control character U+0000",
		"A=\xff":                             "line 1: the byte 0xff is not UTF-8 text",
		"A=1\n\nB=\x1b[2J":                   "line 3: the control character U+001B",
		strings.Repeat("A=1\n", MaxSize/4+1): "line 1: the file is larger than 1 MiB",
	} {
		_, err := Parse([]byte(text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	all := []Assignment{{Key: "A", Value: ""}, {Key: "B", Value: "10.233.1.1"}, {Key: "C", Value: "/a b#c?d=e"}, {Key: "D", Value: "a\"b\\c$d`e'f"}, {Key: "E", Value: " x "}}
	text, err := Format(all)
	want := "A=\nB=10.233.1.1\nC=\"/a b#c?d=e\"\nD=\"a\\\"b\\\\c\\$d\\`e'f\"\nE=\" x \"\n"
	if err != nil || string(text) != want {
		t.Fatalf("%s, %v", text, err)
	}
	got, err := Parse(text)
	for i := range got {
		got[i].Line = 0
	}
	if err != nil || !reflect.DeepEqual(got, all) {
		t.Errorf("read again: %+v, %v", got, err)
	}
	for _, bad := range []Assignment{{Key: "A", Value: "a\nB=1"}, {Key: "A", Value: "\xff"}, {Key: "A B", Value: ""}, {Key: "", Value: ""}, {Key: "1", Value: ""}} {
		if text, err := Format([]Assignment{bad}); err == nil {
			t.Errorf("%+v: %q", bad, text)
		}
	}
}

func TestIsTrue(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"1": true, "yes": true, "Yes": true, "true": true, "on": true, "0": false, "": false, "no": false, "2": false} {
		if got := IsTrue(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// FuzzParse: what is read can be written, and is the same when read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=1\nB='x'\n", "A=\"\\\"\\", "#\\\nA=b", "A=\\", "A=a \\\n b", "=", "A='"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := Parse(text)
		if err != nil {
			return
		}
		written, err := Format(all)
		if err != nil {
			return // a value of several lines
		}
		again, err := Parse(written)
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q: %v, %v", written, again, err)
		}
		for i := range all {
			if all[i].Key != again[i].Key || all[i].Value != again[i].Value {
				t.Errorf("%+v became %+v", all[i], again[i])
			}
		}
	})
}
