// Package api answers the requests of the Kafka protocol, one file per API key. It is the only room where wire messages and
// the engine's batches and spans meet.
//
// It decides nothing that another room owns: topics says what exists, partition what is committed, group who is a member.
// It translates, checks what only the protocol can be wrong about, and maps errors onto Kafka's codes (codes.go).
//
//	session.go   one connection: header, version, errors that close
//	table.go     which keys and versions are served, by which handlers
//	pending.go   responses that are there, or that wait
//	NN_name.go   the handlers
//
// # Invariants
//
//	A1  A produce request is acknowledged only when every batch taken from it is committed, that is flushed. That holds for
//	    acks=1 as for acks=all: the leader's acknowledgement is a promise too.
//	A2  Record bytes are not copied: they are appended from the frame that they came in, which the engine releases, and are
//	    fetched as spans that the socket sends from the file.
//	A3  A request that cannot be decoded closes the connection, with one log line; one that can is answered in its own version.
//	A4  Requests of one connection are begun in order. What a request changes is seen by the next one of the connection, but what
//	    DeleteRecords does, which is seen by those that come after its response.
//	A5  What is advertised is what the table has, and nothing else is answered. It contains the exact versions that old clients
//	    probe for; Produce 0 to 2 are advertised and refused.
//
// Not here yet: authorisation (all is allowed: requests about ACLs hear that there is no authorizer), SASL (a listener in the clear has
// nothing to log in to).
package api
