package listen

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func TestBudgetServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		ctx := context.Background()
		if err := b.acquire(ctx, 8); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for i, n := range []int64{5, 2, 3} { // 2 would fit, and must not overtake 5
			go func() {
				if err := b.acquire(ctx, n); err != nil {
					t.Error(err)
				}
				order <- i
			}()
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Error("granted what was not there")
		}
		b.release(8)
		synctest.Wait()
		if len(order) != 3 || b.free != 0 {
			t.Errorf("%d granted, %d free", len(order), b.free)
		}
		b.release(10)
		if b.free != b.size {
			t.Errorf("%d of %d free", b.free, b.size)
		}
	})
}

func TestBudgetGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		if err := b.acquire(context.Background(), 10); err != nil {
			t.Fatal(err)
		}
		why := errors.New("gone")
		ctx, cancel := context.WithCancelCause(context.Background())
		result := make(chan error, 2)
		go func() { result <- b.acquire(ctx, 9) }()
		synctest.Wait()
		go func() { result <- b.acquire(context.Background(), 1) }()
		synctest.Wait()
		b.release(1) // not enough for the first
		synctest.Wait()
		if len(result) != 0 {
			t.Error("the second overtook the first")
		}
		cancel(why)
		for range 2 {
			if err := <-result; err != nil && !errors.Is(err, why) {
				t.Error(err)
			}
		}
		if b.free != 0 {
			t.Errorf("%d free, want 0: the second has it", b.free)
		}
	})
}

func TestBudgetTakesMoreThanThereIsAlone(t *testing.T) {
	b := newBudget(10)
	if err := b.acquire(context.Background(), 25); err != nil || b.free != -15 {
		t.Errorf("%v, %d free", err, b.free)
	}
	if _, ok := b.claim(1); ok {
		t.Error("granted beside it")
	}
	b.release(25)
	if b.free != 9 {
		t.Errorf("%d free, want 9", b.free)
	}
}

func TestBudgetAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBudget(100)
		var out []int64
		var queue []*claim
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				n := rapid.Int64Range(1, 150).Draw(t, "bytes")
				if c, ok := b.claim(n); ok {
					out = append(out, n)
				} else {
					queue = append(queue, c)
				}
			},
			"release": func(t *rapid.T) {
				if len(out) > 0 {
					b.release(out[0])
					out = out[1:]
				}
			},
			"withdraw": func(t *rapid.T) {
				if len(queue) > 0 {
					i := rapid.IntRange(0, len(queue)-1).Draw(t, "which")
					b.withdraw(queue[i])
				}
			},
			"": func(t *rapid.T) {
				still := queue[:0]
				for _, c := range queue {
					select {
					case <-c.granted:
						out = append(out, c.bytes)
					default:
						for _, w := range b.waiting {
							if w == c {
								still = append(still, c)
							}
						}
					}
				}
				queue = still
				sum := int64(0)
				for _, n := range out {
					sum += n
				}
				if sum+b.free != b.size || b.free < 0 && len(out) > 1 || len(queue) > 0 && len(out) == 0 {
					t.Fatalf("out %v, free %d, waiting %d", out, b.free, len(queue))
				}
			},
		})
	})
}
