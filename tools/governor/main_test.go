package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/tools/checks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sys makes a sysfs with one policy; none if the governor is empty.
func sys(t *testing.T, governor, driver string) string {
	t.Helper()
	root := t.TempDir()
	if governor == "" {
		return root
	}
	dir := filepath.Join(root, "devices/system/cpu/cpufreq/policy0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"scaling_governor": governor, "scaling_driver": driver,
		"scaling_available_governors": "performance powersave schedutil"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func governor(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		governor, driver string
		code             int
		want             []string
	}{
		{"performance", "acpi-cpufreq", exitFit, []string{"CPU governor, policy0", "performance (acpi-cpufreq)", "true"}},
		{"schedutil", "acpi-cpufreq", exitFit, []string{"warning", "false", "governor --set performance"}},
		{"powersave", "intel_pstate", exitFit, []string{"warning", "false"}}, // follows the load
		{"powersave", "acpi-cpufreq", exitFailure, []string{"fatal", "false", "lowest clock"}},
		{"", "", exitFit, []string{"no cpufreq", "true"}},
	} {
		code, out, errs := governor("--sys", sys(t, c.governor, c.driver))
		if code != c.code || errs != "" {
			t.Errorf("%s of %s: exit code %d, want %d: %s", c.governor, c.driver, code, c.code, errs)
		}
		for _, w := range append(c.want, "CONDITION", "REQUIRED", "CURRENT", "SEVERITY", "PASSED") {
			if !strings.Contains(out, w) {
				t.Errorf("%s of %s: no %q in\n%s", c.governor, c.driver, w, out)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	_, out, _ := governor("--json", "--sys", sys(t, "schedutil", "x"))
	var all []checks.Result
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Passed || all[0].Required != "performance" {
		t.Errorf("%+v", all)
	}
}

func TestSetRestore(t *testing.T) {
	root, state := sys(t, "schedutil", "acpi-cpufreq"), filepath.Join(t.TempDir(), "state.json")
	if code, out, errs := governor("--set", "performance", "--sys", root, "--state", state); code != exitFit || !strings.Contains(out, "true") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := governor("--restore", "--sys", root, "--state", state); code != exitFit || !strings.Contains(out, "schedutil") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs := governor("--restore", "--sys", root, "--state", state); code != exitFailure || !strings.Contains(errs, "nothing is remembered") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"performance"}, exitUsage, "did you mean --set performance?"},
		{[]string{"--set", "a", "--restore"}, exitUsage, "opposites"},
		{[]string{"--warp"}, exitUsage, "--help"},
		{[]string{"--set", "performance", "--sys", sys(t, "", "")}, exitFailure, "no cpufreq"},
		{[]string{"--set", "warp", "--sys", sys(t, "schedutil", "")}, exitFailure, "it has performance, powersave, schedutil"},
	} {
		if code, _, errs := governor(c.args...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, errs)
		}
	}
}
