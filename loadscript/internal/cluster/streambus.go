package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find returns the streambus binary: the one asked for, else the one beside this program, else the one in PATH.
func Find(asked string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("%w at %s: %w", ErrNoBinary, asked, err)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "streambus")); err == nil {
				return path, nil
			}
		}
	}
	if path, err := exec.LookPath("streambus"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: neither beside loadscript nor in PATH. Build it with `go build -o bin/ ./broker/cmd/streambus ./loadscript/cmd/loadscript`, "+
		"or say where it is with --streambus PATH, or name a running cluster with --brokers HOST:PORT", ErrNoBinary)
}

// prepareStreamBus makes the one node that there is.
func (c *Cluster) prepareStreamBus(context.Context) error {
	binary, err := Find(c.opts.Binary)
	if err != nil {
		return err
	}
	c.opts.Binary = binary
	port, err := freePort()
	if err != nil {
		return err
	}
	web, err := freePort()
	if err != nil {
		return err
	}
	n := &node{id: 1, addr: fmt.Sprintf("127.0.0.1:%d", port), http: fmt.Sprintf("127.0.0.1:%d", web), log: c.logFile(1), name: binary, faults: map[*ailment]bool{}}
	n.command = func() *exec.Cmd {
		args := []string{"broker", "--data-dir", filepath.Join(c.dir, "data")}
		for _, s := range append([]string{
			"listeners=PLAINTEXT://" + n.addr, "http.listeners=http://" + n.http, "group.initial.rebalance.delay.ms=100", "commit.log.file.bytes=67108864",
		}, c.opts.Config...) {
			args = append(args, "--set", s)
		}
		return exec.Command(binary, args...)
	}
	c.nodes = []*node{n}
	return nil
}
