// Package proxy is a network that can be broken: TCP links that pass Kafka frames on and, when told to, delay them, hold them
// back, thin their bandwidth, or stall them as if segments had been lost. It needs no root, since it works above TCP. It
// decides nothing: who is struck, when and for how long is the fault room's business.
//
//	                 Net: links and the rules that hold on them
//	client --> Front --> Link (one for each broker) --> broker        a Front rewrites the brokers' addresses in answers
//	broker --------> Link (one for each pair) ------> other broker    they were told the link's address to begin with
//
//	up:    dialler's socket --> frames --> queue, each parcel with its due time --> upstream's socket
//	down:  the same the other way round, with the addresses in Metadata and others rewritten
//
// What TCP makes of a broken network is played, not the packets: nothing is ever lost or repeated inside a connection. A held
// direction keeps what was sent, and the connection's end too, and delivers it once the hold is over, as retransmissions would.
//
// Invariants:
//
//	X1  Bytes of one direction of a connection arrive in order, each once, and unchanged but for brokers' addresses and for
//	    the highest versions of the few requests whose answers hold addresses.
//	X2  Memory is bounded: queueLen parcels of parcelSize bytes for each direction of a connection, maxRewrite for an answer
//	    that is rewritten, maxPending requests without an answer, maxConns connections of a link, maxLinks links of a net.
//	X3  A client of a Front that follows the answers never connects to a broker but through the Front.
//	X4  A rule holds also for links that come after it, until it is undone.
//	X5  Close ends every connection and goroutine.
package proxy
