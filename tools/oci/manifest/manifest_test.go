package manifest_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

func TestCheckRefusesNegativeSizes(t *testing.T) {
	for text, valid := range map[string]bool{
		`{}`:            true,
		`not JSON`:      true,
		`[]`:            true,
		`{"layers": 1}`: true,
		`{"config": {"size": 5}, "layers": [{"size": 0}]}`:   true,
		`{"config": {"size": -1}}`:                           false,
		`{"subject": {"size": -1}}`:                          false,
		`{"layers": [{"size": 1}, {"size": -9}]}`:            false,
		`{"manifests": [{"size": -1}]}`:                      false,
		`{"blobs": [{"size": -1}]}`:                          false,
		`{"layers": [{"digest": "wrong", "size": -1}]}`:      false,
		`{"mediaType": 7, "layers": [{"size": -1}]}`:         false,
		`{"Layers": [{"SIZE": -1}]}`:                         false,
		`{"layers": [{"size": 1, "size": -1}]}`:              false,
		`{"layers": [{"size": "-1"}], "config": {"size":3}}`: true, // not a number: whoever parses it refuses it
	} {
		err := manifest.Check([]byte(text))
		if valid {
			assert.NoError(t, err, text)
			continue
		}
		var size *manifest.SizeError
		assert.ErrorAs(t, err, &size, text)
	}
}

func TestReadIsBounded(t *testing.T) {
	raw, err := manifest.Read(bytes.NewReader(make([]byte, manifest.Limit)))
	require.NoError(t, err)
	assert.Len(t, raw, manifest.Limit)
	_, err = manifest.Read(bytes.NewReader(make([]byte, manifest.Limit+1)))
	var large *manifest.TooLargeError
	require.True(t, errors.As(err, &large))
}
