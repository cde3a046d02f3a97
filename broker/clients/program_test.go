//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errNotInstalled = errors.New("not installed")

// require gives the folder that install.sh made, or says why there is none.
func require(name string) (string, error) {
	dir := filepath.Join(installed(), name)
	if _, err := os.Stat(filepath.Join(dir, ".made")); err == nil {
		return dir, nil
	}
	why, err := os.ReadFile(dir + ".why")
	if err != nil {
		why = []byte("make test-clients installs it")
	}
	return "", fmt.Errorf("%s is %w: %s", name, errNotInstalled, bytes.TrimSpace(why))
}

func requireJars(t *testing.T, name string) string {
	t.Helper()
	dir, err := require(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// jvm gives the arguments of a JVM that starts quickly on few cores.
func jvm(jars string, args ...string) []string {
	return append([]string{"-cp", filepath.Join(jars, "*"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}, args...)
}

// program runs a program that prints "cell <tab> pass|fail|n.a. <tab> why" for each cell, and "version <tab> text".
func (r *run) program(cmd *exec.Cmd) error {
	r.t.Helper()
	var errs tail
	cmd.Stderr = &errs
	out, w := io.Pipe()
	cmd.Stdout = w
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.readResults(out)
	}()
	err := cmd.Wait()
	w.Close()
	<-done
	if text := strings.TrimSpace(errs.String()); text != "" && (err != nil || testing.Verbose()) {
		r.t.Logf("standard error:\n%.8000s", text)
	}
	return err
}

func (r *run) readResults(out io.Reader) {
	last := time.Now()
	for s := bufio.NewScanner(out); s.Scan(); {
		fields := strings.SplitN(s.Text(), "\t", 3)
		switch {
		case fields[0] == "version" && len(fields) == 2:
			r.version = fields[1]
		case len(fields) == 3:
			r.report(fields[0], fields[1], fields[2])
			r.t.Logf("%-26s %s %s (%.1fs)", fields[0], fields[1], fields[2], time.Since(last).Seconds())
		default:
			r.t.Log(s.Text())
		}
		last = time.Now()
	}
	_, _ = io.Copy(io.Discard, out)
}

// compileJava compiles a source against the jars, unless that has been done.
func compileJava(ctx context.Context, jars, source string) (classes string, err error) {
	classes = filepath.Join(installed(), "classes-"+filepath.Base(jars))
	made, source := filepath.Join(classes, strings.TrimSuffix(source, ".java")+".class"), filepath.Join("java", source)
	if a, err := os.Stat(made); err == nil {
		if b, err := os.Stat(source); err == nil && a.ModTime().After(b.ModTime()) {
			return classes, nil
		}
	}
	out, err := exec.CommandContext(ctx, "javac", "-nowarn", "-d", classes, "-cp", filepath.Join(jars, "*"), source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("javac: %w\n%s", err, out)
	}
	return classes, nil
}

// runJava runs all cells of one version of Kafka's Java clients in one JVM.
func runJava(name string) func(*run) error {
	return func(r *run) error {
		jars, err := require(name)
		if err != nil {
			return err
		}
		classes, err := compileJava(r.ctx, jars, "Clients.java")
		if err != nil {
			return err
		}
		args := jvm(jars, "Clients", r.peer.addr, r.prefix)
		args[1] += ":" + classes
		return r.program(exec.CommandContext(r.ctx, "java", args...))
	}
}

// runPython runs a program of the folder python.
func runPython(name string) func(*run) error {
	return func(r *run) error {
		dir, err := require("python")
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(r.ctx, filepath.Join(dir, "bin", "python"), "-B", filepath.Join("python", name), r.peer.addr, r.prefix)
		return r.program(cmd)
	}
}

func runNode(r *run) error {
	dir, err := require("node")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, "node", filepath.Join("node", "clients.js"), r.peer.addr, r.prefix)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING=1")
	return r.program(cmd)
}

// runSarama runs Sarama told to assume its default protocol version, or the newest that it knows.
func runSarama(version string) func(*run) error {
	return func(r *run) error {
		dir, err := require("sarama")
		if err != nil {
			return err
		}
		return r.program(exec.CommandContext(r.ctx, filepath.Join(dir, "sarama"), r.peer.addr, r.prefix, version))
	}
}
