package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// View is what a cluster says of itself at one moment.
type View struct {
	Brokers      []Broker // alive, in order of their ids
	Controller   int32    // -1: unknown
	Partitions   map[Partition]Replicas
	Coordinators map[string]int32 // by group
}

// Broker is one broker as clients know it.
type Broker struct {
	ID   int32
	Addr string // host:port
}

func (b Broker) String() string { return fmt.Sprintf("broker %d (%s)", b.ID, b.Addr) }

// Partition names a partition of a topic.
type Partition struct {
	Topic string
	Index int32
}

// Replicas is who holds a partition.
type Replicas struct {
	Leader int32 // -1: nobody leads now
	InSync []int32
}

// Victims are who is struck.
type Victims struct {
	Brokers []Broker // in order of their ids, each once
	Flows   []string // clients
}

func (v Victims) String() string {
	var words []string
	for _, b := range v.Brokers {
		words = append(words, b.String())
	}
	for _, f := range v.Flows {
		words = append(words, "client "+f)
	}
	return strings.Join(words, ", ")
}

func (v Victims) addrs() (list []string) {
	for _, b := range v.Brokers {
		list = append(list, b.Addr)
	}
	return list
}

// errNobody says that a target is nobody at the moment; it may be somebody soon.
var errNobody = errors.New("nobody to strike")

// Resolve finds who the targets of a beat are (F2).
func (v *View) Resolve(b Beat) (Victims, error) {
	var out Victims
	rng := rand.New(rand.NewPCG(b.Seed, 0x7a46e7))
	for _, t := range b.Fault.Targets {
		if t.Kind == "client" {
			if !slices.Contains(out.Flows, t.Flow) {
				out.Flows = append(out.Flows, t.Flow)
			}
			continue
		}
		ids, err := v.ids(t, b.Turn, rng)
		if err != nil {
			return out, err
		}
		for _, id := range ids {
			broker, err := v.broker(id, t)
			if err != nil {
				return out, err
			}
			if !slices.Contains(out.Brokers, broker) {
				out.Brokers = append(out.Brokers, broker)
			}
		}
	}
	slices.SortFunc(out.Brokers, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (v *View) broker(id int32, t plan.Target) (Broker, error) {
	for _, b := range v.Brokers {
		if b.ID == id {
			return b, nil
		}
	}
	return Broker{}, fmt.Errorf("%w: %s is broker %d, which the cluster does not have now", errNobody, targetName(t), id)
}

// ids are the broker ids of one target.
func (v *View) ids(t plan.Target, turn int, rng *rand.Rand) ([]int32, error) {
	if len(v.Brokers) == 0 {
		return nil, fmt.Errorf("%w: no broker is alive", errNobody)
	}
	var all []int32
	for _, b := range v.Brokers {
		all = append(all, b.ID)
	}
	one := func(id int32) ([]int32, error) {
		if id < 0 {
			return nil, fmt.Errorf("%w: there is no %s now", errNobody, targetName(t))
		}
		return []int32{id}, nil
	}
	switch t.Kind {
	case "brokers":
		return all, nil
	case "random":
		return one(all[rng.IntN(len(all))])
	case "rolling":
		return one(all[turn%len(all)])
	case "broker":
		return one(int32(t.ID))
	case "controller":
		return one(v.Controller)
	case "coordinator":
		id, ok := v.Coordinators[t.Group]
		if !ok {
			id = -1
		}
		return one(id)
	}
	r, ok := v.Partitions[Partition{t.Topic, int32(t.Partition)}]
	if !ok {
		return nil, fmt.Errorf("%w: there is no partition %s/%d", errNobody, t.Topic, t.Partition)
	}
	if t.Kind == "leader" {
		return one(r.Leader)
	}
	for _, id := range r.InSync {
		if id != r.Leader && slices.Contains(all, id) {
			return one(id)
		}
	}
	return one(-1)
}

// Look asks the cluster what the targets of a fault need to know.
func Look(ctx context.Context, client *kgo.Client, f *plan.Fault) (*View, error) {
	v := &View{Controller: -1, Partitions: map[Partition]Replicas{}, Coordinators: map[string]int32{}}
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{}
	var groups []string
	controller := false
	for _, t := range f.Targets {
		switch t.Kind {
		case "leader", "follower":
			if !slices.ContainsFunc(meta.Topics, func(o kmsg.MetadataRequestTopic) bool { return *o.Topic == t.Topic }) {
				topic := kmsg.NewMetadataRequestTopic()
				topic.Topic = &t.Topic
				meta.Topics = append(meta.Topics, topic)
			}
		case "coordinator":
			groups = append(groups, t.Group)
		case "controller":
			controller = true
		}
	}
	resp, err := meta.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("asking for the brokers: %w", err)
	}
	for _, b := range resp.Brokers {
		v.Brokers = append(v.Brokers, Broker{b.NodeID, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))})
	}
	slices.SortFunc(v.Brokers, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			v.Partitions[Partition{*t.Topic, p.Partition}] = Replicas{p.Leader, p.ISR}
		}
	}
	for _, g := range groups {
		if err := v.lookForCoordinator(ctx, client, g); err != nil {
			return nil, err
		}
	}
	if controller {
		v.Controller = resp.ControllerID
		if err := v.lookForController(ctx, client); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *View) lookForCoordinator(ctx context.Context, client *kgo.Client, group string) error {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("asking for the coordinator of %s: %w", group, err)
	}
	id, code := resp.NodeID, resp.ErrorCode
	if len(resp.Coordinators) > 0 {
		id, code = resp.Coordinators[0].NodeID, resp.Coordinators[0].ErrorCode
	}
	if code == 0 {
		v.Coordinators[group] = id
	}
	return nil
}

// lookForController asks the quorum who leads it: under KRaft, Metadata names any broker as the controller, so that
// administrators do not all ask the same one. A cluster without a quorum does not know the request, and Metadata it is.
func (v *View) lookForController(ctx context.Context, client *kgo.Client) error {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("asking the quorum for its leader: %w", err)
	case err != nil || resp.ErrorCode == kerr.UnsupportedVersion.Code || resp.ErrorCode == kerr.InvalidRequest.Code:
		return nil
	case len(resp.Topics) > 0 && len(resp.Topics[0].Partitions) > 0 && resp.Topics[0].Partitions[0].ErrorCode == 0:
		v.Controller = resp.Topics[0].Partitions[0].LeaderID
	default:
		v.Controller = -1 // it is electing one
	}
	return nil
}
