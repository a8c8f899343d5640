package layer

import (
	"fmt"
	"os"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
)

// CapabilityError is returned for a source file with file capabilities, which would be lost.
type CapabilityError struct{ From string }

func (e *CapabilityError) Error() string {
	return fmt.Sprintf("%s has file capabilities (%s), which are not copied", e.From, filecap.Attribute)
}

// Hint says how to give the file capabilities in the image.
func (e *CapabilityError) Hint() string {
	return "give them to the file in the image, such as capabilities: cap_net_bind_service=+ep, or remove them: setcap -r " + e.From
}

// Capable returns the extended attributes of a file of an image that has the given capabilities. Those of the source are
// not copied, since they do not survive version control: without given ones they are an error.
func Capable(source *os.File, from string, capabilities []byte) (map[string][]byte, error) {
	if capabilities != nil {
		return map[string][]byte{filecap.Attribute: capabilities}, nil
	}
	if hasAttribute(source, filecap.Attribute) {
		return nil, &CapabilityError{from}
	}
	return nil, nil
}
