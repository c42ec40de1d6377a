package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Unfit implements supervise.Inspector: of the units that Install made.
func (s *Supervisor) Unfit() []string {
	if s.Paths.Root != "/" || readOnly(installDir) { // NixOS has units of its own
		return nil
	}
	return unfitIn(installDir)
}

func unfitIn(dir string) []string {
	var out []string
	gone := map[string][]string{} // units by their programs
	for _, unit := range slices.Sorted(maps.Keys(Units(""))) {
		path := filepath.Join(dir, unit)
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it is not installed there
		}
		program := programOf(string(b))
		if string(b) != Units(program)[unit] {
			out = append(out, path+" is not as this version of berth wants it")
			continue
		}
		if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
			gone[program] = append(gone[program], unit)
		}
	}
	for _, program := range slices.Sorted(maps.Keys(gone)) {
		out = append(out, fmt.Sprintf("there is no %s, which %s in %s run: guests cannot start, and are not cleaned up after",
			program, strings.Join(gone[program], ", "), dir))
	}
	return out
}

// programOf is the berth that a unit of Units runs; "" where it runs none.
func programOf(text string) string {
	for line := range strings.Lines(text) {
		args, ok := strings.CutPrefix(line, "ExecStart=")
		if !ok {
			continue
		}
		if end := strings.LastIndex(args, `" `); end > 0 {
			args = args[1:end]
		} else {
			args, _, _ = strings.Cut(args, " ")
		}
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`, "%%", "%", "$$", "$").Replace(args)
	}
	return ""
}
