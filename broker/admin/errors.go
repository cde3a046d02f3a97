package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrUnreachable: no broker answers.
var ErrUnreachable = errors.New("no broker answers")

// ErrUnserved: the cluster does not know the request, or not in a version that says what is meant.
var ErrUnserved = errors.New("the cluster does not serve this")

// advice is what to do about what a broker says.
var advice = map[error]string{
	kerr.UnknownTopicOrPartition:            "`streambus topic list` shows the topics that there are",
	kerr.UnknownTopicID:                     "the topic was deleted meanwhile; `streambus topic list` shows those that there are",
	kerr.TopicAlreadyExists:                 "choose another name, or leave it as it is with --if-not-exists",
	kerr.InvalidTopicException:              "a name has 1 to 249 letters, digits, '.', '_' or '-'; the cluster's own topics cannot be changed",
	kerr.InvalidPartitions:                  "give a number of partitions that the cluster takes; partitions can be added, never removed",
	kerr.InvalidReplicationFactor:           "give a replication factor of at most the number of brokers; `streambus cluster info` lists them",
	kerr.InvalidConfig:                      "look at the names and values; `streambus config get --all` shows those that are known",
	kerr.PolicyViolation:                    "the cluster's administrator forbids it",
	kerr.NonEmptyGroup:                      "stop the group's members first; `streambus group describe GROUP` lists them",
	kerr.UnknownMemberID:                    "the group has members; stop them first (`streambus group describe GROUP` lists them)",
	kerr.IllegalGeneration:                  "the group has members; stop them first (`streambus group describe GROUP` lists them)",
	kerr.RebalanceInProgress:                "the group has members; stop them first (`streambus group describe GROUP` lists them)",
	kerr.GroupSubscribedToTopic:             "the group reads the topic; stop its members first",
	kerr.GroupIDNotFound:                    "`streambus group list` shows the groups that there are",
	kerr.OffsetOutOfRange:                   "`streambus topic describe TOPIC` shows where each partition begins and ends",
	kerr.SecurityDisabled:                   "the cluster has no authorizer: everybody may do everything, and ACLs mean nothing",
	kerr.ClusterAuthorizationFailed:         "log in as a user that may: --sasl-user",
	kerr.TopicAuthorizationFailed:           "log in as a user that may: --sasl-user",
	kerr.GroupAuthorizationFailed:           "log in as a user that may: --sasl-user",
	kerr.SaslAuthenticationFailed:           "look at --sasl-mechanism, --sasl-user and the password",
	kerr.UnsupportedSaslMechanism:           "choose another --sasl-mechanism",
	kerr.CoordinatorNotAvailable:            "try again in a moment",
	kerr.NotCoordinator:                     "try again in a moment",
	kerr.CoordinatorLoadInProgress:          "try again in a moment",
	kerr.LeaderNotAvailable:                 "try again in a moment",
	kerr.NotController:                      "try again in a moment",
	kerr.KafkaStorageError:                  "the broker's disk is full or has failed; its log says which",
	kerr.MessageTooLarge:                    "send smaller records, or raise max.message.bytes of the topic",
	kerr.ThrottlingQuotaExceeded:            "the cluster's quota is used up; try again later",
	kerr.TopicDeletionDisabled:              "the cluster is set to delete no topics",
	kerr.TransactionalIDAuthorizationFailed: "log in as a user that may, or the cluster serves no transactions",
}

// explain says of an error what was being done, and what to do.
func (c *Client) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	brokers := strings.Join(c.o.Brokers, ",")
	var code *kerr.Error
	var network *net.OpError
	switch text := err.Error(); {
	case errors.As(err, &code):
		return fmt.Errorf("%s: %w", what, coded(code, err))
	case strings.Contains(text, "request key is unknown"), strings.Contains(text, "broker is too old"), strings.Contains(text, "is not supported"):
		return fmt.Errorf("%s: %w (%s); `streambus cluster api-versions` lists what it does", what, ErrUnserved, text)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &network):
		return fmt.Errorf("%s: %w at %s (%w): is the broker running, and is this its address? Name another with --bootstrap-server HOST:PORT", what, ErrUnreachable, brokers, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w within %v, from %s: it is busy, or no Kafka broker; wait longer with --timeout", what, ErrUnreachable, c.o.Timeout, brokers)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w at %s: the connection was closed, as is done to who comes without TLS or a login where they are wanted, or with a wrong password (--tls, --sasl-mechanism)", what, ErrUnreachable, brokers)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// coded adds the advice to a code; err has more of the broker's own words, perhaps.
func coded(code *kerr.Error, err error) error {
	if what := advice[code]; what != "" {
		return advised{err, strings.TrimSuffix(err.Error(), ".") + "; " + what}
	}
	return err
}

// advised is an error with what to do about it.
type advised struct {
	err  error
	text string
}

func (a advised) Error() string { return a.text }
func (a advised) Unwrap() error { return a.err }

// refusal is the error for a code and the broker's words in an answer; nil where there is none.
func (c *Client) refusal(what string, code int16, words *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	return c.refused(what, err, deref(words, ""))
}

// refused is the same for kadm's way to say it.
func (c *Client) refused(what string, err error, words string) error {
	if errors.Is(err, kerr.InvalidRequest) && words != "" { // the words say what is wrong; the code's text would blame the program
		return fmt.Errorf("%s: %w", what, advised{err, kerr.InvalidRequest.Message + ": " + words})
	}
	if err != nil && words != "" && !strings.Contains(err.Error(), words) {
		err = fmt.Errorf("%w (%s)", err, words)
	}
	return c.explain(what, err)
}

func deref[T any](p *T, none T) T {
	if p == nil {
		return none
	}
	return *p
}
