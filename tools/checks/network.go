package checks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/streambus/streambus/wire"
)

// The probe of the network.
const (
	roundTrips     = 20
	slowestTrip    = 5 * time.Millisecond // what the guide calls the same data centre
	connectTimeout = 5 * time.Second
	answerLimit    = 4 << 20 // bytes of one answer that are read at most

	// The bandwidth probe asks for the metadata of topics by names that no topic can have, they are so long, and forbids their creation
	// besides: the names go one way in the request and come back in the answer, nothing is stored, and any Kafka answers it.
	namesInRequest  = 32
	nameBytes       = 16 << 10
	bandwidthRounds = 32
)

// network connects to a broker, asks ApiVersions a few times, and on request moves some MiB.
func network(ctx context.Context, broker string, secure *tls.Config, bandwidth bool) []Result {
	r := Result{Condition: "round trip to " + broker, Required: fmt.Sprintf("median <= %v", slowestTrip), Severity: Warning}
	if _, _, err := net.SplitHostPort(broker); err != nil {
		broker = net.JoinHostPort(broker, "9092")
	}
	c, err := dial(ctx, broker, secure)
	if err == nil {
		defer func() { _ = c.Close() }() // it was only read from
		var trips []time.Duration
		if trips, err = ping(c); err == nil {
			median := trips[len(trips)/2]
			r.Current, r.Passed = fmt.Sprintf("median %v, longest %v", rounded(median), rounded(trips[len(trips)-1])), median <= slowestTrip
			if !r.Passed {
				r.Do = "every acks=all waits at least that long: run the load nearer to the broker, or say so beside the figures"
			}
		}
	}
	if err != nil {
		r.Required, r.Severity = "an answer to ApiVersions", Stop
		r.Current, r.Do = err.Error(), "start the broker, or name its host:port; for a listener with TLS add --tls"
		return []Result{r}
	}
	if !bandwidth {
		return []Result{r}
	}
	b := Result{Condition: "bandwidth with " + broker, Required: "any", Severity: Warning}
	if sent, received, err := stream(c); err != nil {
		b.Current, b.Do = err.Error(), "the broker did not answer large Metadata requests: leave --bandwidth out"
	} else {
		b.Current, b.Passed = fmt.Sprintf("at least %s/s there and %s/s back", Bytes(sent), Bytes(received)), true
	}
	return []Result{r, b}
}

func dial(ctx context.Context, broker string, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var c net.Conn
	var err error
	if secure != nil {
		c, err = (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", broker)
	} else {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", broker)
	}
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(2 * connectTimeout)) // for all that follows
}

// ping asks for the versions and gives the times, sorted. Brokers answer it before any login.
func ping(c net.Conn) ([]time.Duration, error) {
	q := wire.NewRequest(wire.KeyAPIVersions)
	frame := wire.AppendRequestFrame(nil, wire.RequestHeader{ClientID: "preflight", HasClientID: true}, q)
	var trips []time.Duration
	for range roundTrips {
		start := time.Now()
		if _, err := c.Write(frame); err != nil {
			return nil, err
		}
		answer, err := wire.ReadFrame(c, answerLimit, nil)
		if errors.Is(err, wire.ErrFrameTooLarge) { // such as HTTP/1.1 400
			return nil, fmt.Errorf("what answers is no Kafka broker, or speaks TLS: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("no answer to ApiVersions: %w", err)
		}
		trips = append(trips, time.Since(start))
		if _, body, err := wire.DecodeResponseHeader(answer, wire.KeyAPIVersions, 0); err != nil {
			return nil, err
		} else if err := wire.Decode(wire.NewResponse(wire.KeyAPIVersions), 0, body); err != nil {
			return nil, fmt.Errorf("that is no Kafka broker: %w", err)
		}
	}
	slices.Sort(trips)
	return trips, nil
}

// stream sends large requests one after another without waiting, and reads the answers beside: bytes a second of each way.
func stream(c net.Conn) (sent, received int64, err error) {
	const version = 4 // the first that can forbid creation
	q := &wire.MetadataRequest{AllowAutoTopicCreation: false}
	for i := range namesInRequest {
		q.Topics = append(q.Topics, wire.MetadataRequestTopic{Name: name(i)})
	}
	frame := wire.AppendRequestFrame(nil, wire.RequestHeader{Version: version, ClientID: "preflight", HasClientID: true}, q)
	begin := time.Now()
	wrote := make(chan error, 1)
	go func() { // ends with the last write, or when the deadline of c is over
		var err error
		for range bandwidthRounds {
			if _, err = c.Write(frame); err != nil {
				break
			}
		}
		wrote <- err
	}()
	for range bandwidthRounds {
		answer, readErr := wire.ReadFrame(c, answerLimit, nil)
		if readErr != nil {
			err = readErr
			_ = c.Close() // so that the writer ends
			break
		}
		received += int64(len(answer)) + wire.SizePrefixBytes
	}
	if writeErr := <-wrote; err == nil {
		err = writeErr
	}
	if err == io.EOF {
		err = fmt.Errorf("the broker closed the connection: %w", err)
	}
	took := time.Since(begin).Seconds()
	return int64(float64(len(frame)*bandwidthRounds) / took), int64(float64(received) / took), err
}

// name is one that no topic has.
func name(i int) *string {
	n := fmt.Sprintf("preflight-%0*d", nameBytes-10, i)
	return &n
}

// anyRemote says whether a broker is on another machine, as far as its name tells.
func anyRemote(brokers []string) bool {
	return slices.ContainsFunc(brokers, func(b string) bool {
		host := host(b)
		ip := net.ParseIP(host)
		return host != "localhost" && (ip == nil || !ip.IsLoopback())
	})
}

func host(broker string) string {
	if h, _, err := net.SplitHostPort(broker); err == nil {
		return h
	}
	return broker
}
