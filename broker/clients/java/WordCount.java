import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

/**
 * Kafka Streams with exactly_once_v2: WordCount ADDRESS PREFIX STATE-DIRECTORY feeds lines, runs the application as a process of its own,
 * kills that in the middle, starts it again and compares the counts. With a fourth argument it is the application.
 */
public class WordCount {
    static final int LINES = 3000, WORDS = 7;

    public static void main(String[] args) throws Exception {
        if (args.length == 4) {
            application(args[0], args[1], args[2]);
            return;
        }
        System.out.println("version\t" + AppInfoParser.getVersion());
        Process app = null;
        try {
            create(args[0], args[1]);
            feed(args[0], args[1], 0, LINES / 2);
            app = start(args);
            long half = total(read(args[0], args[1], LINES / 4));
            app.destroyForcibly().waitFor();
            feed(args[0], args[1], LINES / 2, LINES);
            app = start(args);
            Map<String, Long> counts = read(args[0], args[1], 2L * LINES);
            Map<String, Long> want = new TreeMap<>();
            for (int i = 0; i < LINES; i++) {
                want.merge("word-" + i % WORDS, 1L, Long::sum);
                want.merge("all", 1L, Long::sum);
            }
            boolean ok = counts.equals(want) && half < 2L * LINES;
            System.out.println("word-count\t" + (ok ? "pass\t" : "fail\tcounted " + counts + ", want " + want + ", killed at " + half));
        } catch (Throwable e) {
            System.out.println("word-count\tfail\t" + String.valueOf(e).replaceAll("\\s+", " "));
        } finally {
            if (app != null) {
                app.destroyForcibly().waitFor();
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static Process start(String[] args) throws Exception {
        List<String> command = new ArrayList<>(List.of("java", "-cp", System.getProperty("java.class.path"), "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "WordCount"));
        command.addAll(List.of(args));
        command.add("application");
        return new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    static void application(String addr, String prefix, String state) {
        StreamsBuilder b = new StreamsBuilder();
        b.stream(prefix + "lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String())) // by way of a repartition topic
            .count().toStream().to(prefix + "counts", Produced.with(Serdes.String(), Serdes.Long()));
        Properties p = new Properties();
        p.putAll(Map.of("bootstrap.servers", addr, "application.id", prefix + "word-count", "processing.guarantee", "exactly_once_v2",
            "state.dir", state, "commit.interval.ms", 100, "replication.factor", 1, "statestore.cache.max.bytes", 0,
            "consumer.auto.offset.reset", "earliest", "consumer.session.timeout.ms", 6000));
        p.put("producer.transaction.timeout.ms", 10000);
        new KafkaStreams(b.build(), p).start();
    }

    static void create(String addr, String prefix) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", addr, "default.api.timeout.ms", 10000, "request.timeout.ms", 8000))) {
            admin.createTopics(List.of(new NewTopic(prefix + "lines", 2, (short) 1), new NewTopic(prefix + "counts", 1, (short) 1))).all().get();
        }
    }

    static void feed(String addr, String prefix, int from, int to) {
        try (KafkaProducer<String, String> p = new KafkaProducer<>(Map.of("bootstrap.servers", addr, "max.block.ms", 10000), new StringSerializer(), new StringSerializer())) {
            for (int i = from; i < to; i++) {
                p.send(new ProducerRecord<>(prefix + "lines", i % 2, null, "all word-" + i % WORDS));
            }
        }
    }

    /** Reads committed counts from the start until they add up to n words; a count that goes back is an error. */
    static Map<String, Long> read(String addr, String prefix, long n) {
        Map<String, Long> counts = new TreeMap<>();
        try (KafkaConsumer<String, Long> c = new KafkaConsumer<>(Map.of("bootstrap.servers", addr, "isolation.level", "read_committed",
            "auto.offset.reset", "earliest", "enable.auto.commit", false), new StringDeserializer(), new LongDeserializer())) {
            c.assign(List.of(new org.apache.kafka.common.TopicPartition(prefix + "counts", 0)));
            long until = System.nanoTime() + 60_000_000_000L;
            while (total(counts) < n) {
                for (ConsumerRecord<String, Long> r : c.poll(Duration.ofMillis(100))) {
                    Long before = counts.put(r.key(), r.value());
                    if (r.value() != (before == null ? 0 : before) + 1) {
                        throw new AssertionError(r.key() + " was counted " + before + ", then " + r.value());
                    }
                }
                if (System.nanoTime() > until) {
                    throw new AssertionError("only " + total(counts) + " of " + n + " words were counted");
                }
            }
        }
        return counts;
    }

    static long total(Map<String, Long> counts) { return counts.values().stream().mapToLong(Long::longValue).sum(); }
}
