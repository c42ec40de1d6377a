package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/cli"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// installed is where the packages put berth.
const installed = "/usr/bin/berth"

// stageShared makes what all architectures have in common, below dir, for a
// berth at program.
func stageShared(dir, program string) error {
	for _, d := range []string{"units", "completions", "man"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	for name, text := range systemd.Units(program) {
		if err := os.WriteFile(filepath.Join(dir, "units", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := stageCompletions(filepath.Join(dir, "completions")); err != nil {
		return err
	}
	return stageManual(filepath.Join(dir, "man"))
}

// stageCompletions writes them for each shell, as `berth completion` does.
func stageCompletions(dir string) error {
	var bash, zsh, fish bytes.Buffer
	root := cli.Command()
	if err := root.GenBashCompletionV2(&bash, true); err != nil {
		return fmt.Errorf("completion for bash: %w", err)
	}
	if err := root.GenZshCompletion(&zsh); err != nil {
		return fmt.Errorf("completion for zsh: %w", err)
	}
	if err := root.GenFishCompletion(&fish, true); err != nil {
		return fmt.Errorf("completion for fish: %w", err)
	}
	for name, b := range map[string][]byte{"berth": bash.Bytes(), "_berth": zsh.Bytes(), "berth.fish": fish.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stageManual compresses the pages that `make docs` has made.
func stageManual(dir string) error {
	pages, err := filepath.Glob("docs/man/*.1")
	if err != nil {
		return err
	}
	if len(pages) == 0 {
		return fmt.Errorf("no pages in docs/man: this runs in the module's directory")
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(text); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(page)+".gz"), packed.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
