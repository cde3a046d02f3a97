import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;

/** The cells of Kafka's Java clients: Clients ADDRESS PREFIX. Compiled against each version that has a row. */
public class Clients {
    interface Body { void run() throws Exception; }

    final String addr, prefix;
    final Admin admin;

    Clients(String addr, String prefix) {
        this.addr = addr;
        this.prefix = prefix;
        admin = Admin.create(Map.of("bootstrap.servers", addr, "request.timeout.ms", 8000, "default.api.timeout.ms", 10000));
    }

    public static void main(String[] args) throws Exception {
        System.out.println("version\t" + AppInfoParser.getVersion());
        new Clients(args[0], args[1]).all();
        System.out.flush();
        Runtime.getRuntime().halt(0); // a producer that could not be closed must not keep the row
    }

    void all() {
        cell("produce", this::produce);
        cell("consume", () -> same(read("data", 1000, Map.of()), 3, numbered(0, 1000)));
        cell("headers", this::headers);
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            cell(codec, () -> {
                create(codec, 1);
                send(codec, 1, large(), Map.of("compression.type", codec, "linger.ms", 100));
                same(read(codec, 100, Map.of()), 1, large());
            });
        }
        cell("idempotent", () -> {
            create("idempotent", 1);
            send("idempotent", 1, numbered(0, 500), Map.of("enable.idempotence", true));
            same(read("idempotent", 500, Map.of()), 1, numbered(0, 500));
        });
        cell("group", () -> group("group", Map.of("heartbeat.interval.ms", 200, "session.timeout.ms", 6000)));
        cell("group-848", () -> group("group-848", Map.of("group.protocol", "consumer")));
        cell("txn-commit", this::txnCommit);
        cell("txn-abort", this::txnAbort);
        cell("txn-offsets", this::txnOffsets);
        administer();
    }

    static void cell(String name, Body body) {
        try {
            body.run();
            System.out.println(name + "\tpass\t");
        } catch (Throwable e) {
            StringBuilder why = new StringBuilder();
            for (Throwable c = e; c != null; c = c.getCause()) {
                why.append(why.length() > 0 ? ": " : "").append(c.toString().replaceAll("\\s+", " "));
            }
            System.out.println(name + "\tfail\t" + why);
        }
    }

    static void check(boolean ok, String why, Object... args) {
        if (!ok) {
            throw new AssertionError(String.format(why, args));
        }
    }

    static List<String> numbered(int from, int to) {
        List<String> values = new ArrayList<>();
        for (int i = from; i < to; i++) {
            values.add("value-" + i);
        }
        return values;
    }

    static List<String> large() {
        List<String> values = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            values.add(String.format("%08d", i).repeat(128));
        }
        return values;
    }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(20, TimeUnit.SECONDS); }

    void create(String topic, int partitions) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(prefix + topic, partitions, (short) 1))).all());
    }

    KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", addr, "max.block.ms", 10000, "delivery.timeout.ms", 10000,
            "request.timeout.ms", 5000, "linger.ms", 0));
        config.putAll(more);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", addr, "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "default.api.timeout.ms", 10000, "fetch.max.wait.ms", 200));
        config.putAll(more);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    /** Produces values round robin; gives where each one is. */
    Set<String> send(String topic, int partitions, List<String> values, Map<String, Object> config) throws Exception {
        try (KafkaProducer<String, String> p = producer(config)) {
            return send(p, topic, partitions, values);
        }
    }

    Set<String> send(KafkaProducer<String, String> p, String topic, int partitions, List<String> values) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String v : values) {
            sent.add(p.send(new ProducerRecord<>(prefix + topic, sent.size() % partitions, null, v)));
        }
        p.flush();
        Set<String> at = new HashSet<>();
        for (Future<RecordMetadata> f : sent) {
            at.add(f.get().partition() + "@" + f.get().offset());
        }
        return at;
    }

    /** Reads a topic from its start to its end, which must give n records. What a commit was answered for may be readable a moment later. */
    List<ConsumerRecord<String, String>> read(String topic, int n, Map<String, Object> config) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        try (KafkaConsumer<String, String> c = consumer(config)) {
            List<TopicPartition> all = c.partitionsFor(prefix + topic).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            long until = System.nanoTime() + 15_000_000_000L;
            while (System.nanoTime() < until && (got.size() < n || all.stream().anyMatch(p -> c.position(p) < ends.get(p)))) {
                c.poll(Duration.ofMillis(100)).forEach(got::add);
            }
        }
        check(got.size() == n, "read %d records of %s, want %d", got.size(), topic, n);
        return got;
    }

    static void same(List<ConsumerRecord<String, String>> got, int partitions, List<String> want) {
        for (int p = 0; p < partitions; p++) {
            int partition = p;
            List<String> values = got.stream().filter(r -> r.partition() == partition).map(ConsumerRecord::value).toList();
            List<String> sent = new ArrayList<>();
            for (int i = p; i < want.size(); i += partitions) {
                sent.add(want.get(i));
            }
            check(values.equals(sent), "partition %d: %d values that are not the %d sent", p, values.size(), sent.size());
        }
    }

    void produce() throws Exception {
        create("data", 3);
        int offsets = send("data", 3, numbered(0, 1000), Map.of()).size();
        check(offsets == 1000, "%d offsets for 1000 records", offsets);
    }

    void headers() throws Exception {
        create("headers", 1);
        byte[] binary = {0, -1, 10};
        try (KafkaProducer<String, String> p = producer(Map.of())) {
            ProducerRecord<String, String> r = new ProducerRecord<>(prefix + "headers", 0, null, "v");
            r.headers().add("h", new byte[0]).add("h", binary);
            p.send(r).get();
        }
        Header[] h = read("headers", 1, Map.of()).get(0).headers().toArray();
        check(h.length == 2 && h[0].key().equals("h") && h[0].value().length == 0 && h[1].key().equals("h") && Arrays.equals(h[1].value(), binary),
            "headers %s", Arrays.toString(h));
    }

    /** A group's member in a thread of its own. A record counts as consumed when its commit has succeeded. */
    class Member extends Thread {
        final KafkaConsumer<String, String> c;
        final Map<String, Integer> times;
        volatile int consumed;
        volatile boolean leave;
        volatile Exception failed;

        Member(String group, Map<String, Object> config, Map<String, Integer> times) {
            Map<String, Object> all = new HashMap<>(config);
            all.putAll(Map.of("group.id", prefix + group, "max.poll.records", 20));
            c = consumer(all);
            this.times = times;
            c.subscribe(List.of(prefix + group));
            start();
        }

        @Override public void run() {
            try {
                while (!leave) {
                    ConsumerRecords<String, String> records = c.poll(Duration.ofMillis(100));
                    try {
                        c.commitSync();
                    } catch (RebalanceInProgressException | CommitFailedException e) {
                        rewind(records);
                        continue;
                    }
                    records.forEach(r -> times.merge(r.value(), 1, Integer::sum));
                    consumed += records.count();
                }
            } catch (Exception e) {
                failed = e;
            } finally {
                c.close();
            }
        }

        void rewind(ConsumerRecords<String, String> records) {
            for (TopicPartition p : records.partitions()) {
                if (c.assignment().contains(p)) {
                    c.seek(p, records.records(p).get(0).offset());
                }
            }
        }

        void leave() throws Exception {
            leave = true;
            join();
            if (failed != null) {
                throw failed;
            }
        }
    }

    void await(String what, BooleanSupplier done, Member... members) throws Exception {
        for (long until = System.nanoTime() + 20_000_000_000L; !done.getAsBoolean(); Thread.sleep(20)) {
            for (Member m : members) {
                if (m.failed != null) {
                    throw m.failed;
                }
            }
            check(System.nanoTime() < until, "waited in vain for %s", what);
        }
    }

    void group(String name, Map<String, Object> config) throws Exception {
        create(name, 4);
        send(name, 4, numbered(0, 200), Map.of());
        Map<String, Integer> times = new ConcurrentHashMap<>();
        Member a = new Member(name, config, times), b = null;
        try {
            await("200 values", () -> times.size() >= 200, a);
            b = new Member(name, config, times);
            int n = 200;
            for (long until = System.nanoTime() + 30_000_000_000L; b.consumed == 0; n += 40) { // until the newcomer has its share
                send(name, 4, numbered(n, n + 40), Map.of());
                int want = n + 40;
                await(want + " values", () -> times.size() >= want, a, b);
                check(System.nanoTime() < until, "the second member gets nothing");
            }
            a.leave();
            send(name, 4, numbered(n, n + 200), Map.of());
            int want = n + 200;
            await(want + " values after a member left", () -> times.size() >= want, b);
        } finally {
            a.leave();
            if (b != null) {
                b.leave();
            }
        }
        times.forEach((v, n) -> check(n == 1, "%s was consumed and committed %d times", v, n));
    }

    void txnCommit() throws Exception {
        create("txn", 1);
        try (KafkaProducer<String, String> p = producer(Map.of("transactional.id", prefix + "txn"))) {
            p.initTransactions();
            p.beginTransaction();
            send(p, "txn", 1, numbered(0, 10));
            p.commitTransaction();
        }
        same(read("txn", 10, Map.of("isolation.level", "read_committed")), 1, numbered(0, 10));
    }

    void txnAbort() throws Exception {
        create("txn-abort", 1);
        try (KafkaProducer<String, String> p = producer(Map.of("transactional.id", prefix + "txn-abort"))) {
            p.initTransactions();
            p.beginTransaction();
            send(p, "txn-abort", 1, numbered(0, 10));
            p.abortTransaction();
            p.beginTransaction();
            send(p, "txn-abort", 1, numbered(10, 15));
            p.commitTransaction();
        }
        same(read("txn-abort", 5, Map.of("isolation.level", "read_committed")), 1, numbered(10, 15));
        read("txn-abort", 15, Map.of());
    }

    void txnOffsets() throws Exception {
        create("txn-in", 1);
        create("txn-out", 1);
        send("txn-in", 1, numbered(0, 10), Map.of());
        TopicPartition in = new TopicPartition(prefix + "txn-in", 0);
        Map<String, Object> config = Map.of("group.id", prefix + "txn-group", "isolation.level", "read_committed");
        try (KafkaConsumer<String, String> c = consumer(config);
             KafkaProducer<String, String> p = producer(Map.of("transactional.id", prefix + "txn-offsets"))) {
            c.subscribe(List.of(in.topic()));
            p.initTransactions();
            for (boolean commit : new boolean[] {false, true}) {
                List<String> values = new ArrayList<>();
                for (long until = System.nanoTime() + 15_000_000_000L; values.size() < 10; check(System.nanoTime() < until, "no input")) {
                    c.poll(Duration.ofMillis(100)).forEach(r -> values.add(r.value()));
                }
                p.beginTransaction();
                send(p, "txn-out", 1, values);
                p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(10)), c.groupMetadata());
                if (commit) {
                    p.commitTransaction();
                } else {
                    p.abortTransaction();
                    check(c.committed(Set.of(in)).get(in) == null, "an aborted transaction moved the group's offset");
                    c.seek(in, 0);
                }
            }
            check(c.committed(Set.of(in)).get(in).offset() == 10, "the group's offset is %s", c.committed(Set.of(in)));
        }
        same(read("txn-out", 10, Map.of("isolation.level", "read_committed")), 1, numbered(0, 10));
    }

    void administer() {
        String topic = prefix + "admin", group = prefix + "admin-group";
        TopicPartition zero = new TopicPartition(topic, 0);
        cell("create-topic", () -> {
            NewTopic t = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
            get(admin.createTopics(List.of(t)).all());
            try {
                get(admin.createTopics(List.of(t)).all());
                check(false, "created twice");
            } catch (ExecutionException e) {
                check(e.getCause() instanceof TopicExistsException, "a second time: %s", e.getCause());
            }
        });
        cell("describe-topic", () -> {
            TopicDescription d = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
            check(d.partitions().size() == 3 && d.partitions().get(2).leader() != null, "described as %s", d);
        });
        cell("add-partitions", () -> {
            get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
            send("admin", 5, numbered(0, 50), Map.of());
        });
        cell("configs", () -> {
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            get(admin.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all());
            ConfigEntry e = get(admin.describeConfigs(List.of(r)).all()).get(r).get("retention.ms");
            check(e.value().equals("7200000") && e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "described as %s", e);
        });
        cell("delete-records", () -> {
            create("delete-records", 1);
            send("delete-records", 1, numbered(0, 10), Map.of());
            TopicPartition p = new TopicPartition(prefix + "delete-records", 0);
            get(admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(5))).all());
            long earliest = get(admin.listOffsets(Map.of(p, OffsetSpec.earliest())).all()).get(p).offset();
            check(earliest == 5, "the earliest offset is %d", earliest);
            same(read("delete-records", 5, Map.of()), 1, numbered(5, 10));
        });
        cell("offsets", () -> {
            for (long at : new long[] {7, 3}) {
                get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(at))).all());
                OffsetAndMetadata o = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(zero);
                check(o != null && o.offset() == at, "the offset is %s, want %d", o, at);
            }
        });
        cell("groups", () -> {
            check(listed(group), "not listed");
            ConsumerGroupDescription d = get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
            check(d.members().isEmpty(), "described as %s", d);
        });
        cell("delete-group", () -> {
            get(admin.deleteConsumerGroups(List.of(group)).all());
            check(!listed(group), "still listed");
        });
        cell("delete-topic", () -> {
            get(admin.deleteTopics(List.of(topic)).all());
            check(!get(admin.listTopics().names()).contains(topic), "still listed");
        });
    }

    boolean listed(String group) throws Exception {
        return get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group));
    }
}
