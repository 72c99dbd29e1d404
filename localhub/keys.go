package localhub

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"twinboard/hubclient/iothub"
)

// newKey makes a random key as IoT Hub does: 32 bytes in base64.
func newKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// completeKeys makes both keys when both are empty, and checks given ones: both
// or neither, base64 of 16 to 64 bytes. (Measured on the real service.)
func completeKeys(k iothub.SymmetricKey) (iothub.SymmetricKey, error) {
	if k.Primary == "" && k.Secondary == "" {
		return iothub.SymmetricKey{Primary: newKey(), Secondary: newKey()}, nil
	}
	for _, key := range []struct{ name, value string }{{"primaryKey", k.Primary}, {"secondaryKey", k.Secondary}} {
		if key.value == "" {
			return k, iothub.ErrArgumentInvalid.With("%s is missing: give both keys or neither", key.name)
		}
		if err := checkKey(key.value); err != nil {
			return k, iothub.ErrArgumentInvalid.With("%s %v", key.name, err)
		}
	}
	return k, nil
}

func checkKey(s string) error {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return fmt.Errorf("is not base64")
	}
	if len(b) < 16 || len(b) > 64 {
		return fmt.Errorf("has %d bytes; it must have 16 to 64", len(b))
	}
	return nil
}
