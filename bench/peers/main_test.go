package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReportPairsRoundsAndGivesMedians(t *testing.T) {
	all := map[string][]figures{
		"streambus-fsync": {{"start/all": 1, "produce/client": 50}, {"start/all": 4, "produce/client": 60}, {"start/all": 2, "produce/client": 70}},
		"kafka":           {{"start/all": 2, "produce/client": 100}, {"start/all": 2, "produce/client": 100}, {"start/all": 2, "produce/client": 100}},
	}
	var out bytes.Buffer
	if err := report(&out, all); err != nil {
		t.Fatal(err)
	}
	want := "BenchmarkPeer/measure=produce-MB_s/driver=client/better=more/peer=kafka/streambus=fsync\t3\t60 streambus\t100 peer\t0.6 x-peer\t0.5 x-peer:min\t0.7 x-peer:max\n" +
		"BenchmarkPeer/measure=start-s/driver=all/better=less/peer=kafka/streambus=fsync\t3\t2 streambus\t2 peer\t1 x-peer\t0.5 x-peer:min\t2 x-peer:max\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestToolsAreRead(t *testing.T) {
	all := produced.FindAllStringSubmatch("5 records sent, 1.0 records/sec (9.00 MB/sec), 7.83 ms avg latency\n200000 records sent, 50890.585242 records/sec (49.70 MB/sec), 7.83 ms avg latency, 268.00 ms max latency.\n", -1)
	if len(all) != 2 || all[1][1] != "200000" || all[1][3] != "49.70" {
		t.Errorf("producer: %q", all)
	}
	m := consumed.FindStringSubmatch("start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms\n2026-11-25 23:00:00:123, 2026-11-25 23:00:04:456, 195.3125, 45.0768, 200000, 46158.5506, 3461, 872, 223.9822, 229357.7982\n")
	if m == nil || m[2] != "45.0768" || m[3] != "200000" {
		t.Errorf("consumer: %q", m)
	}
	line, err := benchLine("script: x\nBenchmarkLoad/scenario=peer/stage=up 5 7 p50-ns\nBenchmarkLoad/scenario=peer/stage=all 4000 1998.5 records/s 1640447 p50-ns\n")
	if err != nil || line["p50-ns"] != 1640447 || line["records/s"] != 1998.5 {
		t.Errorf("loadscript: %v, %v", line, err)
	}
	if _, err := benchLine("script: x\n"); err == nil {
		t.Error("no line, and no error")
	}
}

// TestDriverAgainstItself runs all that a round asks of NATS against a server of this process, which needs nothing installed.
func TestDriverAgainstItself(t *testing.T) {
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newNATS(filepath.Join(t.TempDir(), "data"), addr, true)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	d, err := openNATS(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.create(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	n, err := d.produce(short, "t", payloads())
	if err != nil || n == 0 {
		t.Fatalf("%d records produced: %v", n, err)
	}
	if err := d.consume(ctx, "t", n); err != nil {
		t.Fatal(err)
	}
	if err := d.create(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	acks, received, err := d.offer(ctx, "r", 100)
	if err != nil || len(acks) != 100 || len(received) != 100 {
		t.Fatalf("%d acknowledged, %d received of 100: %v", len(acks), len(received), err)
	}
	for i := range acks {
		if acks[i] <= 0 || received[i] <= 0 {
			t.Errorf("record %d was acknowledged %v and received %v after it was due", i, acks[i], received[i])
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	p := &paths{streambus: "/nowhere/streambus"}
	if err := p.check(p.sides()); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got %v", err)
	}
	if err := (&paths{jars: "/nowhere"}).kafkaMissing(); err == nil || !strings.Contains(err.Error(), "leave Kafka out") {
		t.Errorf("got %v", err)
	}
	if err := run(t.Context(), []string{"nats", "rabbit"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "rabbit: no such peer") {
		t.Errorf("a peer that is not known: %v", err)
	}
	if got := len(p.chosen([]string{"nats"})); got != 4 {
		t.Errorf("NATS alone gives %d sides, want 2 and StreamBus's 2", got)
	}
}

func TestSettingsAreSaid(t *testing.T) {
	p := &paths{jars: t.TempDir()}
	var out bytes.Buffer
	p.describe(&out, p.sides())
	for _, want := range []string{"\nsettings: records of 1 KiB", "\nmemory-before: all but 512 MiB of what is free is made page cache before each side starts\n", "\nsettings-kafka-flush: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
