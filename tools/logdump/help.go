package main

const help = `logdump prints what the files of a StreamBus data directory hold, and checks them.

Usage:
  logdump [flags] PATH...

PATH is a data directory, a log's folder, or one file of them; its name says what it is, or else its first bytes:
  checkpoint                 how far each log is durable without the commit log
  commit/*.commit, *.spare   the commit log: frames and their entries
  LOG/log.meta               the id of a log
  LOG/*.log                  a segment: record batches as Kafka stores them
  LOG/*.index, *.timeindex   where to look for an offset, a time (Kafka's layout)
  LOG/*.seal                 checksums of every 64 KiB of a full segment
  LOG/recap                  a log's index, producers and epochs, for a quick start
  .lock                      which process uses the directory

Flags:
  --verify          check only, and print what is wrong; a data directory is checked as a whole and byte for byte: every CRC, the
                    offsets without gaps, seals, indexes against the log, the commit log's frames, the checkpoint against the logs
  --records         a row for each record too (and for each block of a seal)
  --values          keys, values and headers too; implies --records
  --from OFFSET     leave out batches, records and index entries below the offset
  --max N           at most N rows of a file; what follows is neither shown nor checked
  --compacted       gaps between offsets are no damage: the logs are compacted
  --format FORMAT   text (default) or json: one object a line
  --help            this text

Output:
  Text is in columns: each line begins with the kind of row, and a line that begins with # names the columns, whenever they change.
  No column is empty ("-" is nothing) and none holds a space, but for the words that end a finding. Contents are quoted as in Go,
  with \x20 for a space; null is the key or value that is not there. Times are UTC. "at" is the byte of the file where it begins.
  In json, times are milliseconds, and contents that are not UTF-8 are {"base64": "..."}.
  Findings are lines of the kind damage or note. A note is nothing to worry about: what a crash may leave and nobody was promised.
  At the end, --verify prints a line of counts to stderr.

A running broker:
  logdump takes no lock and may be run beside a broker; it changes nothing. But files change while it reads: the newest batch or frame
  may be half written, a file may go. So look again: what was only being written is gone then, damage is still there. For an
  answer that holds, stop the broker, or take a snapshot of the file system and verify that.

Exit code:
  0  good
  1  damage was found
  2  wrong usage, or something could not be read

Examples:
  logdump --verify /var/lib/streambus
      Is everything well? "0 damaged", and exit code 0, if so.
  logdump /var/lib/streambus/orders-0/00000000000000000000.log
      The batches of a segment.
  logdump --records --values --from 4711 --max 3 /var/lib/streambus/orders-0
      Record 4711, and a little more.
  logdump /var/lib/streambus/orders-0/*.log | awk '$1=="batch" {n[$13]++; b[$13]+=$5} END {for (c in n) print c, n[c], b[c]}'
      How many batches and bytes there are of each codec.
  logdump --format json /var/lib/streambus/checkpoint | jq 'select(.kind=="log") | {name, start, end}'
      Where each log begins and ends.
  logdump /var/lib/streambus/commit | awk '$1=="frame" {print $5}' | sort -n | uniq -c
      How large the group commits were, in entries.

What no check can see: a last frame of the commit log that was flushed and then lost looks like one that was never finished, unless a
mark lies behind it; the leader epochs of batches above the checkpoint, or in a segment that was rolled and has no seal yet.
`
