//go:build clients

package clients

import (
	"os/exec"
)

// streams is the row of Kafka Streams.
var streams = []cell{
	{"word-count", "exactly_once_v2: 3,000 lines, killed in the middle, started again; every word is counted once", []int16{24, 25, 26, 28}},
}

func runStreams(r *run) error {
	jars, err := require("kafka-4")
	if err != nil {
		return err
	}
	classes, err := compileJava(r.ctx, jars, "WordCount.java")
	if err != nil {
		return err
	}
	args := jvm(jars, "WordCount", r.peer.addr, r.prefix, r.t.TempDir())
	args[1] += ":" + classes
	return r.program(exec.CommandContext(r.ctx, "java", args...))
}
