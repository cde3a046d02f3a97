// The cells of kafkajs: clients.js ADDRESS PREFIX, with NODE_PATH naming its node_modules.
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const { strict: assert } = require('assert')

const [address, prefix] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [address], clientId: 'matrix', logLevel: logLevel.NOTHING, connectionTimeout: 5000, requestTimeout: 10000,
  retry: { retries: 4, initialRetryTime: 100 } })
const admin = kafka.admin()

const CODECS = { gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }

// kafkajs brings gzip; the others are plugged in, as its users do.
async function plugInCodecs () {
  CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  const lz4 = require('lz4-napi')
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async encoder => lz4.compressFrame(encoder.buffer),
    decompress: async buffer => lz4.decompressFrame(buffer)
  })
  const zstd = await new Promise(resolve => require('zstd-codec').ZstdCodec.run(z => resolve(new z.Simple())))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
    decompress: async buffer => Buffer.from(zstd.decompress(buffer))
  })
}

const say = (...fields) => console.log(fields.join('\t'))
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const range = (from, to) => Array.from({ length: to - from }, (_, i) => `value-${from + i}`)
const large = () => Array.from({ length: 100 }, (_, i) => String(i).padStart(8, '0').repeat(128))

async function cell (name, body) {
  let timer
  try {
    const limit = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('nothing after 40 s')), 40000) })
    await Promise.race([body(), limit])
    say(name, 'pass', '')
  } catch (e) {
    say(name, 'fail', [e, ...(e.partitions || []).map(p => p.error), e.cause || ''].join(' ').replace(/\s+/g, ' '))
  } finally {
    clearTimeout(timer)
  }
}

async function create (topic, numPartitions, configEntries = []) {
  return admin.createTopics({ topics: [{ topic: prefix + topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true })
}

const messages = (values, partitions) => values.map((value, i) => ({ value, partition: i % partitions }))

async function send (topic, partitions, values, { compression, ...config } = {}) {
  const p = kafka.producer({ allowAutoTopicCreation: false, ...config })
  await p.connect()
  try {
    return await p.send({ topic: prefix + topic, messages: messages(values, partitions), compression })
  } finally {
    await p.disconnect()
  }
}

let readers = 0

// read reads a topic until n records came, and a moment longer to see whether there are more.
async function read (topic, n, config = {}) {
  const c = kafka.consumer({ groupId: `${prefix}reader-${readers++}`, maxWaitTimeInMs: 200, ...config })
  const got = []
  await c.connect()
  try {
    await c.subscribe({ topic: prefix + topic, fromBeginning: true })
    await c.run({ autoCommit: false, eachMessage: async ({ partition, message }) => { got.push({ partition, ...message }) } })
    await until(`${n} records of ${topic}`, () => got.length >= n, 15000)
    await sleep(300)
  } finally {
    await c.disconnect()
  }
  assert.equal(got.length, n, `read ${got.length} records of ${topic}, want ${n}`)
  return got
}

async function until (what, done, ms = 20000) {
  for (const end = Date.now() + ms; !done(); await sleep(20)) {
    assert(Date.now() < end, `waited in vain for ${what}`)
  }
}

function same (got, partitions, want) {
  for (let p = 0; p < partitions; p++) {
    assert.deepEqual(got.filter(m => m.partition === p).map(m => m.value.toString()), want.filter((_, i) => i % partitions === p), `partition ${p}`)
  }
}

async function produce () {
  await create('data', 3)
  const acks = await send('data', 3, range(0, 1000))
  assert.equal(acks.length, 3)
  assert(acks.every(a => a.errorCode === 0 && a.baseOffset === '0'), JSON.stringify(acks))
}

async function headers () {
  await create('headers', 1)
  const p = kafka.producer()
  await p.connect()
  const binary = Buffer.from([0, 255, 10])
  await p.send({ topic: prefix + 'headers', messages: [{ value: 'v', headers: { h: [Buffer.alloc(0), binary] } }] })
  await p.disconnect()
  const h = (await read('headers', 1))[0].headers.h
  assert(h.length === 2 && h[0].length === 0 && h[1].equals(binary), JSON.stringify(h))
}

// A group's member. A record counts as consumed when its commit has succeeded.
async function member (group, times) {
  const c = kafka.consumer({ groupId: prefix + group, heartbeatInterval: 200, sessionTimeout: 6000, rebalanceTimeout: 6000, maxWaitTimeInMs: 200 })
  const m = { consumed: 0, left: false, leave: async () => { if (!m.left) { m.left = true; await c.disconnect() } } }
  await c.connect()
  await c.subscribe({ topic: prefix + group, fromBeginning: true })
  await c.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, isRunning, isStale }) => {
      if (!isRunning() || isStale()) return
      const last = batch.messages[batch.messages.length - 1].offset
      await c.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: String(BigInt(last) + 1n) }])
      resolveOffset(last)
      for (const { value } of batch.messages) times.push(value.toString())
      m.consumed += batch.messages.length
    }
  })
  return m
}

async function group () {
  await create('group', 4)
  await send('group', 4, range(0, 200))
  const times = []
  const seen = n => () => new Set(times).size >= n
  const members = [await member('group', times)]
  try {
    await until('200 values', seen(200))
    members.push(await member('group', times))
    let n = 200
    for (const end = Date.now() + 30000; members[1].consumed === 0;) { // until the newcomer has its share
      await send('group', 4, range(n, n + 40))
      await until(`${n += 40} values`, seen(n))
      assert(Date.now() < end, 'the second member gets nothing')
    }
    await members[0].leave()
    await send('group', 4, range(n, n + 200))
    await until(`${n += 200} values after a member left`, seen(n))
    assert.equal(times.length, n, `${times.length} consumed and committed, want ${n}`)
  } finally {
    for (const m of members) await m.leave()
  }
}

