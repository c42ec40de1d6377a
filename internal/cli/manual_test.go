package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

// TestManual holds that the manual is what the commands say; make docs writes
// it anew.
func TestManual(t *testing.T) {
	t.Parallel()
	for path, want := range manual(t) {
		path = filepath.Join("../../docs", path)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what the commands say (%v); make docs writes it", path, err)
		}
	}
}

// manual gives the files of the manual by their paths below docs/.
func manual(t *testing.T) map[string][]byte {
	root := Command()
	root.DisableAutoGenTag = true
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	pages := map[string][]byte{
		"reference/commands.md": commands(t, root),
		"reference/keys.md":     keys(),
		"reference/schema.json": declare.Schema(),
	}
	each(root, func(c *cobra.Command) {
		var b bytes.Buffer
		h := &doc.GenManHeader{Section: "1", Source: "berth", Manual: "berth", Date: nil}
		if err := doc.GenMan(c, h, &b); err != nil {
			t.Fatal(err)
		}
		pages["man/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = undated(b.Bytes())
	})
	return pages
}

// undated takes the date out of a manual page, which would change by itself.
func undated(page []byte) []byte {
	lines := bytes.SplitAfter(page, []byte("\n"))
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte(".TH ")) {
			f := bytes.Split(l, []byte(`"`))
			if len(f) > 5 {
				f[5] = nil
			}
			lines[i] = bytes.Join(f, []byte(`"`))
		}
	}
	return bytes.Join(lines, nil)
}

// each calls f for a command and those below it that users see.
func each(c *cobra.Command, f func(*cobra.Command)) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	f(c)
	for _, sub := range c.Commands() {
		each(sub, f)
	}
}

func commands(t *testing.T, root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# Commands\n\nMade from the commands by `make docs`.\n\n")
	b.WriteString("Standard output is the answer, standard error the talk. Exit codes: 0 done, 1 failed, 2 usage or a declaration that is wrong,\n" +
		"3 no such container, 4 owned by another declaration, 5 not ready in time. `exec`, `shell` and `login` give the program's\n" +
		"own code, 128 and the signal's number if one ended it, and 125 to 127 as env(1) does.\n")
	each(root, func(c *cobra.Command) {
		if !c.Runnable() || c == root {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n    %s\n", c.CommandPath(), strings.TrimSuffix(c.Short, "."), c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(&b, "\nFor example:\n\n%s\n", indent(c.Example))
		}
		if f := c.NonInheritedFlags().FlagUsages(); f != "" {
			fmt.Fprintf(&b, "\nFlags:\n\n%s", indent(strings.TrimRight(f, "\n"))+"\n")
		}
	})
	return b.Bytes()
}

func indent(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("  "+l, " ")
	}
	return strings.Join(lines, "\n")
}

func keys() []byte {
	var b bytes.Buffer
	b.WriteString("# Keys of a container\n\nMade from the table of keys by `make docs`. `schema.json` has their exact forms.\n\n" +
		"The effect is that of a change on a running guest: *live* is applied at once, *switch* changes the guest's system in place,\n" +
		"*restart* stops and starts it, *recreate* gives it the new image and sets what it had changed aside.\n\n" +
		"| key | type | default | effect | |\n| --- | --- | --- | --- | --- |\n")
	keyRows(&b, container.Keys())
	b.WriteString("\n## Keys of a network\n\nA declaration may have the key `networks` beside `containers`: a map of networks by name, on which containers are by `networks` or `zone`.\n\n" +
		"    networks:\n      back: { subnet: 10.20.0.0/24, isolated: true }\n      front:\n\n" +
		"| key | type | default | effect | |\n| --- | --- | --- | --- | --- |\n")
	keyRows(&b, declare.NetworkKeys())
	return b.Bytes()
}

func keyRows(b *bytes.Buffer, keys []container.Key) {
	for _, k := range keys {
		text := k.Doc
		if !k.Live {
			text = "**Not yet supported.** " + text
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.Name, k.Type, k.Default, k.Effect, text)
	}
}
