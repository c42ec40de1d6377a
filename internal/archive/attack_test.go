package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	deep := strings.Repeat("d/", 257)
	owner := func(uid int) entry { e := file("f", ""); e.Uid = uid; return e }
	for name, tc := range map[string]struct {
		entries []entry
		want    string
		is      error
	}{
		"dotdot":              {[]entry{file("../canary/file", "x")}, `entry 1 "../canary/file": name leads out of the directory`, ErrEscapes},
		"dotdot inside":       {[]entry{file("a/../b", "x")}, `entry 1 "a/../b": name leads out of the directory`, ErrEscapes},
		"dotdot directory":    {[]entry{dir("a/.."), file("b", "x")}, `entry 1 "a/..": name leads out of the directory`, ErrEscapes},
		"absolute":            {[]entry{file("/tmp/x", "x")}, `entry 1 "/tmp/x": absolute name leads out of the directory`, ErrEscapes},
		"double slash":        {[]entry{file("//tmp/x", "x")}, `entry 1 "//tmp/x": absolute name leads out of the directory`, ErrEscapes},
		"empty":               {[]entry{file("", "x")}, `entry 1 "": name is empty`, nil},
		"long component":      {[]entry{file(long, "x")}, `: a part of the name has 256 bytes, at most 255 are allowed`, nil},
		"long name":           {[]entry{file(strings.Repeat("abcdefghi/", 410)+"x", "x")}, `: name has 4101 bytes, at most 4095 are allowed`, nil},
		"deep":                {[]entry{dir(deep)}, `: more than 256 directories deep`, nil},
		"deep by links":       {deepByLinks(), `: more than 256 directories deep`, nil},
		"file is the top":     {[]entry{file("./.", "x")}, `entry 1 "./.": the top of the archive is not a directory`, nil},
		"link is the top":     {[]entry{symlink(".", "../canary")}, `entry 1 ".": the top of the archive is not a directory`, nil},
		"through absolute":    {[]entry{symlink("l", "/tmp"), file("l/x", "x")}, `entry 2 "l/x": parent "l" is a link to "/tmp", which leads out of the directory`, ErrEscapes},
		"through relative":    {[]entry{symlink("l", "../canary"), file("l/file", "x")}, `entry 2 "l/file": parent "l" is a link to "../canary", which leads out of the directory`, ErrEscapes},
		"through chain":       {[]entry{dir("a"), symlink("a/l", ".."), symlink("m", "a/l/../canary"), file("m/file", "x")}, `entry 4 "m/file": parent "m" is a link to "a/l/../canary", which leads out of the directory`, ErrEscapes},
		"through self":        {[]entry{symlink("l", "l"), file("l/file", "x")}, `entry 2 "l/file": parent "l" is a link to "l", which leads out of the directory`, ErrEscapes},
		"through dangling":    {[]entry{symlink("l", "gone"), file("l/file", "x")}, `entry 2 "l/file": parent "l" is a link to "gone", which is not a directory of the archive`, nil},
		"directory through":   {[]entry{symlink("l", "../canary"), dir("l/new")}, `entry 2 "l/new": parent "l" is a link to "../canary", which leads out of the directory`, ErrEscapes},
		"below a file":        {[]entry{file("f", ""), file("f/x", "x")}, `entry 2 "f/x": parent "f" is not a directory`, nil},
		"hard link out":       {[]entry{hardlink("h", "../canary/file")}, `entry 1 "h": hard link to "../canary/file": name leads out of the directory`, ErrEscapes},
		"hard link absolute":  {[]entry{hardlink("h", "/etc/passwd")}, `entry 1 "h": hard link to "/etc/passwd": absolute name leads out of the directory`, ErrEscapes},
		"hard link through":   {[]entry{symlink("l", "../canary"), hardlink("h", "l/file")}, `entry 2 "h": hard link to "l/file": parent "l" is a link to "../canary", which leads out of the directory`, ErrEscapes},
		"hard link below":     {[]entry{file("f", ""), symlink("l", "../canary"), hardlink("l/h", "f")}, `entry 3 "l/h": parent "l" is a link to "../canary", which leads out of the directory`, ErrEscapes},
		"hard link nowhere":   {[]entry{hardlink("h", "gone")}, `entry 1 "h": hard link to "gone": target is not in the archive before it`, nil},
		"hard link nowhere 2": {[]entry{hardlink("h", "gone/x")}, `entry 1 "h": hard link to "gone/x": target is not in the archive before it`, nil},
		"hard link directory": {[]entry{dir("d"), hardlink("h", "d")}, `entry 2 "h": hard link to "d": target is a directory`, nil},
		"hard link top":       {[]entry{hardlink("h", ".")}, `entry 1 "h": hard link to ".": target is a directory`, nil},
		"hard link itself":    {[]entry{file("h", ""), hardlink("h", "./h")}, `entry 2 "h": hard link to itself`, nil},
		"unknown type":        {[]entry{{Header: tar.Header{Typeflag: 'Z', Name: "z"}}}, `entry 1 "z": entries of type 'Z' are not known`, nil},
		"uid -1":              {[]entry{owner(1<<32 - 1)}, `entry 1 "f": owner 4294967295:0 is outside 0 to 4294967294`, nil},
		"uid negative":        {[]entry{owner(-1)}, `entry 1 "f": owner -1:0 is outside 0 to 4294967294`, nil},
		"uid beyond":          {[]entry{owner(1 << 32)}, `entry 1 "f": owner 4294967296:0 is outside 0 to 4294967294`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			_, err := Extract(t.Context(), bytes.NewReader(stream(t, tc.entries...)), s.root, Options{})
			s.check(t)
			if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
		})
	}
}

