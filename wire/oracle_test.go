package wire

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg is the oracle: an independent codec generated from Kafka's own schema.
// This file builds random messages of both kinds and compares across.

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 picks one")

// newRand returns a source for a random test and, if the test fails, says how
// to run it again.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; to repeat: go test ./wire -run '^%s$' -seed=%d", seed, strings.Split(t.Name(), "/")[0], seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// side is one direction of an API: requests or responses.
type side struct {
	name string
	ours func(Key) Message
	kmsg func(k Key, version int16) kmsgMessage
}

type kmsgMessage interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
	SetVersion(int16)
}

var sides = []side{
	{"Request", NewRequest, func(k Key, version int16) kmsgMessage {
		m := kmsg.RequestForKey(int16(k))
		m.SetVersion(version)
		defaultKmsg(m)
		return m
	}},
	{"Response", NewResponse, func(k Key, version int16) kmsgMessage {
		m := kmsg.ResponseForKey(int16(k))
		m.SetVersion(version)
		defaultKmsg(m)
		return m
	}},
}

func defaultKmsg(m any) { m.(interface{ Default() }).Default() }

// forEach runs f for every key, side and coded version.
func forEach(f func(s side, k Key, version int16)) {
	for _, coded := range Codecs() {
		for _, s := range sides {
			for version := coded.Min; version <= coded.Max; version++ {
				f(s, coded.Key, version)
			}
		}
	}
}

func label(s side, k Key, version int16) string { return fmt.Sprintf("%s%s/%d", k, s.name, version) }

// kmsgNames lists what kmsg may call a field of ours, tried in order after the
// name itself. Ms is tried as Millis besides. A dot leads into a struct of kmsg's
// that is flat here.
var kmsgNames = map[string][]string{
	"APIKeys":                     {"ApiKeys"},
	"Assignment":                  {"MemberAssignment"},
	"Assignments":                 {"GroupAssignment", "ReplicaAssignment", "Assignment"},
	"AuthBytes":                   {"SASLAuthBytes"},
	"BatchIndex":                  {"RelativeOffset"},
	"BatchIndexErrorMessage":      {"ErrorMessage"},
	"BrokerID":                    {"NodeID"},
	"BrokerIDs":                   {"Replicas"},
	"ClusterAuthorizedOperations": {"AuthorizedOperations"},
	"Committed":                   {"Commit"},
	"CommittedLeaderEpoch":        {"LeaderEpoch"},
	"CommittedMetadata":           {"Metadata"},
	"CommittedOffset":             {"Offset"},
	"ConfigOperation":             {"Op"},
	"ConfigSource":                {"Source"},
	"ConfigurationKeys":           {"ConfigNames"},
	"EntityName":                  {"Name"},
	"EntityType":                  {"Type"},
	"GenerationID":                {"Generation"},
	"GroupEpoch":                  {"Epoch"},
	"GroupID":                     {"Group"},
	"GroupIDs":                    {"Groups"},
	"GroupInstanceID":             {"InstanceID"},
	"GroupState":                  {"State"},
	"IsFutureKey":                 {"IsFuture"},
	"IsrNodes":                    {"ISR"},
	"Key":                         {"ApiKey"},
	"KeyType":                     {"CoordinatorType"},
	"LastKnownElr":                {"LastKnownELR"},
	"Leader":                      {"LeaderID"},
	"LeaderID":                    {"Leader"},
	"LogAppendTimeMs":             {"LogAppendTime"},
	"LogDir":                      {"Dir"},
	"Max":                         {"MaxVersion"},
	"Mechanisms":                  {"SupportedMechanisms"},
	"MemberMetadata":              {"ProtocolMetadata"},
	"Metadata":                    {"ProtocolMetadata"},
	"Min":                         {"MinVersion"},
	"Name":                        {"Topic"},
	"NodeEndpoints":               {"Brokers"},
	"PartitionIndex":              {"Partition"},
	"PartitionIndexes":            {"Partitions"},
	"PartitionSize":               {"Size"},
	"PatternType":                 {"ResourcePatternType"},
	"ProtocolData":                {"Protocol"},
	"ProtocolName":                {"Protocol"},
	"RackID":                      {"Rack"},
	"RecordErrors":                {"ErrorRecords"},
	"Records":                     {"RecordBatches"},
	"ReplicaEpoch":                {"ReplicaState.Epoch"},
	"ReplicaNodes":                {"Replicas"},
	"ResourceName":                {"Name"},
	"ResourceType":                {"Type"},
	"Responses":                   {"Resources"},
	"Results":                     {"Groups", "Resources", "Dirs", "Topics"},
	"SessionLifetimeMs":           {"SessionLifetimeMillis"},
	"SubscribedTopicNames":        {"SubscribedTopics"},
	"Synonyms":                    {"ConfigSynonyms"},
	"ThrottleTimeMs":              {"ThrottleMillis"},
	"TopicAuthorizedOperations":   {"AuthorizedOperations"},
	"TopicConfigErrorCode":        {"ConfigErrorCode"},
	"TopicName":                   {"Topic"},
	"Topics":                      {"TopicPartitions"},
	"TransactionResult":           {"Committed"},
	"TransactionStartTimeMs":      {"StartTimestamp"},
	"TransactionState":            {"State"},
	"TransactionTimeoutMs":        {"TimeoutMillis"},
	"TransactionalID":             {"TransactionID"},
}

