package filecap_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
)

// TestParse compares with what setcap of libcap 2.66 wrote, read back by getfattr.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"cap_net_bind_service=+ep":                 "0100000200040000000000000000000000000000",
		"cap_net_bind_service=ep":                  "0100000200040000000000000000000000000000",
		"CAP_NET_BIND_SERVICE+ep":                  "0100000200040000000000000000000000000000",
		"10=ep":                                    "0100000200040000000000000000000000000000",
		"cap_net_raw,cap_net_admin=p":              "0000000200300000000000000000000000000000",
		"cap_chown=ip":                             "0000000201000000010000000000000000000000",
		"cap_chown=p cap_kill=i":                   "0000000201000000200000000000000000000000",
		"cap_bpf=ep":                               "0100000200000000000000008000000000000000",
		"all=ep cap_chown-ep":                      "01000002feffffff00000000ff01000000000000",
		"=ep":                                      "01000002ffffffff00000000ff01000000000000",
		"cap_chown=eip cap_chown-e":                "0000000201000000010000000000000000000000",
		"cap_chown=p+e-e+e":                        "0100000201000000000000000000000000000000",
		"cap_net_bind_service=ep [rootid=1000]":    "0100000300040000000000000000000000000000e8030000",
		"  cap_net_bind_service=+ep\tcap_kill=+ep": "0100000220040000000000000000000000000000",
	} {
		s, err := filecap.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, hex.EncodeToString(s.Encode()), text)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "grants nothing",
		"=":                                "grants nothing",
		"cap_chown=e":                      "grants nothing",
		"cap_chown":                        "no operator",
		"cap_chown+":                       "no flag behind +",
		"cap_chown=ep cap_kill=p":          "one effective flag",
		"cap_chown=x":                      `unknown flag 'x'`,
		"cap_net_bind_servic=ep":           `unknown capability "cap_net_bind_servic"`,
		"chown=ep":                         `unknown capability "chown"`,
		"41=ep":                            `unknown capability "41"`,
		"+ep":                              `unknown capability ""`,
		"cap_chown,=ep":                    `unknown capability ""`,
		"cap_chown=ep [rootid=0]":          "not a root user id",
		"cap_chown=ep [rootid=x]":          "not a root user id",
		"cap_chown=ep [rootid=4294967296]": "not a root user id",
		"[rootid=1] cap_chown=ep":          "unknown capability",
	} {
		_, err := filecap.Parse(text)
		var syntax *filecap.SyntaxError
		require.ErrorAs(t, err, &syntax, text)
		assert.ErrorContains(t, err, want, text)
		assert.NotEmpty(t, syntax.Hint())
	}
	_, err := filecap.Parse("cap_net_bind_servic=ep")
	var syntax *filecap.SyntaxError
	require.ErrorAs(t, err, &syntax)
	assert.Contains(t, syntax.Hint(), "cap_net_bind_service")
}

func FuzzParse(f *testing.F) {
	f.Add("cap_net_bind_service=+ep")
	f.Add("all=eip cap_chown-e [rootid=7]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := filecap.Parse(text)
		if err != nil {
			return
		}
		want := 20
		if s.RootID != 0 {
			want = 24
		}
		assert.Len(t, s.Encode(), want)
		assert.NotZero(t, s.Permitted|s.Inheritable)
	})
}
