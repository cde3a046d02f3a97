// Command direct is the experiment of decision 3 of the storage engine: does it pay to write a large batch once, to its segment, with
// a reference in the commit log, instead of twice? It does only the I/O of each way, in rounds of batches over eight files:
//
//	twice    what the engine does: all batches in one frame of the commit log (zeros written before, overwritten), one fdatasync;
//	         beside it the same batches to their segments, buffered; checkpoints (fdatasync of the segments) as the log turns
//	once     each batch to its segment only, and durable there; beside it one 4 KiB frame of references in the commit log
//	device   1 MiB pwrite + fdatasync, overwriting: the limit that the others are measured against
//
//	go run ./bench/direct -dir /var/tmp/direct -bytes 4294967296 -runs 3
//
// A round is durable, by its way's own rules, before the next one begins; the time includes making the segments durable at the end,
// so that no way leaves work behind. Batches lie at no particular address, as network buffers do: the ways with O_DIRECT copy them
// to aligned memory first. No two batches have the same bytes. Ways alternate, medians are printed.
//
// It is NOT an engine: frames have no checksums, nothing can be recovered. Batches are multiples of 4 KiB, which flatters O_DIRECT:
// real ones end anywhere, so that the last page of a batch would be written again with the next one.
package main
