package mock

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Misdeed is what the broker does wrong.
type Misdeed string

// The misdeeds. Those about produce requests happen once, at the request that Options.At says, and those that undo the end of a
// transaction once, too. Where a batch is kept back, repeated or refused, producers must not be idempotent: kfake would notice
// the holes in their numbering.
const (
	Honest      Misdeed = ""             // nothing
	Lose        Misdeed = "lose"         // confirms a batch, at an offset far ahead, and does not keep it
	Rollback    Misdeed = "rollback"     // confirms a batch at an offset that another one has as well, and does not keep it
	Repeat      Misdeed = "repeat"       // stores a batch twice
	Reorder     Misdeed = "reorder"      // confirms a batch and stores it only after many successors
	Corrupt     Misdeed = "corrupt"      // changes a byte of a value on its way into the log, and makes the batch's checksum match
	Garble      Misdeed = "garble"       // changes a byte of a value on its way to a reader: the batch's checksum does not match
	Misplace    Misdeed = "misplace"     // stores a batch, and names another one's offset in its confirmation
	KeepRefused Misdeed = "keep refused" // refuses a batch and stores it all the same
	ShowAborted Misdeed = "show aborted" // serves readers with read_committed what belongs to aborted transactions
	UndoCommit  Misdeed = "undo commit"  // says that a transaction is committed, and aborts it
	UndoAbort   Misdeed = "undo abort"   // says that a transaction is aborted, and commits it
	Forget      Misdeed = "forget"       // confirms what groups commit, and keeps only the first commit of each partition
	Freeze      Misdeed = "freeze"       // does nothing at all for Options.Pause
)

// Network is a network in memory, for a test in a bubble of its own time (testing/synctest): real connections would keep the
// bubble's clock from moving. Clients dial with its DialContext.
type Network = kfake.VirtualNetwork

// Options of Start. The zero value is an honest broker without delays.
type Options struct {
	Misdeed Misdeed
	At      int           // the produce request at which it happens, from 1; default 40, beyond what a run sends to warm up
	Pause   time.Duration // Freeze: for how long; default 2 s
	Delays  *Delays       // nil: answers at once
	Network *Network      // nil: the loopback
}

func (o *Options) defaults() {
	if o.At == 0 {
		o.At = 40
	}
	if o.Pause == 0 {
		o.Pause = 2 * time.Second
	}
}

// Broker is one running broker. Its methods may be called from any goroutine.
type Broker struct {
	*kfake.Cluster
	opts     Options
	requests atomic.Int64 // produce requests so far
	done     atomic.Int64
	closing  chan struct{}
	wg       sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu
}

// Start starts a broker on a free port of the loopback. The caller closes it.
func Start(opts Options) (*Broker, error) {
	opts.defaults()
	b := &Broker{opts: opts, closing: make(chan struct{})}
	conf := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "10"}),
	}
	listen := net.Listen
	if opts.Network != nil {
		listen = opts.Network.Listen
		conf = append(conf, kfake.Ports(9092)) // a virtual network has no free ports to choose from
	}
	wire := &garbler{broker: b, network: listen}
	c, err := kfake.NewCluster(append(conf, kfake.ListenFn(wire.listen))...)
	if err != nil {
		return nil, fmt.Errorf("starting the mock broker: %w", err)
	}
	b.Cluster = c
	switch opts.Misdeed {
	case Honest:
	case Lose:
		b.atProduce(b.lose)
	case Rollback:
		b.atProduce(b.rollback)
	case Repeat:
		b.atProduce(b.repeat)
	case Reorder:
		b.reorder()
	case Corrupt:
		b.atProduce(b.corrupt)
	case Garble:
		b.atProduce(wire.arm)
	case Misplace:
		b.atProduce(b.misplace)
	case KeepRefused:
		b.atProduce(b.keepRefused)
	case ShowAborted:
		b.showAborted()
	case UndoCommit:
		b.undo(true)
	case UndoAbort:
		b.undo(false)
	case Forget:
		b.forget()
	case Freeze:
		b.atProduce(b.freeze)
	default:
		c.Close()
		return nil, fmt.Errorf("the mock broker knows no misdeed %q", opts.Misdeed)
	}
	if opts.Delays != nil {
		b.delay()
	}
	return b, nil
}

// Close stops the broker, and waits for what it started.
func (b *Broker) Close() {
	close(b.closing)
	b.Cluster.Close()
	b.wg.Wait()
}

// Done is how often the misdeed was done so far.
func (b *Broker) Done() int { return int(b.done.Load()) }

// Err is what kept the broker from its misdeed, nil if nothing did.
func (b *Broker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *Broker) fail(err error) {
	b.mu.Lock()
	b.err = errors.Join(b.err, err)
	b.mu.Unlock()
}
