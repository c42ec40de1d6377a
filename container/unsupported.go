package container

import (
	"bytes"
	"encoding/json"
)

// Unsupported names the keys that differ from their default in s and that
// berth cannot carry out yet, in the order of Keys.
func Unsupported(s Spec) []string {
	given, defaults := jsonFields(s), jsonFields(DefaultSpec())
	var names []string
	for _, k := range Keys() {
		if !k.Live && !bytes.Equal(given[k.Name], defaults[k.Name]) {
			names = append(names, k.Name)
		}
	}
	return names
}

// jsonFields are the members of s as JSON, by name. A Spec always marshals.
func jsonFields(s Spec) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	if b, err := json.Marshal(s); err == nil {
		_ = json.Unmarshal(b, &fields)
	}
	return fields
}