// beyondOurs are fields of kmsg that no version coded here carries.
var beyondOurs = map[string]bool{
	"ApiVersionsRequest.ClusterID":                      true, // 5
	"ApiVersionsRequest.NodeID":                         true, // 5
	"DeleteGroupsResponseGroup.ErrorMessage":            true, // 3
	"DescribeConfigsResponseResourceConfig.IsDefault":   true, // 0
	"ListOffsetsRequestTopicPartition.MaxNumOffsets":    true, // 0
	"ListOffsetsResponseTopicPartition.OldStyleOffsets": true, // 0
	"OffsetCommitRequestTopicPartition.Timestamp":       true, // 1
	"TxnOffsetCommitRequestTopic.TopicID":               true, // 6
	"TxnOffsetCommitResponseTopic.TopicID":              true, // 6
}

// beyondKmsgs are fields of ours that kmsg's struct has not: one type of ours
// stands for two of kmsg's, of which only the other one has the field.
var beyondKmsgs = map[string]bool{
	"OffsetFetchRequestTopic.TopicID":  true,
	"OffsetFetchResponseTopic.TopicID": true,
}

func isBookkeeping(name string) bool { return name == "Version" || name == "UnknownTags" }

// pair finds kmsg's field for ours.
func pair(k reflect.Value, name string) (reflect.Value, string, bool) {
	tries := append([]string{name, strings.TrimSuffix(name, "Ms") + "Millis"}, kmsgNames[name]...)
	for _, n := range tries {
		outer, inner, nested := strings.Cut(n, ".")
		f := k.FieldByName(outer)
		if f.IsValid() && nested {
			f = f.FieldByName(inner)
		}
		if f.IsValid() {
			return f, outer, true
		}
	}
	return reflect.Value{}, "", false
}

// differ describes the first difference between a message of ours and kmsg's,
// or returns "". Every field of both must have a counterpart.
func differ(path string, o, k reflect.Value) string {
	switch o.Kind() {
	case reflect.Pointer:
		return differPointer(path, o, k)
	case reflect.Struct:
		return differStruct(path, o, k)
	case reflect.Slice:
		if o.Type().Elem().Kind() == reflect.Uint8 {
			return differBytes(path, o.Bytes(), k)
		}
		if o.Len() != k.Len() {
			return fmt.Sprintf("%s: %d elements, kmsg %d", path, o.Len(), k.Len())
		}
		if o.Len() == 0 && o.IsNil() && !k.IsNil() {
			return fmt.Sprintf("%s: nil, kmsg is not", path)
		}
		for i := range o.Len() {
			if d := differ(fmt.Sprintf("%s[%d]", path, i), o.Index(i), k.Index(i)); d != "" {
				return d
			}
		}
		return ""
	}
	return differScalar(path, o, k)
}

func differScalar(path string, o, k reflect.Value) string {
	if !o.CanConvert(k.Type()) || o.Kind() != k.Kind() {
		return fmt.Sprintf("%s: %s against kmsg's %s", path, o.Type(), k.Type())
	}
	if o.Kind() == reflect.Float64 { // bits, so that a NaN is equal to itself
		o, k = reflect.ValueOf(math.Float64bits(o.Float())), reflect.ValueOf(math.Float64bits(k.Float()))
	}
	if a, b := o.Convert(k.Type()).Interface(), k.Interface(); a != b {
		return fmt.Sprintf("%s: %v, kmsg %v", path, a, b)
	}
	return ""
}

