package txn

import "testing"

// BenchmarkAdmit is what a transactional produce request costs more than another.
func BenchmarkAdmit(b *testing.B) {
	r := newRack(1)
	c, err := Open(b.Context(), r.options())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	me, _ := c.InitProducerID(b.Context(), "id", 600_000, None).Wait(b.Context())
	if a, _ := c.AddPartitions("id", me.Producer, tps(0, 1), 0).Wait(b.Context()); a.Err != nil {
		b.Fatal(a.Err)
	}
	parts := tps(0)
	b.ReportAllocs()
	for b.Loop() {
		a := c.Admit("id", me.Producer, parts, true)
		if errs, err := a.Wait(b.Context()); err != nil || errs[0] != nil {
			b.Fatal(errs, err)
		}
		a.Release()
	}
}
