package main

import (
	"bytes"
	_ "embed"
	"text/template"
)

//go:embed nfpm.yaml
var recipeText string

// values are what the recipe says of one package.
type values struct {
	Stage, Arch, Version string
}

// recipe is the configuration of nfpm for one package.
func recipe(v values) ([]byte, error) {
	t, err := template.New("nfpm.yaml").Option("missingkey=error").Parse(recipeText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}
