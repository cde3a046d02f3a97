package api

import "errors"

// What the requests of administrators get wrong by themselves, whatever the rooms would say.
var (
	errResourceTwice = errors.New("the resource is named twice in the request")
	errSettingTwice  = errors.New("the setting is named twice for one resource")
	errTopicTwice    = errors.New("the topic is named twice in the request")
)
