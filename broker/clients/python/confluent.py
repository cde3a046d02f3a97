"""The cells of confluent-kafka, which brings a new librdkafka: confluent.py ADDRESS PREFIX."""
import sys
import threading
import time

import confluent_kafka
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourceType)

from cells import cell, check, large, numbered, same

ADDR, PREFIX = sys.argv[1:3]
admin = AdminClient({"bootstrap.servers": ADDR})


def result(futures):
    return [f.result(20) for f in futures.values()]


def create(topic, partitions, **config):
    result(admin.create_topics([NewTopic(PREFIX + topic, partitions, 1, config=config)]))


def deliver(p, topic, partitions, values, headers=None):
    """Produces values round robin; gives where each one is."""
    at, errors = set(), []

    def done(err, msg):
        errors.append(err) if err else at.add((msg.partition(), msg.offset()))

    for i, v in enumerate(values):
        p.produce(PREFIX + topic, v, partition=i % partitions, headers=headers, on_delivery=done)
        p.poll(0)
    left = p.flush(15)
    check(not errors and not left, f"{left} not sent, {errors[:1]}")
    return at


def send(topic, partitions, values, headers=None, **config):
    config = {k.replace("_", "."): v for k, v in config.items()}
    return deliver(Producer({"bootstrap.servers": ADDR, **config}), topic, partitions, values, headers)


def consumer(**config):
    return Consumer({"bootstrap.servers": ADDR, "group.id": PREFIX + "reader", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                     "enable.partition.eof": True, "fetch.wait.max.ms": 200, **config})


def read(topic, n, **config):
    """Reads a topic from its start to its end, which must give n records."""
    c = consumer(**config)
    parts = c.list_topics(PREFIX + topic, 10).topics[PREFIX + topic].partitions
    c.assign([TopicPartition(PREFIX + topic, p, confluent_kafka.OFFSET_BEGINNING) for p in parts])
    got, ended, until = [], set(), time.time() + 15
    while len(ended) < len(parts) and time.time() < until:
        m = c.poll(0.1)
        if m is None:
            continue
        if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
            ended.add(m.partition())
        elif m.error():
            raise KafkaException(m.error())
        else:
            got.append(m)
    c.close()
    check(len(got) == n, f"read {len(got)} records of {topic}, want {n}")
    return got


def matches(got, partitions, values):
    same([(m.partition(), m.value().decode()) for m in got], partitions, values)


def produce():
    create("data", 3)
    offsets = len(send("data", 3, numbered(0, 1000)))
    check(offsets == 1000, f"{offsets} offsets for 1000 records")


def headers():
    create("headers", 1)
    want = [("h", b""), ("h", b"\0\xff\n")]
    send("headers", 1, ["v"], headers=want)
    got = read("headers", 1)[0].headers()
    check(got == want, f"headers {got}")


def codec(name):
    create(name, 1)
    send(name, 1, large(), compression_type=name, linger_ms=100)
    matches(read(name, 100), 1, large())


def idempotent():
    create("idempotent", 1)
    send("idempotent", 1, numbered(0, 500), enable_idempotence=True)
    matches(read("idempotent", 500), 1, numbered(0, 500))


class Member(threading.Thread):
    """A group's member. A record counts as consumed when its commit has succeeded."""

    def __init__(self, group, config, times):
        super().__init__(daemon=True)
        self.times, self.consumed, self.stop, self.failed = times, 0, False, None
        self.c = consumer(**{"group.id": PREFIX + group, "enable.partition.eof": False, **config})
        self.c.subscribe([PREFIX + group])
        self.start()

    def run(self):
        try:
            while not self.stop:
                self.step()
        except Exception as e:
            self.failed = e
        finally:
            self.c.close()

    def step(self):
        m = self.c.poll(0.1)
        if m is None:
            return
        if m.error():
            raise KafkaException(m.error())
        try:
            for p in self.c.commit(m, asynchronous=False):
                if p.error:
                    raise KafkaException(p.error)
        except KafkaException as e:
            if e.args[0].code() in (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH,
                                    KafkaError.UNKNOWN_MEMBER_ID, KafkaError._ASSIGNMENT_LOST):
                return  # the partition is somebody else's now, or is read again from its committed offset
            raise
        self.consumed += 1
        self.times.append(m.value().decode())

    def leave(self):
        self.stop = True
        self.join()
        if self.failed:
            raise self.failed


def wait(what, done, *members):
    until = time.time() + 20
    while not done():
        for m in members:
            if m.failed:
                raise m.failed
        check(time.time() < until, f"waited in vain for {what}")
        time.sleep(0.02)


def group(name, **config):
    create(name, 4)
    send(name, 4, numbered(0, 200))
    times = []
    a = Member(name, config, times)
    b = None
    try:
        wait("200 values", lambda: len(set(times)) >= 200, a)
        b = Member(name, config, times)
        n, until = 200, time.time() + 30
        while b.consumed == 0:  # until the newcomer has its share
            send(name, 4, numbered(n, n + 40))
            n += 40
            wait(f"{n} values", lambda: len(set(times)) >= n, a, b)
            check(time.time() < until, "the second member gets nothing")
        a.leave()
        send(name, 4, numbered(n, n + 200))
        n += 200
        wait(f"{n} values after a member left", lambda: len(set(times)) >= n, b)
    finally:
        a.leave()
        if b:
            b.leave()
    check(len(times) == n, f"{len(times)} consumed and committed, want {n}")


