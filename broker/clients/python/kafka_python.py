"""The cells of kafka-python: kafka_python.py ADDRESS PREFIX."""
import sys
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic, OffsetSpec
from kafka.errors import (CommitFailedError, IllegalGenerationError, NoError, RebalanceInProgressError, TopicAlreadyExistsError,
                          UnknownMemberIdError)
from kafka.structs import OffsetAndMetadata

from cells import cell, check, large, numbered, same

ADDR, PREFIX = sys.argv[1:3]
admin = KafkaAdminClient(bootstrap_servers=ADDR)


def create(topic, partitions, **config):
    admin.create_topics([NewTopic(PREFIX + topic, partitions, 1, topic_configs=config)], wait_for_metadata=True)


def deliver(p, topic, partitions, values, headers=None):
    """Produces values round robin; gives where each one is."""
    sent = [p.send(PREFIX + topic, v.encode(), partition=i % partitions, headers=headers) for i, v in enumerate(values)]
    return {(m.partition, m.offset) for m in [f.get(timeout=15) for f in sent]}


def producer(**config):
    return KafkaProducer(bootstrap_servers=ADDR, max_block_ms=10000, delivery_timeout_ms=10000, request_timeout_ms=5000, **config)


def send(topic, partitions, values, headers=None, **config):
    p = producer(**config)
    try:
        return deliver(p, topic, partitions, values, headers)
    finally:
        p.close(timeout=5)


def consumer(**config):
    return KafkaConsumer(bootstrap_servers=ADDR, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=200, **config)


def read(topic, n, **config):
    """Reads a topic from its start to its end, which must give n records."""
    c = consumer(**config)
    tps = [TopicPartition(PREFIX + topic, p) for p in sorted(c.partitions_for_topic(PREFIX + topic))]
    c.assign(tps)
    c.seek_to_beginning(*tps)
    ends, got, until = c.end_offsets(tps), [], time.time() + 15
    while (len(got) < n or any(c.position(tp) < ends[tp] for tp in tps)) and time.time() < until:
        for records in c.poll(100).values():
            got += records
    c.close()
    check(len(got) == n, f"read {len(got)} records of {topic}, want {n}")
    return got


def matches(got, partitions, values):
    same([(r.partition, r.value.decode()) for r in got], partitions, values)


def produce():
    create("data", 3)
    offsets = len(send("data", 3, numbered(0, 1000)))
    check(offsets == 1000, f"{offsets} offsets for 1000 records")


def headers():
    create("headers", 1)
    want = [("h", b""), ("h", b"\0\xff\n")]
    send("headers", 1, ["v"], headers=want)
    got = list(read("headers", 1)[0].headers)
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

    def __init__(self, group, times):
        super().__init__(daemon=True)
        self.times, self.consumed, self.stop, self.failed = times, 0, False, None
        self.c = consumer(group_id=PREFIX + group, heartbeat_interval_ms=200, session_timeout_ms=6000, max_poll_records=20)
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
        polled = self.c.poll(100)
        if not polled:
            return
        try:
            self.c.commit({tp: OffsetAndMetadata(rs[-1].offset + 1, "", -1) for tp, rs in polled.items()})
        except (CommitFailedError, RebalanceInProgressError, IllegalGenerationError, UnknownMemberIdError):
            for tp, rs in polled.items():
                if tp in self.c.assignment():
                    self.c.seek(tp, rs[0].offset)
            return
        for rs in polled.values():
            self.consumed += len(rs)
            self.times.extend(r.value.decode() for r in rs)

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


def group():
    create("group", 4)
    send("group", 4, numbered(0, 200))
    times = []
    a = Member("group", times)
    b = None
    try:
        wait("200 values", lambda: len(set(times)) >= 200, a)
        b = Member("group", times)
        n, until = 200, time.time() + 30
        while b.consumed == 0:  # until the newcomer has its share
            send("group", 4, numbered(n, n + 40))
            n += 40
            wait(f"{n} values", lambda: len(set(times)) >= n, a, b)
            check(time.time() < until, "the second member gets nothing")
        a.leave()
        send("group", 4, numbered(n, n + 200))
        n += 200
        wait(f"{n} values after a member left", lambda: len(set(times)) >= n, b)
    finally:
        a.leave()
        if b:
            b.leave()
    check(len(times) == n, f"{len(times)} consumed and committed, want {n}")


def transactional(name):
    p = producer(transactional_id=PREFIX + name)
    p.init_transactions()
    return p


