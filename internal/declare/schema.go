package declare

import (
	"bytes"
	"encoding/json"

	"github.com/berth-containers/berth/container"
)

// schema is the part of JSON Schema, draft 2020-12, that declarations need.
type schema struct {
	Dialect       string             `json:"$schema,omitempty"`
	Title         string             `json:"title,omitempty"`
	Description   string             `json:"description,omitempty"`
	Type          typeNames          `json:"type,omitempty"`
	Default       any                `json:"default,omitempty"`
	Enum          []string           `json:"enum,omitempty"`
	Pattern       string             `json:"pattern,omitempty"`
	Minimum       *int64             `json:"minimum,omitempty"`
	Maximum       *int64             `json:"maximum,omitempty"`
	Items         *schema            `json:"items,omitempty"`
	Required      []string           `json:"required,omitempty"`
	AnyOf         []schema           `json:"anyOf,omitempty"`
	OneOf         []schema           `json:"oneOf,omitempty"`
	Properties    map[string]*schema `json:"properties,omitempty"`
	PropertyNames *schema            `json:"propertyNames,omitempty"`
	PatternProps  map[string]bool    `json:"patternProperties,omitempty"`
	Additional    any                `json:"additionalProperties,omitempty"` // false or a *schema
}

// typeNames are the types that a value may have.
type typeNames []string

func types(names ...string) typeNames { return names }

// MarshalJSON writes a single type as it is mostly written, without a list.
func (t typeNames) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// element is the schema of the values of a map with free keys, or nil.
func (s *schema) element() *schema {
	e, _ := s.Additional.(*schema)
	return e
}

func (s *schema) is(kind string) bool {
	return len(s.Type) == 1 && s.Type[0] == kind
}

func objectSchema[S any](fields []field[S]) schema {
	s := schema{Type: types("object"), Properties: map[string]*schema{}, Additional: false}
	for _, f := range fields {
		sub := f.schema
		s.Properties[f.name] = &sub
		if f.required {
			s.Required = append(s.Required, f.name)
		}
	}
	return s
}

// containerSchema describes one container, with documentation and defaults.
func containerSchema() schema {
	fields, defaults := specFields(), declaredDefaults()
	s := objectSchema(fields)
	for i, k := range container.Keys() {
		sub := s.Properties[k.Name]
		sub.Description = k.Doc
		if v := fields[i].write(&defaults); v != nil {
			sub.Default = v.json()
		}
	}
	for _, source := range sources() {
		s.OneOf = append(s.OneOf, schema{Required: []string{source}})
	}
	return s
}

// Schema is a JSON Schema of a declaration, draft 2020-12. It allows all that
// ParseYAML allows; ParseYAML is stricter. The bytes are always the same.
func Schema() []byte {
	one := containerSchema()
	n, networks := name(), networksSchema()
	all := schema{
		Description: "The containers, by name.",
		Type:        types("object"), PropertyNames: &n.schema, Additional: &one,
	}
	top := schema{
		Dialect:      "https://json-schema.org/draft/2020-12/schema",
		Title:        "berth.yaml",
		Description:  "A declaration of containers for berth.",
		Type:         types("object"),
		AnyOf:        []schema{{Required: []string{"containers"}}, {Required: []string{"networks"}}},
		Properties:   map[string]*schema{"containers": &all, "networks": &networks},
		PatternProps: map[string]bool{"^x-": true},
		Additional:   false,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(top); err != nil {
		panic(err) // the table is at fault, not the user
	}
	return b.Bytes()
}

// json is v as encoding/json would decode it.
func (v *value) json() any {
	switch v.kind {
	case kindText:
		return v.text
	case kindBoolean:
		return v.isTrue()
	case kindInteger, kindNumber:
		return v.number()
	case kindList:
		list := []any{}
		for _, item := range v.list {
			list = append(list, item.json())
		}
		return list
	case kindMap:
		m := map[string]any{}
		for _, e := range v.entries {
			m[e.key] = e.value.json()
		}
		return m
	default:
		return nil
	}
}

func (v *value) number() any {
	if n, err := integer(v.text); err == nil {
		return n
	}
	return json.Number("0.5") // a fraction, or beyond every bound
}
