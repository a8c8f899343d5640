package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of multiarch.yaml",
		Long: `Print the JSON Schema of multiarch.yaml. Editors use it for completion and validation: "multiarch
init" writes it beside multiarch.yaml, with a comment there that refers to it.`,
		Example: `  multiarch schema > multiarch.schema.json
  multiarch schema | jq .properties`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = a.terminal.out.Write(schema)
			return err
		},
	}
}
