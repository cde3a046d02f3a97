package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
	"golang.org/x/term"
)

// consumed is a record in JSON. Contents that are not UTF-8 are {"base64": "..."}; null is what is not there.
type consumed struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Time      string   `json:"time"`
	Key       any      `json:"key"`
	Value     any      `json:"value"`
	Headers   []header `json:"headers"`
}

type header struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func topicConsume(r *remote) *cobra.Command {
	o := admin.Consuming{}
	var from, layout string
	c := &cobra.Command{
		Use: "consume TOPIC[:PARTITION,...]", Short: "Print records as they come", Args: cobra.ExactArgs(1),
		Long: `Print records as they come, until an interrupt, --max records, or with --exit-at-end the end as it is now. No group is joined and
nothing is committed.

A layout is made of %t (topic), %p (partition), %o (offset), %d (time), %k (key), %v (value) and %h{...} (headers). On a terminal,
control characters in records are shown as \x1b and the like. With --format json each record is one line.
` + places,
		Example: `  streambus topic consume orders                                       what comes from now on
  streambus topic consume orders --from start --exit-at-end            all there is
  streambus topic consume orders:0 --from -10 --max 10 --layout '%o %k=%v\n'
  streambus topic consume orders --from @-1h --format json | jq .value`,
		RunE: r.on(func(ctx context.Context, c *cobra.Command, a *admin.Client, args []string) (err error) {
			if o.Topic, o.Partitions, err = admin.ParseTopicPartitions(args[0]); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			if o.From, err = admin.ParseTarget(from, time.Now()); err != nil {
				return fmt.Errorf("%w: --from: %w", errUsage, err)
			}
			print, err := admin.Layout(unescape(layout))
			if err != nil {
				return err
			}
			if r.format.json {
				print = asJSON
			}
			out := bufio.NewWriter(safe(c.OutOrStdout()))
			var buf []byte
			n, err := a.Consume(ctx, o, func(rec *admin.Record) error {
				buf = print(buf[:0], rec)
				if _, err := out.Write(buf); err != nil {
					return err
				}
				return out.Flush()
			})
			noun := "records"
			if n == 1 {
				noun = "record"
			}
			fmt.Fprintln(c.ErrOrStderr(), n, noun)
			return err
		}),
	}
	c.Flags().StringVar(&from, "from", "end", "the `PLACE` to begin at")
	c.Flags().Int64VarP(&o.Max, "max", "n", 0, "stop after so many records; 0: never")
	c.Flags().BoolVarP(&o.ToEnd, "exit-at-end", "e", false, "stop at the end as it is now")
	c.Flags().BoolVar(&o.Committed, "read-committed", false, "leave out what belongs to open or aborted transactions")
	c.Flags().StringVar(&layout, "layout", `%v\n`, "how each record is printed")
	return c
}

func asJSON(dst []byte, r *admin.Record) []byte {
	c := consumed{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UTC().Format(time.RFC3339Nano), Key: content(r.Key), Value: content(r.Value), Headers: []header{}}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, header{h.Key, content(h.Value)})
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("consumed cannot be JSON: " + err.Error()) // strings and numbers can
	}
	return append(append(dst, b...), '\n')
}

func content(b []byte) any {
	switch {
	case b == nil:
		return nil
	case utf8.Valid(b):
		return string(b)
	}
	return map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
}

// safe keeps what records hold from steering the terminal. Files and pipes get the bytes as they are.
func safe(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return printable{w}
	}
	return w
}

// printable shows control characters, but for line ends and tabs, as \x1b.
type printable struct{ io.Writer }

// Write implements io.Writer.
func (p printable) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b))
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '\n' || r == '\t' || r != utf8.RuneError && !unicode.IsControl(r):
			out = append(out, rest[:n]...)
		default:
			for _, x := range rest[:n] {
				out = fmt.Appendf(out, `\x%02x`, x)
			}
		}
		rest = rest[n:]
	}
	if _, err := p.Writer.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
