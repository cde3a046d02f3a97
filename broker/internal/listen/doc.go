// Package listen accepts connections and moves frames: requests in, responses out, in order. It knows sizes, deadlines and
// limits; it does not know what a request says (the Handler does) and it stores nothing.
//
//	accept ──▶ Conn ──▶ reader goroutine: prefix, limits, pooled Frame ──▶ Session.Serve ──▶ queue of Pending
//	                    writer goroutine: Pending.Finish, in the order of arrival ──▶ Out ──▶ socket (bytes, sendfile)
//
// A request that must wait (a flush, a long poll, a rebalance) waits in its Pending, not in the reader, so the next
// request of the connection is begun meanwhile. Responses leave in order, so the writer has only the first Pending to wait
// for: a waiting request costs no goroutine of its own.
//
// # Invariants
//
//	L1  Responses leave in the order in which the requests came, each whole.
//	L2  Memory for a frame is taken as its bytes arrive, never on the word of its prefix, and never beyond the connections'
//	    common budget.
//	L3  A connection that sends nothing, sends slowly, or does not read is closed in bounded time, unless it waits for an answer.
//	    A client that is held up (Muter) is not read from for as long, and no longer than an idle one is kept.
//	L4  A panic in a connection closes that connection only; it is counted and logged with its stack, as a bug.
//	L5  A Frame goes back to the pool when the last of its owners has released it, and not before.
//	L6  Shutdown returns when every goroutine of the package has.
//
// # Locks
//
// Server.mu (connections), budget.mu. Neither is held across I/O, a channel operation that can block, or a call into a Session.
package listen
