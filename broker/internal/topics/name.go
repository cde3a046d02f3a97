package topics

import (
	"fmt"
	"strings"
)

// Names of the broker's own logs.
const (
	MetadataTopic     = "__cluster_metadata"
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
)

// maxName is Kafka's: a log's folder is the name, a dash and the partition, and must fit 255 bytes.
const maxName = 249

// checkName holds to Kafka's rules. Errors: ErrName.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: %q", ErrName, name)
	case len(name) > maxName:
		return fmt.Errorf("%w: it has %d characters, at most %d are taken", ErrName, len(name), maxName)
	case name == MetadataTopic:
		return fmt.Errorf("%w: %q is the broker's own", ErrName, name)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return fmt.Errorf("%w: %q has %q; only ASCII letters, digits, '.', '_' and '-' are taken", ErrName, name, r)
		}
	}
	return nil
}

// metricName is the name as metrics show it, where '.' and '_' are the same. Kafka takes no two topics that differ in
// nothing else, and tools that read metrics rely on it.
func metricName(name string) string { return strings.ReplaceAll(name, ".", "_") }

func logName(topic string, partition int) string { return fmt.Sprintf("%s-%d", topic, partition) }
