package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serveNATS makes this program a NATS server: peers serve-nats DIR ADDR [always].
const serveNATS = "serve-nats"

func runNATS(args []string) error {
	if len(args) < 2 {
		return errors.New("want a folder and an address")
	}
	s, err := newNATS(args[0], args[1], len(args) > 2 && args[2] == "always")
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the server is not ready")
	}
	fmt.Println("ready", args[1])
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, os.Interrupt)
	<-ended
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

func newNATS(dir, addr string, always bool) (*server.Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return server.NewServer(&server.Options{Host: host, Port: n, JetStream: true, StoreDir: dir, NoSigs: true, SyncAlways: always})
}
