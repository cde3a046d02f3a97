// Command fakestreambus stands in for `streambus broker` in tests: kfake behind the same command line. FAKE_STREAMBUS picks a
// fault: "crash" exits 3 once something connected after the first answer, "deaf" ignores SIGTERM, "mute" never listens,
// "refuse" ends at once. Its failpoints write down what they are told and claim that 10 more operations felt it each time;
// "garbled points" says something else, "silent points" nothing, and "no points" closes the line, as one that has none does;
// "starving" does not start on a full disk.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	if len(os.Args) < 4 || os.Args[1] != "broker" || os.Args[2] != "--data-dir" {
		fail("usage: streambus broker --data-dir DIR [--set KEY=VALUE]…, got", os.Args[1:])
	}
	listener := ""
	for _, a := range os.Args[4:] {
		if v, ok := strings.CutPrefix(a, "listeners=PLAINTEXT://"); ok {
			listener = v
		}
	}
	fault := os.Getenv("FAKE_STREAMBUS")
	if err := os.MkdirAll(os.Args[3], 0o755); err != nil {
		fail(err)
	}
	fmt.Fprintln(os.Stderr, "starting on", listener)
	if fd, err := strconv.Atoi(os.Getenv("STREAMBUS_FAILPOINTS")); err == nil {
		points(os.NewFile(uintptr(fd), "failpoints"), fault)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	switch fault {
	case "refuse":
		fail("data directory is locked")
	case "mute":
		<-signals
		return
	}
	_, port, err := net.SplitHostPort(listener)
	if err != nil {
		fail(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		fail(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(n))
	if err != nil {
		fail(err)
	}
	if fault == "crash" {
		c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			fmt.Fprintln(os.Stderr, "panic: something terrible happened")
			os.Exit(3)
			return nil, nil, false
		})
	}
	<-signals
	if fault == "deaf" {
		<-signals // and never again
	}
	c.Close()
}

// points answers the first word, and the others in the background.
func points(line *os.File, fault string) {
	switch fault {
	case "no points":
		_ = line.Close()
		return
	case "silent points":
		return
	}
	in, told := bufio.NewScanner(line), 0
	answer := func() bool {
		if !in.Scan() {
			return false
		}
		fmt.Fprintln(os.Stderr, "points:", in.Text())
		if fault == "starving" && told == 0 && strings.Contains(in.Text(), "full=true") {
			fail("no space left on device")
		}
		id, _, _ := strings.Cut(in.Text(), " ")
		if fault == "garbled points" {
			id = "ERR"
		}
		told += 10
		_, err := fmt.Fprintf(line, "%s ok slowed=%d refused=%d misled=%d\n", id, told, 2*told, 3*told)
		return err == nil
	}
	if answer() {
		go func() {
			for answer() {
			}
		}()
	}
}

func fail(a ...any) {
	fmt.Fprintln(os.Stderr, a...)
	os.Exit(1)
}