def txn_commit():
    create("txn", 1)
    p = transactional("txn")
    p.begin_transaction()
    deliver(p, "txn", 1, numbered(0, 10))
    p.commit_transaction()
    p.close(timeout=5)
    matches(read("txn", 10, isolation_level="read_committed"), 1, numbered(0, 10))


def txn_abort():
    create("txn-abort", 1)
    p = transactional("txn-abort")
    p.begin_transaction()
    deliver(p, "txn-abort", 1, numbered(0, 10))
    p.abort_transaction()
    p.begin_transaction()
    deliver(p, "txn-abort", 1, numbered(10, 15))
    p.commit_transaction()
    p.close(timeout=5)
    matches(read("txn-abort", 5, isolation_level="read_committed"), 1, numbered(10, 15))
    read("txn-abort", 15)


def txn_offsets():
    create("txn-in", 1)
    create("txn-out", 1)
    send("txn-in", 1, numbered(0, 10))
    p = transactional("txn-offsets")
    tp = TopicPartition(PREFIX + "txn-in", 0)
    c = consumer(group_id=PREFIX + "txn-group", isolation_level="read_committed")
    c.subscribe([tp.topic])
    for commit in (False, True):
        values, until = [], time.time() + 15
        while len(values) < 10:
            for rs in c.poll(100).values():
                values += [r.value.decode() for r in rs]
            check(time.time() < until, "no input")
        p.begin_transaction()
        deliver(p, "txn-out", 1, values)
        p.send_offsets_to_transaction({tp: OffsetAndMetadata(10, "", -1)}, c.group_metadata())
        if commit:
            p.commit_transaction()
        else:
            p.abort_transaction()
            at = c.committed(tp)
            check(at is None, f"an aborted transaction moved the group's offset to {at}")
            c.seek(tp, 0)
    at = c.committed(tp)
    check(at == 10, f"the group's offset is {at}, want 10")
    c.close()
    p.close(timeout=5)
    matches(read("txn-out", 10, isolation_level="read_committed"), 1, numbered(0, 10))


TOPIC, GROUP = PREFIX + "admin", PREFIX + "admin-group"


def create_topic():
    create("admin", 3, **{"retention.ms": "3600000"})
    try:
        create("admin", 3)
        check(False, "created twice")
    except TopicAlreadyExistsError:
        pass


def describe_topic():
    parts = admin.describe_topics([TOPIC])[0]["partitions"]
    check(len(parts) == 3 and all(p["leader_id"] >= 0 for p in parts), f"described as {parts}")


def add_partitions():
    admin.create_partitions({TOPIC: NewPartitions(5)})
    send("admin", 5, numbered(0, 50))


def configs():
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={"retention.ms": "7200000"})])
    got = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
    check("7200000" in str(got), f"described as {got}")


def delete_records():
    create("delete-records", 1)
    send("delete-records", 1, numbered(0, 10))
    tp = TopicPartition(PREFIX + "delete-records", 0)
    admin.delete_records({tp: 5})
    earliest = admin.list_partition_offsets({tp: OffsetSpec.EARLIEST})[tp].offset
    check(earliest == 5, f"the earliest offset is {earliest}")
    matches(read("delete-records", 5), 1, numbered(5, 10))


def offsets():
    tp = TopicPartition(TOPIC, 0)
    for at in (7, 3):
        errors = admin.alter_group_offsets(GROUP, {tp: OffsetAndMetadata(at, "", -1)})
        check(errors[tp] is NoError, f"{errors}")
        got = admin.list_group_offsets({GROUP: None})[GROUP]
        check({t: o.offset for t, o in got.items()} == {tp: at}, f"offsets {got}")


def listed():
    return GROUP in [g["group_id"] for g in admin.list_groups()]


def groups():
    check(listed(), "not listed")
    d = admin.describe_groups([GROUP])[GROUP]
    check(not d["members"], f"described as {d}")


def delete_group():
    deleted = dict(admin.delete_groups([GROUP]))
    check("NoError" in str(deleted[GROUP]) or deleted[GROUP] == "OK", f"{deleted}")
    check(not listed(), "still listed")


def delete_topic():
    admin.delete_topics([TOPIC])
    check(TOPIC not in admin.list_topics(), "still listed")


print(f"version\t{kafka.__version__}", flush=True)
cell("produce", produce)
cell("consume", lambda: matches(read("data", 1000), 3, numbered(0, 1000)))
cell("headers", headers)
for name in ("gzip", "snappy", "lz4", "zstd"):
    cell(name, lambda: codec(name))
cell("idempotent", idempotent)
cell("group", group)
print("group-848", "n.a.", "kafka-python has no KIP-848", sep="\t", flush=True)
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