async function transactional (name) {
  const p = kafka.producer({ transactionalId: prefix + name, maxInFlightRequests: 1, idempotent: true })
  await p.connect()
  return p
}

async function inTransaction (p, topic, values, end) {
  const t = await p.transaction()
  await t.send({ topic: prefix + topic, messages: messages(values, 1) })
  await t[end]()
}

async function txnCommit () {
  await create('txn', 1)
  const p = await transactional('txn')
  try {
    await inTransaction(p, 'txn', range(0, 10), 'commit')
  } finally {
    await p.disconnect()
  }
  same(await read('txn', 10), 1, range(0, 10))
}

async function txnAbort () {
  await create('txn-abort', 1)
  const p = await transactional('txn-abort')
  try {
    await inTransaction(p, 'txn-abort', range(0, 10), 'abort')
    await inTransaction(p, 'txn-abort', range(10, 15), 'commit')
  } finally {
    await p.disconnect()
  }
  same(await read('txn-abort', 5), 1, range(10, 15))
  await read('txn-abort', 15, { readUncommitted: true })
}

async function committed (groupId, topic) {
  const [{ partitions }] = await admin.fetchOffsets({ groupId: prefix + groupId, topics: [prefix + topic] })
  return partitions.find(p => p.partition === 0).offset
}

// kafkajs sends offsets without the group's generation; they are the program's to know.
async function txnOffsets () {
  await create('txn-in', 1)
  await create('txn-out', 1)
  await send('txn-in', 1, range(0, 10))
  const p = await transactional('txn-offsets')
  try {
    for (const end of ['abort', 'commit']) {
      const values = (await read('txn-in', 10)).map(m => m.value)
      const t = await p.transaction()
      await t.send({ topic: prefix + 'txn-out', messages: messages(values, 1) })
      await t.sendOffsets({ consumerGroupId: prefix + 'txn-group', topics: [{ topic: prefix + 'txn-in', partitions: [{ partition: 0, offset: '10' }] }] })
      await t[end]()
      assert.equal(await committed('txn-group', 'txn-in'), end === 'commit' ? '10' : '-1', end)
    }
  } finally {
    await p.disconnect()
  }
  same(await read('txn-out', 10), 1, range(0, 10))
}

async function administer () {
  const topic = prefix + 'admin'
  const groupId = prefix + 'admin-group'
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const listed = async () => (await admin.listGroups()).groups.some(g => g.groupId === groupId)
  await cell('create-topic', async () => {
    const entries = [{ name: 'retention.ms', value: '3600000' }]
    assert.equal(await create('admin', 3, entries), true)
    assert.equal(await create('admin', 3, entries), false) // its way to say TOPIC_ALREADY_EXISTS
  })
  await cell('describe-topic', async () => {
    const { topics: [{ partitions }] } = await admin.fetchTopicMetadata({ topics: [topic] })
    assert(partitions.length === 3 && partitions.every(p => p.leader >= 0), JSON.stringify(partitions))
  })
  await cell('add-partitions', async () => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await send('admin', 5, range(0, 50))
  })
  await cell('configs', async () => {
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] })
    const { resources: [{ configEntries }] } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] })
    assert.equal(configEntries.find(e => e.configName === 'retention.ms').configValue, '7200000')
  })
  await cell('delete-records', async () => {
    await create('delete-records', 1)
    await send('delete-records', 1, range(0, 10))
    await admin.fetchTopicOffsets(prefix + 'delete-records') // makes the admin client know the leader, which deleting does not
    await admin.deleteTopicRecords({ topic: prefix + 'delete-records', partitions: [{ partition: 0, offset: '5' }] })
    const [{ low }] = await admin.fetchTopicOffsets(prefix + 'delete-records')
    assert.equal(low, '5')
    same(await read('delete-records', 5), 1, range(5, 10))
  })
  await cell('offsets', async () => {
    for (const offset of ['7', '3']) {
      await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset }] })
      assert.equal(await committed('admin-group', 'admin'), offset)
    }
  })
  await cell('groups', async () => {
    assert(await listed(), 'not listed')
    const { groups: [g] } = await admin.describeGroups([groupId])
    assert.equal(g.members.length, 0)
  })
  await cell('delete-group', async () => {
    await admin.deleteGroups([groupId])
    assert(!await listed(), 'still listed')
  })
  await cell('delete-topic', async () => {
    await admin.deleteTopics({ topics: [topic] })
    assert(!(await admin.listTopics()).includes(topic), 'still listed')
  })
}

async function main () {
  say('version', require('kafkajs/package.json').version)
  await plugInCodecs()
  await admin.connect()
  await cell('produce', produce)
  await cell('consume', async () => same(await read('data', 1000), 3, range(0, 1000)))
  await cell('headers', headers)
  for (const [name, compression] of Object.entries(CODECS)) {
    await cell(name, async () => {
      await create(name, 1)
      await send(name, 1, large(), { compression })
      same(await read(name, 100), 1, large())
    })
  }
  await cell('idempotent', async () => {
    await create('idempotent', 1)
    await send('idempotent', 1, range(0, 500), { idempotent: true, maxInFlightRequests: 1 })
    same(await read('idempotent', 500), 1, range(0, 500))
  })
  await cell('group', group)
  say('group-848', 'n.a.', 'kafkajs has no KIP-848')
  await cell('txn-commit', txnCommit)
  await cell('txn-abort', txnAbort)
  await cell('txn-offsets', txnOffsets)
  await administer()
  await admin.disconnect()
  process.exit(0)
}

main().catch(e => { console.error(e); process.exit(1) })
