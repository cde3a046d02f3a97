package config

// foreign are keys that a Kafka server.properties holds and that mean nothing here, with the reason.
var foreign = map[string]string{
	"broker.id":                                        "use node.id",
	"controller.listener.names":                        "there is no separate controller listener",
	"controller.quorum.bootstrap.servers":              "this broker is its own controller",
	"controller.quorum.voters":                         "this broker is its own controller",
	"inter.broker.listener.name":                       "there is one broker",
	"listener.security.protocol.map":                   "only PLAINTEXT is served",
	"log.cleaner.enable":                               "compaction is always on, for topics with cleanup.policy=compact",
	"num.io.threads":                                   "there are no thread pools",
	"num.network.threads":                              "there are no thread pools",
	"num.recovery.threads.per.data.dir":                "recovery replays one commit log",
	"offsets.topic.replication.factor":                 "there is one replica",
	"process.roles":                                    "this broker is its own controller",
	"queued.max.requests":                              "use queued.max.requests.per.connection and queued.max.request.bytes",
	"share.coordinator.state.topic.min.isr":            "share groups are not served",
	"share.coordinator.state.topic.replication.factor": "share groups are not served",
	"socket.receive.buffer.bytes":                      "the kernel sizes socket buffers",
	"socket.send.buffer.bytes":                         "the kernel sizes socket buffers",
	"transaction.state.log.min.isr":                    "there is one replica",
	"transaction.state.log.replication.factor":         "there is one replica",
}
