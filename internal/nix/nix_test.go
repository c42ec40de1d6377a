package nix

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

const (
	hashA = "00bgd045z0d4icpbc2yyz4gx48ak44la"
	hashB = "7gx4kiv5m0i7d7qkixq2cwzbr10lvxwc"
	sum   = "sha256:0lxjvvpr59c2mdram7ympy5ay741f180kv3349hvfc3f8nrmbqf6"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{hashA + "-a", StoreDir + "/" + hashA + "-net-tools_1.60+x?=.", hashA + "-" + strings.Repeat("n", 211), hashA + "-.."} {
		p, err := ParsePath(ok)
		if want := StoreDir + "/" + strings.TrimPrefix(ok, StoreDir+"/"); err != nil || string(p) != want || p.Hash() != hashA {
			t.Errorf("%s: %q %v", ok, p, err)
		}
	}
	for _, bad := range []string{
		"", "/", StoreDir, StoreDir + "/", hashA, hashA + "-", hashA + "x-a", hashA[1:] + "-a", "e" + hashA[1:] + "-a",
		hashA + "-a/b", hashA + "-a/../../x", "/nix/store2/" + hashA + "-a", "/tmp/" + hashA + "-a", hashA + "-a\x00", hashA + "-a b", hashA + "-ä", "../" + hashA + "-a",
		hashA + "-" + strings.Repeat("n", 212),
	} {
		if p, err := ParsePath(bad); err == nil {
			t.Errorf("%q is %q", bad, p)
		}
	}
}

