package broker_test

import "github.com/twmb/franz-go/pkg/kversion"

// maxProduce pins Produce, since a raw request has no topic id to go by in later versions.
func maxProduce(v int16) *kversion.Versions {
	vs := kversion.Stable()
	vs.SetMaxKeyVersion(0, v)
	return vs
}
