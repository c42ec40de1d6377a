package archive

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Bounds on names: PATH_MAX and NAME_MAX of linux/limits.h, and a depth at
// which one process can still hold every directory of a path open.
const (
	maxPath      = 4095
	maxComponent = 255
	maxDepth     = 256
)

// cleanName checks the name of an entry, or of a hard link's target, and
// returns it relative, without "." parts or a final slash; "." is the top.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("name is empty")
	case strings.IndexByte(name, 0) >= 0:
		return "", errors.New("name holds a NUL byte")
	case len(name) > maxPath:
		return "", fmt.Errorf("name has %d bytes, at most %d are allowed", len(name), maxPath)
	case name[0] == '/':
		return "", fmt.Errorf("absolute name %w", ErrEscapes)
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", fmt.Errorf("name %w", ErrEscapes)
		case len(part) > maxComponent:
			return "", fmt.Errorf("a part of the name has %d bytes, at most %d are allowed", len(part), maxComponent)
		case part != "" && part != ".":
			depth++
		}
	}
	if depth > maxDepth {
		return "", errTooDeep
	}
	return path.Clean(name), nil
}

var errTooDeep = fmt.Errorf("more than %d directories deep", maxDepth)
