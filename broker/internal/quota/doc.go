// Package quota says how long a client is to be held up that uses more than it was granted: bytes produced and fetched, processor time,
// changes of partitions, connections.
//
// It holds nobody up itself, and knows no connection, request or record: the api asks it, tells the client (throttle_time_ms) and has
// the connection not read for so long. The metadata keeps the quotas (meta); entity.go says what a quota may be, and whom of. Time is
// a parameter.
//
// # Whose quota counts
//
// The first of these for which there is one (KIP-55, KIP-546), for each kind of quota by itself. Who shares a bucket is said by the
// parts that the quota names: all clients of a user with a user's quota, all users of a client id with a client id's.
//
//	user and client id │ user, any client id │ user │ any user, client id │ any user, any client id │ any user │ client id │ any client id
//
// Connections count for their address: its own quota, else the default one.
//
// # Buckets
//
// A quota of r a second is a bucket that r tokens a second flow into, until it holds those of quota.window.num windows: so much may be
// used at once. What is used is taken out, also below zero; the client waits until the debt is paid. So over any time t no client that
// waits uses more than the bucket holds, t times r, and one request.
//
// # Invariants
//
//	Q1  Where no quota of a kind is set, asking takes no lock and allocates nothing; nor does it allocate for a client that has a bucket.
//	Q2  At most maxBuckets are kept for a kind, and those that are shared. A bucket that is full is forgotten: a new one would be the
//	    same. While there are as many that are not, clients without one share a bucket for each rate.
//	Q3  A debt is forgotten only when the quota is taken away.
package quota
