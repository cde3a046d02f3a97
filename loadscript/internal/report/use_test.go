package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// open opens the page of a plausible run in a browser that can be used.
func open(t *testing.T) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("no chromium in PATH: the page is not used (apt-get install chromium)")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte(render(t, plausible(180, 1))), 0o644); err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.WindowSize(1200, 900))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx, chromedp.Navigate("file://"+path), chromedp.WaitReady(`html[data-ready="yes"]`)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func js[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// legendTime is what a plot's legend shows as the time under the cursor.
func legendTime(t *testing.T, ctx context.Context, plot string) string {
	t.Helper()
	return js[string](t, ctx, fmt.Sprintf(`document.querySelector('[data-plot="%s"] .u-series .u-value').textContent`, plot))
}

func TestPageCanBeUsed(t *testing.T) {
	ctx := open(t)
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}

	// The keyboard moves one cursor over all plots, and what is under it is said.
	do(chromedp.Focus(`[data-plot="rate"]`), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	said := js[string](t, ctx, `document.querySelector(".live").textContent`)
	if a, b := legendTime(t, ctx, "rate"), legendTime(t, ctx, "cpu"); a != "3 s" || b != a || !strings.Contains(said, "offered") {
		t.Errorf("after three steps the rate is at %q, the processor at %q; said: %q", a, b, said)
	}

	// A drag zooms all plots, Escape zooms out.
	type box struct{ X, Y, W float64 }
	over := js[box](t, ctx, `(() => { const e = document.querySelector('[data-plot="rate"] .u-over'); e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect(); return {X: r.left, Y: r.top + r.height / 2, W: r.width}; })()`)
	left := func(f float64) float64 { return over.X + over.W*f }
	move := func(x float64) chromedp.Action[chromedp.Void] {
		return chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, over.Y)
	}
	drag := func(x float64) chromedp.Action[chromedp.Void] {
		return chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, over.Y, chromedp.ButtonLeft)
	}
	do(move(left(.5)), chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, left(.5), over.Y, chromedp.ButtonLeft), drag(left(.6)), drag(left(.75)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, left(.75), over.Y, chromedp.ButtonLeft), move(left(.01)))
	for _, plot := range []string{"rate", "produce", "memory"} {
		if at := legendTime(t, ctx, plot); !strings.HasPrefix(at, "1m3") {
			t.Errorf("zoomed into [1m30s, 2m15s), the left edge of %s is at %s", plot, at)
		}
	}
	do(chromedp.Focus(`[data-plot="rate"]`), chromedp.KeyEvent(kb.Escape), move(left(.02)))
	if at := legendTime(t, ctx, "memory"); strings.HasPrefix(at, "1m") {
		t.Errorf("zoomed out, the left edge is at %s", at)
	}

	// The heat map says what is under the pointer.
	heat := js[box](t, ctx, `(() => { const e = document.querySelector('[data-plot="heat"] .u-over'); e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect(); return {X: r.left, Y: r.bottom - r.height * .2, W: r.width}; })()`)
	do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, heat.X+heat.W*.4, heat.Y))
	if said := js[string](t, ctx, `document.querySelector('[data-plot="heat"]').parentElement.querySelector(".readout").textContent`); !strings.HasSuffix(said, "records") || !strings.Contains(said, "ms") {
		t.Errorf("the heat map says %q", said)
	}

	// A line can be switched off from the keyboard.
	do(chromedp.Focus(`[data-plot="rate"] .u-series:nth-child(2)`), chromedp.KeyEvent(kb.Enter))
	if !js[bool](t, ctx, `document.querySelector('[data-plot="rate"] .u-series:nth-child(2)').classList.contains("u-off")`) {
		t.Error("Enter on a legend's entry does not switch its line off")
	}

	// A phone needs no sideways scrolling; dark mode is dark, and draws again.
	do(chromedp.EmulateViewport(390, 800))
	if w := js[float64](t, ctx, `document.documentElement.scrollWidth`); w > 390 {
		t.Errorf("on a phone of 390 points the page is %v wide", w)
	}
	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, dark)
		return err
	}))
	if c := js[string](t, ctx, `getComputedStyle(document.body).backgroundColor`); c != "rgb(15, 20, 26)" {
		t.Errorf("the dark page is %s", c)
	}
	if e := js[string](t, ctx, `document.documentElement.dataset.error || ""`); e != "" {
		t.Errorf("the page reports %q", e)
	}
}
