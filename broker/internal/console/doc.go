// Package console is the broker's HTTP listener: is it alive, may it be sent traffic, what are its numbers. It has nothing to change
// anything with, shows no record, and does not know what a broker is: it asks a Source.
//
//	/healthz         200 while the process is alive and its disk can be written; asks no other broker, and never waits for one
//	/readyz          200 when the broker serves; else 503; JSON with the state and the reasons either way
//	/metrics         StreamBus's own metrics, the Go runtime's and the process's
//	/metrics/kafka   the names of Kafka's usual exporters
//	/debug/pprof/    Go's profiles, only where Options.Pprof says so
//
// It is open before recovery begins and until everything else is closed, so that probes see both.
//
// # Invariants
//
//	H1  Probes queue behind nothing of the Kafka listener's: no lock, goroutine or budget is shared with requests.
//	H2  Whoever connects can take maxConns connections and no more, each for bounded time.
//	H3  On loopback, a request for another host's name is refused: a web page whose name was pointed at 127.0.0.1 (DNS rebinding)
//	    reads nothing. Nothing is sent that allows other origins.
//	H4  http.DefaultServeMux is not used: net/http/pprof registers itself there.
//	H5  Close returns when every goroutine of the package has.
package console
