package broker

import "os"

// hostName is what other machines are told to connect to when the broker listens on all addresses, as Kafka does it.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
