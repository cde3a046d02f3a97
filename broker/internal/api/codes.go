package api

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/wire"
)

// codes maps what the rooms say onto what Kafka's clients understand. The first that matches counts.
//
// A full disk is KAFKA_STORAGE_ERROR: of the codes that all clients retry it is the one that says what is wrong. Nothing was
// taken (engine E5), so a retry neither loses nor doubles anything; POLICY_VIOLATION and the like would make producers drop
// the records.
var codes = []struct {
	err  error
	code wire.ErrorCode
}{
	{errNoPreferred, wire.CodePreferredLeaderNotAvailable}, // before why
	{errNoEligible, wire.CodeEligibleLeadersNotAvailable},
	{engine.ErrFailed, wire.CodeKafkaStorageError},
	{engine.ErrFull, wire.CodeKafkaStorageError},
	{engine.ErrCorrupt, wire.CodeKafkaStorageError},
	{topics.ErrOffline, wire.CodeKafkaStorageError},
	{engine.ErrOffsetOutOfRange, wire.CodeOffsetOutOfRange},
	{engine.ErrTooLarge, wire.CodeMessageTooLarge},
	{engine.ErrOutOfOrderSequence, wire.CodeOutOfOrderSequenceNumber},
	{engine.ErrFencedProducer, wire.CodeInvalidProducerEpoch},
	{engine.ErrInvalidTxnState, wire.CodeInvalidTxnState},
	{engine.ErrTooManyTransactions, wire.CodeNotEnoughReplicas}, // what all producers retry; others will have ended
	{engine.ErrClosed, wire.CodeNotLeaderOrFollower},            // deleted or going down: the client's next look at the metadata shows which
	{partition.ErrClosed, wire.CodeNotLeaderOrFollower},
	{partition.ErrFencedEpoch, wire.CodeFencedLeaderEpoch},
	{partition.ErrUnknownEpoch, wire.CodeUnknownLeaderEpoch},
	{topics.ErrName, wire.CodeInvalidTopicException},
	{topics.ErrPartitions, wire.CodeInvalidPartitions},
	{topics.ErrSetting, wire.CodeInvalidConfig},
	{topics.ErrExists, wire.CodeTopicAlreadyExists},
	{meta.ErrExists, wire.CodeTopicAlreadyExists},
	{topics.ErrNoTopic, wire.CodeUnknownTopicOrPartition},
	{topics.ErrPartition, wire.CodeUnknownTopicOrPartition},
	{errTopicID, wire.CodeUnknownTopicID},
	{txn.ErrConcurrent, wire.CodeConcurrentTransactions},
	{txn.ErrFenced, wire.CodeProducerFenced},
	{txn.ErrInvalidEpoch, wire.CodeInvalidProducerEpoch},
	{txn.ErrInvalidState, wire.CodeInvalidTxnState},
	{txn.ErrInvalidMapping, wire.CodeInvalidProducerIDMapping},
	{txn.ErrInvalidTimeout, wire.CodeInvalidTransactionTimeout},
	{txn.ErrInvalidRequest, wire.CodeInvalidRequest},
	{txn.ErrAbortable, wire.CodeTransactionAbortable},
	{txn.ErrNotFound, wire.CodeTransactionalIDNotFound},
	{txn.ErrPattern, wire.CodeInvalidRegularExpression},
	{txn.ErrNotAvailable, wire.CodeCoordinatorNotAvailable},
	{txn.ErrTryAgain, wire.CodeNotEnoughReplicas},
	{txn.ErrTooManyInOne, wire.CodeUnknownServerError},
	{txn.ErrUnsupported, wire.CodeUnsupportedVersion},
	{txn.ErrMarkerFenced, wire.CodeInvalidProducerEpoch},
	{group.ErrUnknownMember, wire.CodeUnknownMemberID},
	{group.ErrIllegalGeneration, wire.CodeIllegalGeneration},
	{group.ErrRebalanceInProgress, wire.CodeRebalanceInProgress},
	{group.ErrInconsistentProtocol, wire.CodeInconsistentGroupProtocol},
	{group.ErrInvalidSession, wire.CodeInvalidSessionTimeout},
	{group.ErrInvalidGroup, wire.CodeInvalidGroupID},
	{group.ErrMemberIDRequired, wire.CodeMemberIDRequired},
	{group.ErrFencedInstance, wire.CodeFencedInstanceID},
	{group.ErrMaxSize, wire.CodeGroupMaxSizeReached},
	{group.ErrNotAvailable, wire.CodeCoordinatorNotAvailable},
	{group.ErrUnstable, wire.CodeUnstableOffsetCommit},
	{group.ErrNotFound, wire.CodeGroupIDNotFound},
	{group.ErrNotEmpty, wire.CodeNonEmptyGroup},
	{group.ErrSubscribed, wire.CodeGroupSubscribedToTopic},
	{group.ErrFencedEpoch, wire.CodeFencedMemberEpoch},
	{group.ErrStaleEpoch, wire.CodeStaleMemberEpoch},
	{group.ErrUnreleasedInstance, wire.CodeUnreleasedInstanceID},
	{group.ErrUnsupportedAssignor, wire.CodeUnsupportedAssignor},
	{group.ErrInvalidRegex, wire.CodeInvalidRegularExpression},
	{group.ErrInvalidRequest, wire.CodeInvalidRequest},
	{group.ErrUnsupportedVersion, wire.CodeUnsupportedVersion},
	{topics.ErrAssignment, wire.CodeInvalidReplicaAssignment},
	{topics.ErrChange, wire.CodeInvalidRequest},
	{topics.ErrResource, wire.CodeInvalidRequest},
	{topics.ErrInternal, wire.CodeInvalidTopicException},
	{topics.ErrPolicy, wire.CodePolicyViolation},
	{topics.ErrOffset, wire.CodeOffsetOutOfRange},
	{quota.ErrRequest, wire.CodeInvalidRequest},
	{quota.ErrUnsupported, wire.CodeUnsupportedVersion},
	{meta.ErrTooLong, wire.CodeInvalidRequest},
	{meta.ErrFeatureRequest, wire.CodeInvalidRequest},
	{meta.ErrFeature, wire.CodeInvalidUpdateVersion},
	{meta.ErrUser, wire.CodeResourceNotFound},
	{meta.ErrDuplicate, wire.CodeDuplicateResource},
	{meta.ErrMechanism, wire.CodeUnsupportedSaslMechanism},
	{meta.ErrCredential, wire.CodeUnacceptableCredential},
	{errResourceTwice, wire.CodeInvalidRequest},
	{errSettingTwice, wire.CodeInvalidRequest},
	{errTopicTwice, wire.CodeInvalidRequest},
	{errCursor, wire.CodeInvalidRequest},
	{errAssignment, wire.CodeInvalidReplicaAssignment},
	{errNoMove, wire.CodeNoReassignmentInProgress},
	{errElected, wire.CodeElectionNotNeeded},
	{errNoAuthorizer, wire.CodeSecurityDisabled},
	{errQuota, wire.CodeThrottlingQuotaExceeded},
	{errNoSASL, wire.CodeIllegalSaslState},
}

// codeOf is the code for err; nil is none. What is not in the table is logged as a bug.
func (s *Server) codeOf(err error) wire.ErrorCode {
	if err == nil {
		return wire.CodeNone
	}
	for i := range codes {
		if errors.Is(err, codes[i].err) {
			return codes[i].code
		}
	}
	s.Logger.Error("a request failed in an unforeseen way", "err", err)
	return wire.CodeUnknownServerError
}

// maxMessage bounds an error message on the wire; it may quote what a client sent.
const maxMessage = 1000

// message is err's text for the wire, nil for nil.
func message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	s = s[:min(len(s), maxMessage)]
	return &s
}
