package partition

import "unicode/utf16"

// ForKey is where Kafka keeps a group or a transactional id among the n partitions of the topic that has its state: the absolute value of
// Java's String.hashCode, modulo n.
func ForKey(key string, n int) int {
	var h int32
	for _, unit := range utf16.Encode([]rune(key)) {
		h = 31*h + int32(unit)
	}
	if h == -1<<31 {
		return 0 // Kafka's Utils.abs
	}
	return int(max(h, -h)) % n
}
