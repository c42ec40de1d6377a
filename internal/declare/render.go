package declare

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-containers/berth/container"
)

// Render writes a declaration of one container, with the keys that differ from
// the defaults of a declaration, or with all that have a value. ParseYAML
// reads it back as the same Spec.
func Render(name container.Name, spec container.Spec, all bool) []byte {
	return RenderAll([]container.Name{name}, map[container.Name]container.Spec{name: spec}, all)
}

// RenderAll is Render for several containers, in the order of names.
func RenderAll(names []container.Name, specs map[container.Name]container.Spec, all bool) []byte {
	defaults := declaredDefaults()
	containers := &value{kind: kindMap}
	for _, n := range names {
		spec := specs[n]
		containers.entries = append(containers.entries, entry{key: string(n), value: writeFields(specFields(), &spec, &defaults, all)})
	}
	return containers.yaml("containers")
}

// yaml writes v as the value of one top-level key.
func (v *value) yaml(key string) []byte {
	top := &value{kind: kindMap, entries: []entry{{key: key, value: v}}}
	b, err := yaml.Dump(top.node(), yaml.WithV4Defaults())
	if err != nil {
		panic(err) // a tree of text, lists and maps can always be written
	}
	return b
}

// node is v for the YAML library.
func (v *value) node() *yaml.Node {
	switch v.kind {
	case kindList:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: flowIf(len(v.list) == 0)}
		for _, item := range v.list {
			n.Content = append(n.Content, item.node())
		}
		return n
	case kindMap:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: flowIf(len(v.entries) == 0)}
		for _, e := range v.entries {
			n.Content = append(n.Content, textNode(e.key), e.value.node())
		}
		return n
	case kindText:
		return textNode(v.text)
	case kindBoolean:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: v.text}
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.text}
	}
}

func flowIf(empty bool) yaml.Style {
	if empty {
		return yaml.FlowStyle
	}
	return 0
}

// textNode quotes what would not be read back as text. Several lines are
// written as they are.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case scalarKind(s) != kindText || s == "<<":
		n.Style = yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n"):
		n.Style = yaml.LiteralStyle
	}
	return n
}
