package declare

import (
	"strings"

	"github.com/berth-containers/berth/container"
)

// TopKey is the key of container.Keys that a key with dots belongs to: limits
// for limits.memoryMax. One that there is not is a *container.Error.
func TopKey(key string) (string, error) {
	fields, spec := specFields(), container.DefaultSpec()
	root, top := writeFields(fields, &spec, &spec, false), objectSchema(fields)
	if _, err := find(root, &top, key, Position{}); err != nil {
		return "", &container.Error{Err: &Problem{Key: short(key), Err: err}, Code: container.CodeUsage,
			Hint: "berth explain lists all keys"}
	}
	name, _, _ := strings.Cut(key, ".")
	return name, nil
}
