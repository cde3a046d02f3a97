package topics

import "errors"

// What a caller may be told. The api maps them onto Kafka's error codes.
var (
	ErrName       = errors.New("invalid topic name")
	ErrPartitions = errors.New("invalid number of partitions")
	ErrSetting    = errors.New("invalid topic setting")
	ErrExists     = errors.New("topic exists already")
	ErrNoTopic    = errors.New("no such topic")
	ErrPartition  = errors.New("no such partition")
	ErrOffline    = errors.New("partition is offline")
)
