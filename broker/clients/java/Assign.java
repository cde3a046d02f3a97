import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.GroupSpecImpl;
import org.apache.kafka.coordinator.group.modern.MemberSubscriptionAndAssignmentImpl;

/**
 * Asks Kafka's own server-side range assignor about the groups on stdin, and prints one line for each. A group is lines of words; a topic
 * is its number, "-" is nothing, and lists are separated by commas:
 *
 *   topic NUMBER PARTITIONS
 *   member ID INSTANCE TOPICS HAS     HAS is TOPIC:PARTITION,...
 *   assign                            ends the group; the answer is "ID=TOPIC:PARTITION,... ID=..." in order, members with nothing left out
 */
public class Assign {
    static Uuid id(String topic) {
        return new Uuid(Long.parseLong(topic), 1);
    }

    static String[] list(String words) {
        return words.equals("-") ? new String[0] : words.split(",");
    }

    public static void main(String[] args) throws Exception {
        Map<Uuid, Integer> topics = new HashMap<>();
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new HashMap<>();
        StringBuilder out = new StringBuilder();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "topic" -> topics.put(id(words[1]), Integer.parseInt(words[2]));
                case "member" -> members.put(words[1], member(words));
                default -> {
                    out.append(assign(topics, members)).append('\n');
                    topics.clear();
                    members.clear();
                }
            }
        }
        System.out.print(out);
    }

    static MemberSubscriptionAndAssignmentImpl member(String[] words) {
        Set<Uuid> reads = new HashSet<>();
        for (String topic : list(words[3])) {
            reads.add(id(topic));
        }
        Map<Uuid, Set<Integer>> has = new HashMap<>();
        for (String one : list(words[4])) {
            String[] parts = one.split(":");
            has.computeIfAbsent(id(parts[0]), t -> new HashSet<>()).add(Integer.parseInt(parts[1]));
        }
        Optional<String> instance = words[2].equals("-") ? Optional.empty() : Optional.of(words[2]);
        return new MemberSubscriptionAndAssignmentImpl(Optional.empty(), instance, reads, new Assignment(has));
    }

    static String assign(Map<Uuid, Integer> topics, Map<String, MemberSubscriptionAndAssignmentImpl> members) {
        boolean same = members.values().stream().map(MemberSubscriptionAndAssignmentImpl::subscribedTopicIds).distinct().count() == 1;
        Map<Uuid, Map<Integer, String>> owners = new HashMap<>();
        members.forEach((member, m) -> m.partitions().forEach((topic, all) ->
            all.forEach(p -> owners.computeIfAbsent(topic, t -> new HashMap<>()).put(p, member))));
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            public int numPartitions(Uuid topic) {
                return topics.getOrDefault(topic, -1);
            }

            public Set<String> racksForPartition(Uuid topic, int partition) {
                return Set.of();
            }
        };
        var spec = new GroupSpecImpl(members, same ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS, owners);
        StringBuilder line = new StringBuilder();
        new TreeMap<>(new RangeAssignor().assign(spec, describer).members()).forEach((member, m) -> {
            TreeMap<Long, TreeSet<Integer>> sorted = new TreeMap<>();
            m.partitions().forEach((topic, all) -> sorted.put(topic.getMostSignificantBits(), new TreeSet<>(all)));
            StringBuilder has = new StringBuilder();
            sorted.forEach((topic, all) -> all.forEach(p -> has.append(has.length() == 0 ? "" : ",").append(topic).append(':').append(p)));
            if (has.length() > 0) {
                line.append(line.length() == 0 ? "" : " ").append(member).append('=').append(has);
            }
        });
        return line.toString();
    }
}
