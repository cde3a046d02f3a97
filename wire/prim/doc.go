// Package prim reads and appends the primitive types of the Kafka protocol:
// fixed-width integers, unsigned varints, strings, byte strings, array lengths
// and tag sections. It is a leaf: it knows no message, no version, no API key.
//
// It is not a general binary reader. Everything here exists because bytes come
// from strangers, so a Reader carries two limits with it:
//
//	bytes   a length or a count is compared with the bytes that are left
//	        before anything is done with it
//	budget  every allocation made on behalf of the input is charged first; the
//	        sum never passes BudgetFactor x input + BudgetFloor
//
// The two ways Kafka writes a length:
//
//	            classic                     compact ("flexible" versions, KIP-482)
//	string      int16 n,  -1 = null         uvarint n+1, 0 = null
//	bytes       int32 n,  -1 = null         uvarint n+1, 0 = null
//	array       int32 n,  -1 = null         uvarint n+1, 0 = null
//
//	tag section (flexible only): uvarint count, then count times
//	            uvarint tag | uvarint size | size bytes
//
// Errors stick: the first one is kept, everything after it reads as zero, and
// nothing after it allocates. A caller may therefore decode a whole message and
// ask for the error once.
package prim
