package listen

import (
	"fmt"
	"time"
)

// errHTTP is the class of requests that were made in HTTP.
var errHTTP = fmt.Errorf("%w: an HTTP request", errFrame)

// stranger recognises, where a frame's size should be, how other protocols begin: people point browsers, health checks, TLS clients and
// load balancers at this port, and a size of 1,195,725,856 bytes tells them nothing. nil: none that is known.
func stranger(prefix [4]byte) error {
	if prefix[0] == 0x16 && prefix[1] == 3 {
		return fmt.Errorf("%w: the client speaks TLS, and this listener is in the clear: the client needs security.protocol=PLAINTEXT", errFrame)
	}
	switch string(prefix[:]) {
	case "GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "PRI ":
		return fmt.Errorf("%w; this port speaks Kafka's protocol, health and metrics are served at http.listeners", errHTTP)
	case "PROX", "\r\n\r\n":
		return fmt.Errorf("%w: a load balancer's PROXY header; it must be switched off there, Kafka's protocol has none", errFrame)
	case "SSH-":
		return fmt.Errorf("%w: an SSH client", errFrame)
	}
	return nil
}

const httpRefusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This port speaks Kafka's protocol, not HTTP. Health and metrics are served at the broker's http.listeners.\n"

// refuseHTTP tells an HTTP client in its own words where it is. Nothing else may be under way on the connection.
func (c *conn) refuseHTTP() {
	c.parting = true
	_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTime)) // who does not read has lost a courtesy
	_, _ = c.nc.Write([]byte(httpRefusal))
}