// differPointer compares *string, and optional structs of ours with kmsg's,
// which are there always and equal to their default when not sent.
func differPointer(path string, o, k reflect.Value) string {
	if k.Kind() == reflect.Pointer {
		if o.IsNil() || k.IsNil() {
			if o.IsNil() != k.IsNil() {
				return fmt.Sprintf("%s: nil %v, kmsg nil %v", path, o.IsNil(), k.IsNil())
			}
			return ""
		}
		return differ(path, o.Elem(), k.Elem())
	}
	if o.IsNil() {
		d := reflect.New(k.Type())
		defaultKmsg(d.Interface())
		if !reflect.DeepEqual(d.Elem().Interface(), k.Interface()) {
			return fmt.Sprintf("%s: nil, kmsg %+v", path, k.Interface())
		}
		return ""
	}
	return differ(path, o.Elem(), k)
}

// differBytes compares a byte string, or a string that we decode as a view.
func differBytes(path string, o []byte, k reflect.Value) string {
	var want []byte
	switch kk := k.Interface().(type) {
	case []byte:
		want = kk
	case string:
		want = []byte(kk)
	case *string:
		if kk != nil {
			want = []byte(*kk)
		}
		if (kk == nil) != (o == nil) {
			return fmt.Sprintf("%s: nil %v, kmsg nil %v", path, o == nil, kk == nil)
		}
	}
	if !bytes.Equal(o, want) {
		return fmt.Sprintf("%s: %q, kmsg %q", path, o, want)
	}
	return ""
}

func differStruct(path string, o, k reflect.Value) string {
	seen := map[string]bool{}
	for i := range o.NumField() {
		name := o.Type().Field(i).Name
		if name == "RecordsSize" || name == "held" {
			continue
		}
		if name == "Tags" { // grouped by us, flat in kmsg
			if d := differTags(path, o.Field(i), k, seen); d != "" {
				return d
			}
			continue
		}
		f, n, ok := pair(k, name)
		if !ok && beyondKmsgs[o.Type().Name()+"."+name] && o.Field(i).IsZero() {
			continue
		}
		if !ok || seen[n] {
			return fmt.Sprintf("%s.%s: no counterpart in kmsg's %s", path, name, k.Type())
		}
		seen[n] = true
		if d := differ(path+"."+name, o.Field(i), f); d != "" {
			return d
		}
	}
	for i := range k.NumField() {
		n := k.Type().Field(i).Name
		if !seen[n] && !isBookkeeping(n) && !beyondOurs[k.Type().Name()+"."+n] {
			return fmt.Sprintf("%s: kmsg's %s.%s has no counterpart", path, k.Type(), n)
		}
	}
	return ""
}

func differTags(path string, tags, k reflect.Value, seen map[string]bool) string {
	v := reflect.ValueOf(FetchResponseTags{})
	if !tags.IsNil() {
		v = tags.Elem()
	}
	for i := range v.NumField() {
		n := v.Type().Field(i).Name
		seen[n] = true
		if d := differ(path+"."+n, v.Field(i), k.FieldByName(n)); d != "" {
			return d
		}
	}
	return ""
}

// fill sets every field below v at random, for either kind of message.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; {
			case isBookkeeping(name), name == "RecordsSize", name == "held", beyondOurs[v.Type().Name()+"."+name]:
			default:
				fill(rng, v.Field(i))
			}
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.Slice:
		fillSlice(rng, v)
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString(string(randBytes(rng)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float64: // NaNs, infinities and all
		v.SetFloat(math.Float64frombits(uint64(randInt(rng))))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(randInt(rng) >> (64 - v.Type().Bits()))
	default:
		panic("fill: " + v.Type().String())
	}
}

func fillSlice(rng *rand.Rand, v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(randBytes(rng))
		return
	}
	n := rng.IntN(5) - 1
	if n < 0 {
		return // nil: null where that is possible
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		fill(rng, v.Index(i))
	}
}

func randInt(rng *rand.Rand) int64 {
	if rng.IntN(4) == 0 {
		return []int64{0, -1, 1, -1 << 63, 1<<63 - 1}[rng.IntN(5)]
	}
	return int64(rng.Uint64())
}

// randBytes is now and then long enough for two-byte and three-byte lengths.
func randBytes(rng *rand.Rand) []byte {
	n := rng.IntN(12)
	switch rng.IntN(60) {
	case 0:
		n = 120 + rng.IntN(20)
	case 1:
		n = 16370 + rng.IntN(30)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