// text is a well-formed .narinfo file, with lines changed or, where they have
// no value, left out.
func text(changes ...string) string {
	lines := []string{
		"StorePath: " + StoreDir + "/" + hashA + "-a", "URL: nar/x.nar.xz", "Compression: xz",
		"FileHash: " + sum, "FileSize: 114980", "NarHash: " + sum, "NarSize: 464152", "References: " + hashB + "-b",
	}
	for _, c := range changes {
		key, value, _ := strings.Cut(c, ":")
		found := false
		for i, l := range lines {
			if strings.HasPrefix(l, key+":") {
				lines[i], found = c, true
				if value == "" {
					lines[i] = ""
				}
			}
		}
		if !found {
			lines = append(lines, c)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestParseNarInfo(t *testing.T) {
	t.Parallel()
	n, err := ParseNarInfo(strings.NewReader(text("New: key: of later: days", "Deriver: unknown-deriver", "References: "+hashB+"-b "+hashA+"-a "+hashB+"-b")))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %d %s", n.Path, n.NarHash, n.NarSize, n.References)
	if want := fmt.Sprintf("%[1]s/%[2]s-a %[4]s 464152 [%[1]s/%[2]s-a %[1]s/%[3]s-b]", StoreDir, hashA, hashB, sum); got != want {
		t.Error(got)
	}
	if n, err := ParseNarInfo(strings.NewReader(text("Compression:", "References: \r", "FileSize:", "FileHash:"))); err != nil || n.Compression != "bzip2" || len(n.References) != 0 {
		t.Errorf("%+v %v", n, err)
	}
}

func TestHostileNarInfo(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":               "",
		"no path":               text("StorePath:"),
		"path without a store":  text("StorePath: " + hashA + "-a"),
		"path of another store": text("StorePath: /tmp/" + hashA + "-a"),
		"path with more":        text("StorePath: " + StoreDir + "/" + hashA + "-a/../../../etc"),
		"no URL":                text("URL:"),
		"no hash":               text("NarHash:"),
		"short hash":            text("NarHash: sha256:abc"),
		"weak hash":             text("NarHash: md5:d41d8cd98f00b204e9800998ecf8427e"),
		"no size":               text("NarSize:"),
		"zero size":             text("NarSize: 0"),
		"negative size":         text("NarSize: -1"),
		"absurd size":           text("NarSize: 18446744073709551615"),
		"absurd file size":      text("FileSize: 9223372036854775807"),
		"more than can be":      text("NarSize: 18446744073709551616"),
		"two paths":             text() + "StorePath: " + StoreDir + "/" + hashB + "-b\n",
		"two sizes":             text() + "NarSize: 1\n",
		"reference elsewhere":   text("References: ../../etc/passwd"),
		"reference with slash":  text("References: " + hashB + "-b/c"),
		"many references":       text("References: " + strings.Repeat(hashB+"-b ", maxReferences+1)),
		"bad deriver":           text("Deriver: ../x.drv"),
		"bad signature":         text("Sig: x:y"),
		"many signatures":       text() + strings.Repeat("Sig: a:"+strings.Repeat("A", 86)+"==\n", maxSignatures+1),
		"a long line":           text("System: " + strings.Repeat("x", maxLine)),
		"too long":              text() + strings.Repeat("X: y\n", MaxNarInfo/5),
	} {
		if n, err := ParseNarInfo(strings.NewReader(in)); err == nil {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// real is what cache.nixos.org says of a path.
const real = `StorePath: /nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin
URL: nar/05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56.nar.xz
Compression: xz
FileHash: sha256:05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56
FileSize: 68852
NarHash: sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0
NarSize: 196040
References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115 j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12 yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n
Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0.drv
Sig: cache.nixos.org-1:TsTTb3WGTZKphvYdBHXwo6weVILmTytUjLB+vcX89fOjjRicCHmKA4RCPMVLkj6TMJ4GMX3HPVWRdD1hkeKZBQ==
`

func TestVerify(t *testing.T) {
	t.Parallel()
	forged := "Sig: cache.nixos.org-1:" + strings.Repeat("A", 86) + "==\n"
	other := "other-1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE="
	for name, c := range map[string]struct {
		text, key, message, hint string
	}{
		"real":                 {real, NixOSKey, "", ""},
		"one of two is forged": {real + forged, NixOSKey, "", ""},
		"the first is forged":  {strings.Replace(real, "Sig:", forged+"Sig:", 1), NixOSKey, "", ""},
		"references in disorder": {strings.Replace(real, "0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115",
			"6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0", 1), NixOSKey, "", ""},
		"another size":       {strings.Replace(real, "196040", "196041", 1), NixOSKey, "does not fit", "is not to be trusted"},
		"another hash":       {strings.Replace(real, "NarHash: sha256:1b4", "NarHash: sha256:1b5", 1), NixOSKey, "does not fit", ""},
		"another path":       {strings.Replace(real, "curl-7.82.0-bin", "curl-7.82.0-bim", 1), NixOSKey, "does not fit", ""},
		"one reference less": {strings.Replace(real, " yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n", "", 1), NixOSKey, "does not fit", ""},
		"another's key":      {real, other, "signed by cache.nixos.org-1, and not by a key that is trusted", "--trusted-public-key"},
		"a key of its name":  {real, "cache.nixos.org-1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE=", "does not fit", "key"},
		"unsigned":           {real[:strings.Index(real, "Sig:")], NixOSKey, "it has none", "sign it"},
		"unsigned, content-addressed": {strings.Replace(real[:strings.Index(real, "Sig:")], "Deriver", "CA: fixed:r:sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0\nDeriver", 1),
			NixOSKey, "it has none", "sign it"},
	} {
		keys, err := ParseKeys([]string{c.key})
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParseNarInfo(strings.NewReader(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = keys.Verify(n.Info)
		if c.message == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var e *container.Error
		if !errors.Is(err, ErrSignature) || !errors.As(err, &e) || !strings.Contains(err.Error(), c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, _ := ParseNarInfo(strings.NewReader(real)); Keys(nil).Verify(n.Info) == nil {
		t.Error("nobody's word is enough")
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	s, err := ParseSigner("test1:jbX9NxZp8WB/coK8k7yLf0gNYmBbIbCrOFwgJgI7OV+0sASf4R5oFQlioSlN3bJ56uvshzr7S9Z75pcv+9hSkQ==\n")
	if err != nil {
		t.Fatal(err)
	}
	n, err := ParseNarInfo(strings.NewReader(real))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Sign(&n.Info); err != nil {
			t.Fatal(err)
		}
	}
	n, err = ParseNarInfo(strings.NewReader(n.Text()))
	if err != nil || len(n.Signatures) != 2 {
		t.Fatal(err, n.Signatures)
	}
	for _, key := range []string{NixOSKey, "test1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE="} {
		keys, _ := ParseKeys([]string{key})
		if err := keys.Verify(n.Info); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "x", "x:y", NixOSKey} {
		if _, err := ParseSigner(bad); err == nil {
			t.Errorf("%q is a secret key", bad)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	infos := map[StorePath]Info{
		"a": {References: []StorePath{"c", "b", "a", "elsewhere"}},
		"b": {References: []StorePath{"c"}},
		"c": {},
	}
	if order, err := Order(infos); err != nil || fmt.Sprint(order) != "[c b a]" {
		t.Error(order, err)
	}
	infos["c"] = Info{References: []StorePath{"a"}}
	if order, err := Order(infos); err == nil {
		t.Error(order)
	}
}

func FuzzParseNarInfo(f *testing.F) {
	f.Add(text())
	f.Add(real)
	f.Fuzz(func(t *testing.T, in string) {
		n, err := ParseNarInfo(strings.NewReader(in))
		if err != nil {
			return
		}
		again, err := ParseNarInfo(strings.NewReader(n.Text()))
		if err != nil || fmt.Sprintf("%+v", again.Info) != fmt.Sprintf("%+v", n.Info) {
			t.Errorf("%+v is not %+v: %v", again, n, err)
		}
	})
}