// deepByLinks makes directories that are deeper than their names say.
func deepByLinks() []entry {
	half := strings.TrimSuffix(strings.Repeat("d/", 200), "/")
	return []entry{dir(half), symlink("l", half), dir("l/" + half)}
}

// What is planted first must not be written through later.
func TestExtractReplaces(t *testing.T) {
	t.Parallel()
	fifo := link(tar.TypeFifo, "x", "")
	for name, tc := range map[string]struct {
		entries []entry
		check   func(t *testing.T, s *sandbox)
	}{
		"file over link":           {[]entry{symlink("x", "../canary/file"), file("x", "new")}, isFile},
		"file over absolute link":  {[]entry{symlink("x", "/dev/null"), file("x", "new")}, isFile},
		"file over file":           {[]entry{file("x", "older and longer"), file("x", "new")}, isFile},
		"file over fifo":           {[]entry{fifo, file("x", "new")}, isFile},
		"file over tree":           {[]entry{file("x/y/z", "old"), file("x", "new")}, isFile},
		"file over tree with link": {[]entry{symlink("x/l", "../../canary"), file("x", "new")}, isFile},
		"fifo over link":           {[]entry{symlink("x", "../canary/file"), fifo, file("x", "new")}, isFile},
		"link over file":           {[]entry{file("x", "old"), symlink("x", "y"), file("y", "new")}, isFile},
		"hard link over link":      {[]entry{file("f", "new"), symlink("x", "../canary/file"), hardlink("x", "f")}, isFile},
		"directory over link":      {[]entry{symlink("d", "../canary"), dir("d"), file("d/file", "new"), hardlink("x", "d/file")}, isFile},
		"link over directory":      {[]entry{file("d/file", ""), symlink("d", "e"), file("e/x", "new"), hardlink("x", "d/x")}, isFile},
		"file over file behind a hard link": {[]entry{file("y", "kept"), hardlink("x", "y"), file("x", "new")}, func(t *testing.T, s *sandbox) {
			isFile(t, s)
			if got := s.read(t, "y"); got != "kept" {
				t.Errorf("the other name has %q", got)
			}
		}},
		"directory over directory": {[]entry{dir("d"), file("d/x", "new"), dir("d"), hardlink("x", "d/x")}, isFile},
		"through a link inside":    {[]entry{dir("usr/bin"), symlink("bin", "usr/bin"), file("bin/x", "new"), hardlink("x", "usr/bin/x")}, isFile},
		"hard link to a link":      {[]entry{symlink("l", "../canary/file"), hardlink("x", "l"), file("x", "new")}, isFile},
		"stale parent":             {[]entry{dir("d/e"), file("d/e/f", ""), symlink("d/l", ".."), file("d/l/d", "now a file"), file("x", "new")}, isFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			_, err := Extract(t.Context(), bytes.NewReader(stream(t, tc.entries...)), s.root, Options{})
			s.check(t)
			must(t, err)
			tc.check(t, s)
		})
	}
}

func isFile(t *testing.T, s *sandbox) {
	t.Helper()
	if got := s.read(t, "x"); got != "new" {
		t.Errorf("x has %q", got)
	}
}

func TestExtractDamaged(t *testing.T) {
	t.Parallel()
	good := stream(t, dir("d"), file("d/f", strings.Repeat("x", 1000)))
	for name, tc := range map[string]struct {
		data []byte
		want string
		is   error
	}{
		"empty":          {nil, "not a tar archive: it is empty", ErrFormat},
		"text":           {bytes.Repeat([]byte("hello world "), 100), "not a tar archive", ErrFormat},
		"short text":     {[]byte("hello"), "entry 1: header is cut short: unexpected EOF", ErrTruncated},
		"in a header":    {good[:700], "entry 2: header is cut short: unexpected EOF", ErrTruncated},
		"in content":     {good[:1500], `entry 2 "d/f": content of 1000 bytes is cut short: unexpected EOF`, ErrTruncated},
		"in padding":     {good[:2040], "entry 3: no end marker: archive is cut short: unexpected EOF", ErrTruncated},
		"between":        {good[:512], "entry 2: no end marker: archive is cut short: unexpected EOF", ErrTruncated},
		"before the end": {good[:2048], "entry 3: no end marker: archive is cut short: unexpected EOF", ErrTruncated},
		"damaged":        {append(good[:2048:2048], bytes.Repeat([]byte("x"), 1024)...), "entry 3: header is damaged", nil},
		"two archives":   {append(good[:len(good):len(good)], good...), "the archive goes on after its end marker; several archives in one file are not read", nil},
		"one zero block": {good[:2048+512], "", nil},
		"more zeros":     {append(good[:len(good):len(good)], make([]byte, 10240)...), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			_, err := Extract(t.Context(), bytes.NewReader(tc.data), s.root, Options{})
			s.check(t)
			switch {
			case tc.want == "":
				must(t, err)
			case err == nil || err.Error() != tc.want:
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			case tc.is != nil && !errors.Is(err, tc.is):
				t.Errorf("%v is not %v", err, tc.is)
			case tc.is == ErrTruncated && !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("%v is not %v", err, io.ErrUnexpectedEOF)
			}
		})
	}
}
