package main

const help = `wiredump says in words what Kafka clients and brokers send each other.

Usage:
  wiredump [flags] FILE                      a capture (tcpdump -w FILE 'port 9092'), or the raw bytes of a client
  wiredump [flags] --requests FILE --responses FILE
                                             the raw bytes of one connection, each direction in a file of its own
  wiredump [flags] --listen :9192 --to HOST:9092
                                             a proxy that tells what goes through it, until interrupted
FILE may be - for stdin.

Flags:
  --json            one object a line; no array is shortened
  --all             also fields that have Kafka's default value, or that the version does not carry
  --max N           elements of an array that the text shows (default 20; 0: all)
  --hex             FILEs are text: hexadecimal digits, or what xxd or hexdump -C prints
  --port PORT,..    where servers listen, for connections whose beginning is not in the capture (default 9092)
  --save FILE       the proxy also keeps all as a capture, which wiredump and Wireshark read
  --max-frame SIZE  bytes of the largest frame that is believed (default 104857600, as Kafka's socket.request.max.bytes)
  --help            this text

Output:
  A line for each request and each answer: time (UTC), number of the connection, who sends to whom, API and version, correlation id, client
  id, bytes without the size prefix, for an answer the time since its request; below it the fields that are not Kafka's defaults. Record
  batches are summed up, not shown. SASL bytes, salts, salted passwords and settings with such names are not shown.
  Other kinds of line: broken (no Kafka, or TLS), lost (the capture has a hole), unanswered. What could not be read is marked by !.

The proxy:
  Clients learn the addresses of the brokers from the first one and go there by themselves, past the proxy. So let the broker advertise it:
  streambus broker --data-dir ./data --set advertised.listeners=PLAINTEXT://127.0.0.1:9192
  It shows traffic in the clear only.

Exit code:
  0  all was understood
  1  something could not be read, or was lost
  2  wrong usage, or a file that cannot be read

Examples:
  tcpdump -U -i any -w - 'port 9092' | wiredump -
      Live, from beside the broker. tcpdump needs root.
  wiredump --json kafka.pcap | jq -r 'select(.kind=="response") | [.took_ns/1e6, .api, .connection] | @tsv' | sort -n | tail
      The slowest answers, in milliseconds.
  wiredump --json kafka.pcap | jq -c 'select(.problem)'
      What was odd.
`
