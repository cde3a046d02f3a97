package topics

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/config"
)

// What a caller may be told. The api maps them onto Kafka's error codes.
var (
	ErrName       = errors.New("invalid topic name")            // INVALID_TOPIC_EXCEPTION
	ErrPartitions = errors.New("invalid number of partitions")  // INVALID_PARTITIONS
	ErrAssignment = errors.New("invalid replica assignment")    // INVALID_REPLICA_ASSIGNMENT
	ErrSetting    = config.ErrSetting                           // INVALID_CONFIG
	ErrChange     = config.ErrChange                            // INVALID_REQUEST
	ErrResource   = errors.New("no such resource to configure") // INVALID_REQUEST
	ErrExists     = errors.New("topic exists already")          // TOPIC_ALREADY_EXISTS
	ErrNoTopic    = errors.New("no such topic")                 // UNKNOWN_TOPIC_OR_PARTITION
	ErrPartition  = errors.New("no such partition")             // UNKNOWN_TOPIC_OR_PARTITION
	ErrOffline    = errors.New("partition is offline")          // KAFKA_STORAGE_ERROR
	ErrInternal   = errors.New("the topic is the broker's own") // INVALID_TOPIC_EXCEPTION
	ErrPolicy     = errors.New("the topic's policy forbids it") // POLICY_VIOLATION
	ErrOffset     = errors.New("offset is out of range")        // OFFSET_OUT_OF_RANGE
)
