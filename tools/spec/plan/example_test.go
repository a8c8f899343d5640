package plan_test

import (
	"fmt"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

func ExampleNew() {
	c, err := config.Parse("multiarch.yaml", []byte(`
version: 1
registry: registry.example.com/team
platforms: [linux/amd64, linux/arm/v7]
images:
  hello:
    go: {package: ./app/hello}
    user: nonroot
`))
	if err != nil {
		panic(err)
	}
	p, err := plan.New(c, plan.Options{})
	if err != nil {
		panic(err)
	}
	for _, image := range p.Images {
		fmt.Println(image.Push.Repository, image.Push.Tags)
		for _, child := range image.Children {
			fmt.Println(child.Platform, child.Base.Name, child.Config.Entrypoint, child.Config.User)
		}
	}
	// Output:
	// registry.example.com/team/hello [latest]
	// linux/amd64 static [/app/hello] 65532
	// linux/arm/v7 static [/app/hello] 65532
}
