package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
)

func (c *Cluster) node(addr string) (*node, error) {
	for _, n := range c.nodes {
		if n.addr == addr {
			return n, nil
		}
	}
	return nil, fmt.Errorf("cluster: %s is not a broker of this run: %v are", addr, c.Addrs())
}

// running is the node's process if it has not ended.
func (c *Cluster) running(addr string) (*node, *process, error) {
	n, err := c.node(addr)
	if err != nil {
		return nil, nil, err
	}
	p := n.process()
	if p.gone() {
		return nil, nil, fmt.Errorf("cluster: %s on %s is down already", n.name, addr)
	}
	return n, p, nil
}

// Kill ends the process of the broker at addr as a kill -9 does. It is gone when Kill returns.
func (c *Cluster) Kill(addr string) error {
	_, p, err := c.running(addr)
	if err == nil {
		p.kill()
	}
	return err
}

// Shutdown asks the broker at addr to end, and waits. One that does not end in time is killed, and that is an error.
func (c *Cluster) Shutdown(addr string) error {
	n, p, err := c.running(addr)
	if err != nil {
		return err
	}
	if !p.terminate(c.opts.Stop) {
		p.kill()
		return fmt.Errorf("cluster: %s on %s did not end within %s of SIGTERM and was killed", n.name, addr, c.opts.Stop)
	}
	return nil
}

// Launch starts the broker at addr again, with the same address and data, and waits until it answers. One that ends because its disk is
// full is started again and again until there is room, or ctx ends, as whoever watches over brokers would.
func (c *Cluster) Launch(ctx context.Context, addr string) error {
	n, err := c.node(addr)
	if err != nil {
		return err
	}
	if p := n.process(); !p.gone() {
		return fmt.Errorf("cluster: %s on %s runs already", n.name, addr)
	}
	for {
		err := c.launch(ctx, n)
		if err == nil || !n.process().starved() {
			return err
		}
		if pace.Sleep(ctx, relaunch) != nil {
			return err
		}
	}
}

// relaunch is how long a broker that found no room is left alone.
const relaunch = 500 * time.Millisecond

func (c *Cluster) launch(ctx context.Context, n *node) error {
	if err := c.spawn(n); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Ready)
	defer cancel()
	if err := c.await(ctx, n, 1); err != nil {
		return err
	}
	n.process().ready.Store(true)
	return nil
}

// Pause stops the process of the broker at addr where it is (SIGSTOP): its connections stay open and say nothing.
func (c *Cluster) Pause(ctx context.Context, addr string) error {
	_, p, err := c.running(addr)
	if err != nil {
		return err
	}
	return p.freeze(ctx, true)
}

// Resume lets it go on.
func (c *Cluster) Resume(ctx context.Context, addr string) error {
	_, p, err := c.running(addr)
	if err != nil {
		return err
	}
	return p.freeze(ctx, false)
}
