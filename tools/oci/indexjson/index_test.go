package indexjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

func digestOf(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// Indexes of different programs, with unknown fields.
var texts = []string{
	`{"schemaVersion":2,"manifests":[]}`,
	`{"schemaVersion":2}`,
	`{}`,
	` { } `,
	`{"manifests":null,"x":1}`,
	`{"manifests":[ ]}`,
	`{"x-first":{"b":1,"a":[1.50,1e3]},"manifests":[{"digest":"` + digestOf("a") +
		`","size":1,"mediaType":"m","x":"<&>"}],"z":"\u00e9"}`,
	"{\n  \"manifests\": [\n    {\n      \"digest\": \"" + digestOf("a") + "\"\n    },\n    {\"digest\":\"sha512:" +
		strings.Repeat("b", 128) + "\"} ,\n    {\"digest\":\"blake3:ff\", \"annotations\": {\"a\": \"b\"}}\n  ],\n" +
		"  \"annotations\": {\n    \"k\": \"v\"\n  }\n}\n",
	"{\r\n\t\"schemaVersion\" : 2 ,\r\n\t\"manifests\" : [\r\n\t\t{ \"digest\" : \"" + digestOf("c") + "\" }\r\n\t]\r\n}",
}

func TestWhatIsParsedIsKept(t *testing.T) {
	for _, text := range texts {
		i, err := indexjson.Parse([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, text, string(i.Bytes()))
	}
}

func TestEntriesComeAndGo(t *testing.T) {
	entry, err := indexjson.NewEntry(v1.Descriptor{
		MediaType: types.OCIManifestSchema1, Size: 7, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("f", 64)},
		Annotations: map[string]string{"a": "<b>"},
	})
	require.NoError(t, err)
	for _, text := range texts {
		i, err := indexjson.Parse([]byte(text))
		require.NoError(t, err)
		before := i.Entries
		i.Entries = append(i.Entries[:len(i.Entries):len(i.Entries)], entry)
		more := i.Bytes()
		require.True(t, json.Valid(more), string(more))
		for _, e := range before {
			assert.Contains(t, string(more), string(e.Raw))
		}
		assert.Contains(t, string(more), `"<b>"`)
		again, err := indexjson.Parse(more)
		require.NoError(t, err)
		require.Len(t, again.Entries, len(before)+1)
		assert.Equal(t, entry.Descriptor, again.Entries[len(before)].Descriptor)
		if again.Entries = again.Entries[:len(before)]; len(before) > 0 {
			assert.Equal(t, text, string(again.Bytes()), "what was added has been removed")
		}

		i, err = indexjson.Parse([]byte(text))
		require.NoError(t, err)
		require.NoError(t, i.Set("annotations", map[string]string{"k": "<w>"}))
		require.NoError(t, i.Set("subject", entry.Descriptor))
		changed := i.Bytes()
		var read v1.IndexManifest
		var known struct {
			Annotations map[string]string
			Subject     json.RawMessage
		}
		require.NoError(t, json.Unmarshal(changed, &known), string(changed))
		assert.Equal(t, map[string]string{"k": "<w>"}, known.Annotations)
		assert.NotEmpty(t, known.Subject)
		_ = read
		i.Delete("manifests")
		i.Delete("annotations")
		require.True(t, json.Valid(i.Object.Bytes()), string(i.Object.Bytes()))
	}
}

func TestIndentationIsThatOfTheText(t *testing.T) {
	const text = "{\n  \"manifests\": [\n    {\n      \"digest\": \"x\"\n    }\n  ]\n}\n"
	i, err := indexjson.Parse([]byte(text))
	require.NoError(t, err)
	e, err := indexjson.NewEntry(v1.Descriptor{
		MediaType: "m",
		Size:      1,
		Digest:    v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)},
	})
	require.NoError(t, err)
	i.Entries = append(i.Entries, e)
	assert.Equal(t, "{\n  \"manifests\": [\n    {\n      \"digest\": \"x\"\n    },\n    {\n      \"mediaType\": \"m\",\n"+
		"      \"size\": 1,\n"+
		"      \"digest\": \""+digestOf("a")+"\"\n    }\n  ]\n}\n", string(i.Bytes()))
	changed, err := i.Entries[0].With("annotations", map[string]string{"a": "b"})
	require.NoError(t, err)
	assert.Equal(t, "{\n      \"digest\": \"x\",\n      \"annotations\": {\n        \"a\": \"b\"\n      }\n    }",
		string(changed.Raw))
}

func TestEntriesOfUnknownDigests(t *testing.T) {
	i, err := indexjson.Parse(
		[]byte(`{"manifests":[{"digest":"blake3:ff","size":1,"annotations":{"a":"b"}},{"size":"x"}]}`))
	require.NoError(t, err)
	assert.Equal(t, "blake3:ff", i.Entries[0].Digest)
	assert.Error(t, i.Entries[0].Err)
	assert.Equal(t, map[string]string{"a": "b"}, i.Entries[0].Descriptor.Annotations)
	assert.Error(t, i.Entries[1].Err)
}

func TestWhatIsNoIndex(t *testing.T) {
	for text, want := range map[string]string{
		``:                                  "unexpected end of JSON input",
		`[]`:                                "not a JSON object",
		`{"manifests":{}}`:                  "manifests is not an array",
		`{"manifests":[1]}`:                 "manifests[0] is not an object",
		`{"manifests":[],"manifests":[{}]}`: `the key "manifests" twice`,
		`{"manifests":[],"Manifests":[{}]}`: `the key "Manifests" twice`,
		`{"Manifests":[{}]}`:                `the key "Manifests", which some programs read as "manifests"`,
		`{} {}`:                             "invalid character",
	} {
		_, err := indexjson.Parse([]byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, err := indexjson.Parse(raw)
		if err != nil {
			return
		}
		require.Equal(t, string(raw), string(i.Bytes()))
		e, err := indexjson.NewEntry(v1.Descriptor{
			MediaType: "m",
			Digest:    v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)},
		})
		require.NoError(t, err)
		n := len(i.Entries)
		i.Entries = append(i.Entries, e)
		require.NoError(t, i.Set("annotations", map[string]string{"a": "b"}))
		again, err := indexjson.Parse(i.Bytes())
		require.NoError(t, err, string(i.Bytes()))
		require.Len(t, again.Entries, n+1)
	})
}
