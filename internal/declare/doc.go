// Package declare reads declarations: what an owner writes, as YAML or JSON or
// as arguments of a command, becomes valid container.Specs, or a list of
// everything that is wrong with it. It also goes the other way, and describes
// the form as a JSON Schema. It looks at no host: whether a path exists is not
// its business.
//
// There is one table of keys (specFields). Reading, writing and the schema all
// come from it. A reader of a further format has to make values; everything
// after that is here.
package declare
