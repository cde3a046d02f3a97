package report

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// dump opens the page in Chromium and returns the document as it is after its scripts ran.
func dump(t *testing.T, r *Results) string {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no chromium in PATH: the page is not opened (apt-get install chromium)")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte(render(t, r)), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1280,2000", "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", "file://"+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	for _, l := range strings.Split(stderr.String(), "\n") {
		if strings.Contains(l, "CONSOLE") {
			t.Errorf("on the console: %s", l)
		}
	}
	return string(out)
}

func attribute(dom, name string) string {
	root := regexp.MustCompile(`<html[^>]*>`).FindString(dom)
	m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(root)
	if m == nil {
		return ""
	}
	return m[1]
}

func TestPageDrawsItsPlots(t *testing.T) { // R2, R4
	dom := dump(t, sample(hostile, 2, 60))
	if e := attribute(dom, "data-error"); e != "" {
		t.Errorf("the page reports %q", e)
	}
	if owned := attribute(dom, "data-owned"); owned != "" {
		t.Errorf("a name ran as code (%s)", owned)
	}
	if attribute(dom, "data-ready") != "yes" || attribute(dom, "data-plots") != "16" {
		t.Errorf("ready %q, %s plots; want yes and 8 per scenario", attribute(dom, "data-ready"), attribute(dom, "data-plots"))
	}
	if n := strings.Count(dom, "<canvas"); n != 16 {
		t.Errorf("%d canvases, want 16", n)
	}
}

func TestPageOfAPlausibleRun(t *testing.T) {
	r := plausible(180, 1)
	keepPage(t, "spike", render(t, r))
	dom := dump(t, r)
	if e := attribute(dom, "data-error"); e != "" || attribute(dom, "data-plots") != "13" {
		t.Errorf("error %q, %s plots; want all 13", e, attribute(dom, "data-plots"))
	}
	if strings.Contains(dom, `<p class="empty">`) {
		t.Error("a plot has nothing to draw")
	}
	for _, want := range []string{"kill leader(orders/0)", "4.20 s", "broker 3", "billing", "audit", "Slowest recovery", "SHA-256", "too short a run"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func TestPageOfARunWithoutData(t *testing.T) {
	r := sample("spike", 1, 1)
	r.Scenarios[0].Series, r.Scenarios[0].Curves = nil, nil
	r.Scenarios = append(r.Scenarios, Scenario{Name: "never", Error: "the cluster cannot be reached"})
	dom := dump(t, r)
	if e := attribute(dom, "data-error"); e != "" || attribute(dom, "data-ready") != "yes" || attribute(dom, "data-plots") != "0" {
		t.Errorf("error %q, ready %q, plots %q", e, attribute(dom, "data-ready"), attribute(dom, "data-plots"))
	}
	if !strings.Contains(dom, `<p class="empty">nothing to draw`) || !strings.Contains(dom, "Did not run") {
		t.Error("the page does not say what is missing")
	}
}