def transactional(name):
    p = Producer({"bootstrap.servers": ADDR, "transactional.id": PREFIX + name, "transaction.timeout.ms": 20000})
    p.init_transactions(15)
    return p


READ_COMMITTED = {"isolation.level": "read_committed"}


def txn_commit():
    create("txn", 1)
    p = transactional("txn")
    p.begin_transaction()
    deliver(p, "txn", 1, numbered(0, 10))
    p.commit_transaction(15)
    matches(read("txn", 10, **READ_COMMITTED), 1, numbered(0, 10))


def txn_abort():
    create("txn-abort", 1)
    p = transactional("txn-abort")
    p.begin_transaction()
    deliver(p, "txn-abort", 1, numbered(0, 10))
    p.abort_transaction(15)
    p.begin_transaction()
    deliver(p, "txn-abort", 1, numbered(10, 15))
    p.commit_transaction(15)
    matches(read("txn-abort", 5, **READ_COMMITTED), 1, numbered(10, 15))
    read("txn-abort", 15, **{"isolation.level": "read_uncommitted"})


def txn_offsets():
    create("txn-in", 1)
    create("txn-out", 1)
    send("txn-in", 1, numbered(0, 10))
    p = transactional("txn-offsets")
    tp = TopicPartition(PREFIX + "txn-in", 0, 10)
    c = consumer(**{"group.id": PREFIX + "txn-group", "enable.partition.eof": False, **READ_COMMITTED})
    c.subscribe([tp.topic])
    for commit in (False, True):
        values, until = [], time.time() + 15
        while len(values) < 10:
            m = c.poll(0.1)
            if m is not None and not m.error():
                values.append(m.value())
            check(time.time() < until, "no input")
        p.begin_transaction()
        deliver(p, "txn-out", 1, values)
        p.send_offsets_to_transaction([tp], c.consumer_group_metadata(), 15)
        if commit:
            p.commit_transaction(15)
        else:
            p.abort_transaction(15)
            at = c.committed([tp], 10)[0].offset
            check(at < 0, f"an aborted transaction moved the group's offset to {at}")
            c.seek(TopicPartition(tp.topic, 0, 0))
    at = c.committed([tp], 10)[0].offset
    check(at == 10, f"the group's offset is {at}, want 10")
    c.close()
    matches(read("txn-out", 10, **READ_COMMITTED), 1, numbered(0, 10))


TOPIC, GROUP = PREFIX + "admin", PREFIX + "admin-group"


def create_topic():
    create("admin", 3, **{"retention.ms": "3600000"})
    try:
        create("admin", 3)
        check(False, "created twice")
    except KafkaException as e:
        check(e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, f"a second time: {e}")


def describe_topic():
    d = result(admin.describe_topics(confluent_kafka.TopicCollection([TOPIC])))[0]
    check(len(d.partitions) == 3 and d.partitions[2].leader is not None, f"described as {d}")


def add_partitions():
    result(admin.create_partitions([NewPartitions(TOPIC, 5)]))
    send("admin", 5, numbered(0, 50))


def configs():
    change = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    result(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[change])]))
    got = result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, TOPIC)]))[0]["retention.ms"].value
    check(got == "7200000", f"described as {got}")


def delete_records():
    create("delete-records", 1)
    send("delete-records", 1, numbered(0, 10))
    tp = TopicPartition(PREFIX + "delete-records", 0, 5)
    result(admin.delete_records([tp]))
    earliest = result(admin.list_offsets({TopicPartition(tp.topic, 0): OffsetSpec.earliest()}))[0].offset
    check(earliest == 5, f"the earliest offset is {earliest}")
    matches(read("delete-records", 5), 1, numbered(5, 10))


def offsets():
    for at in (7, 3):
        result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [TopicPartition(TOPIC, 0, at)])]))
        got = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)]))[0].topic_partitions
        check([(t.partition, t.offset) for t in got] == [(0, at)], f"offsets {got}")


def listed():
    return GROUP in [g.group_id for g in admin.list_consumer_groups().result(20).valid]


def groups():
    check(listed(), "not listed")
    d = result(admin.describe_consumer_groups([GROUP]))[0]
    check(not d.members, f"described as {d}")


def delete_group():
    result(admin.delete_consumer_groups([GROUP]))
    check(not listed(), "still listed")


def delete_topic():
    result(admin.delete_topics([TOPIC]))
    check(TOPIC not in admin.list_topics(timeout=10).topics, "still listed")


print(f"version\t{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})", flush=True)
cell("produce", produce)
cell("consume", lambda: matches(read("data", 1000), 3, numbered(0, 1000)))
cell("headers", headers)
for name in ("gzip", "snappy", "lz4", "zstd"):
    cell(name, lambda: codec(name))
cell("idempotent", idempotent)
cell("group", lambda: group("group", **{"heartbeat.interval.ms": 200, "session.timeout.ms": 6000}))
cell("group-848", lambda: group("group-848", **{"group.protocol": "consumer"}))
cell("txn-commit", txn_commit)
cell("txn-abort", txn_abort)
cell("txn-offsets", txn_offsets)
cell("create-topic", create_topic)
cell("describe-topic", describe_topic)
cell("add-partitions", add_partitions)
cell("configs", configs)
cell("delete-records", delete_records)
cell("offsets", offsets)
cell("groups", groups)
cell("delete-group", delete_group)
cell("delete-topic", delete_topic)
