import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Subscribes by regular expressions that the broker evaluates (KIP-848), or the client itself where they begin with "client:". Arguments: the
 * broker, topics separated by commas, expressions. An expression that begins with "later:" is the client's too, and the name of a topic that
 * is made when the consumer has joined. Prints a line for each expression: the topics assigned, or the name of the error.
 */
public class Pattern {
    public static void main(String[] args) throws Exception {
        List<String> topics = List.of(args[1].split(","));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            admin.createTopics(topics.stream().map(t -> new NewTopic(t, 2, (short) 1)).toList()).all().get();
        }
        for (String text : List.of(args).subList(2, args.length)) {
            Map<String, Object> config = Map.of("bootstrap.servers", args[0], "group.protocol", "consumer", "group.id", "pattern " + text,
                "metadata.max.age.ms", 500,
                "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class);
            try (KafkaConsumer<String, String> c = new KafkaConsumer<>(config)) {
                String own = text.replaceFirst("^(client|later):", "");
                if (own.equals(text)) {
                    c.subscribe(new SubscriptionPattern(text));
                } else {
                    c.subscribe(java.util.regex.Pattern.compile(own));
                }
                if (text.startsWith("later:")) {
                    for (long until = System.nanoTime() + 20_000_000_000L; c.groupMetadata().generationId() < 0 && System.nanoTime() < until; ) {
                        c.poll(Duration.ofMillis(200));
                    }
                    try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
                        admin.createTopics(List.of(new NewTopic(own, 2, (short) 1))).all().get();
                    }
                }
                for (long until = System.nanoTime() + 20_000_000_000L; c.assignment().isEmpty() && System.nanoTime() < until; ) {
                    c.poll(Duration.ofMillis(200));
                }
                System.out.println(new TreeSet<>(c.assignment().stream().map(TopicPartition::topic).toList()));
            } catch (Exception e) {
                System.out.println(e.getClass().getSimpleName());
            }
        }
    }
}
