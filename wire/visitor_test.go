package wire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNullStruct: any negative byte is null, as Kafka reads it; any other one is
// followed by the struct; the budget is asked first.
func TestNullStruct(t *testing.T) {
	for marker := range 256 {
		body := append(unhex("01 000007d0"), byte(marker))
		null := int8(marker) < 0
		if !null {
			body = append(body, unhex("02 74 00000005 00")...)
		}
		body = append(body, 0)
		var r DescribeTopicPartitionsRequest
		if err := Decode(&r, 0, body); err != nil || (r.Cursor == nil) != null {
			t.Errorf("marker %d: cursor %v, %v", int8(marker), r.Cursor, err)
			continue
		}
		if !null && *r.Cursor != (DescribeTopicPartitionsCursor{"t", 5}) {
			t.Errorf("marker %d: %+v", marker, *r.Cursor)
		}
	}
}

// TestNumbersThatMeanSomething holds our constants to kmsg's enums.
func TestNumbersThatMeanSomething(t *testing.T) {
	type pair struct{ ours, kmsgs int }
	for name, p := range map[string]pair{
		"ACLResourceAny":              {ACLResourceAny, int(kmsg.ACLResourceTypeAny)},
		"ACLResourceTopic":            {ACLResourceTopic, int(kmsg.ACLResourceTypeTopic)},
		"ACLResourceGroup":            {ACLResourceGroup, int(kmsg.ACLResourceTypeGroup)},
		"ACLResourceCluster":          {ACLResourceCluster, int(kmsg.ACLResourceTypeCluster)},
		"ACLResourceTransactionalID":  {ACLResourceTransactionalID, int(kmsg.ACLResourceTypeTransactionalId)},
		"ACLResourceDelegationToken":  {ACLResourceDelegationToken, int(kmsg.ACLResourceTypeDelegationToken)},
		"ACLResourceUser":             {ACLResourceUser, int(kmsg.ACLResourceTypeUser)},
		"ACLPatternAny":               {ACLPatternAny, int(kmsg.ACLResourcePatternTypeAny)},
		"ACLPatternMatch":             {ACLPatternMatch, int(kmsg.ACLResourcePatternTypeMatch)},
		"ACLPatternLiteral":           {ACLPatternLiteral, int(kmsg.ACLResourcePatternTypeLiteral)},
		"ACLPatternPrefixed":          {ACLPatternPrefixed, int(kmsg.ACLResourcePatternTypePrefixed)},
		"ACLOperationAny":             {ACLOperationAny, int(kmsg.ACLOperationAny)},
		"ACLOperationAll":             {ACLOperationAll, int(kmsg.ACLOperationAll)},
		"ACLOperationRead":            {ACLOperationRead, int(kmsg.ACLOperationRead)},
		"ACLOperationWrite":           {ACLOperationWrite, int(kmsg.ACLOperationWrite)},
		"ACLOperationCreate":          {ACLOperationCreate, int(kmsg.ACLOperationCreate)},
		"ACLOperationDelete":          {ACLOperationDelete, int(kmsg.ACLOperationDelete)},
		"ACLOperationAlter":           {ACLOperationAlter, int(kmsg.ACLOperationAlter)},
		"ACLOperationDescribe":        {ACLOperationDescribe, int(kmsg.ACLOperationDescribe)},
		"ACLOperationClusterAction":   {ACLOperationClusterAction, int(kmsg.ACLOperationClusterAction)},
		"ACLOperationDescribeConfigs": {ACLOperationDescribeConfigs, int(kmsg.ACLOperationDescribeConfigs)},
		"ACLOperationAlterConfigs":    {ACLOperationAlterConfigs, int(kmsg.ACLOperationAlterConfigs)},
		"ACLOperationIdempotentWrite": {ACLOperationIdempotentWrite, int(kmsg.ACLOperationIdempotentWrite)},
		"ACLOperationCreateTokens":    {ACLOperationCreateTokens, int(kmsg.ACLOperationCreateTokens)},
		"ACLOperationDescribeTokens":  {ACLOperationDescribeTokens, int(kmsg.ACLOperationDescribeTokens)},
		"ACLPermissionAny":            {ACLPermissionAny, int(kmsg.ACLPermissionTypeAny)},
		"ACLPermissionDeny":           {ACLPermissionDeny, int(kmsg.ACLPermissionTypeDeny)},
		"ACLPermissionAllow":          {ACLPermissionAllow, int(kmsg.ACLPermissionTypeAllow)},
		"ConfigResourceTopic":         {ConfigResourceTopic, int(kmsg.ConfigResourceTypeTopic)},
		"ConfigResourceBroker":        {ConfigResourceBroker, int(kmsg.ConfigResourceTypeBroker)},
		"ConfigResourceBrokerLogger":  {ConfigResourceBrokerLogger, int(kmsg.ConfigResourceTypeBrokerLogger)},
		"ConfigResourceClientMetrics": {ConfigResourceClientMetrics, int(kmsg.ConfigResourceTypeClientMetrics)},
		"ConfigResourceGroup":         {ConfigResourceGroup, int(kmsg.ConfigResourceTypeGroupConfig)},
		"ConfigSourceTopic":           {ConfigSourceTopic, int(kmsg.ConfigSourceDynamicTopicConfig)},
		"ConfigSourceBroker":          {ConfigSourceBroker, int(kmsg.ConfigSourceDynamicBrokerConfig)},
		"ConfigSourceCluster":         {ConfigSourceCluster, int(kmsg.ConfigSourceDynamicDefaultBrokerConfig)},
		"ConfigSourceStatic":          {ConfigSourceStatic, int(kmsg.ConfigSourceStaticBrokerConfig)},
		"ConfigSourceDefault":         {ConfigSourceDefault, int(kmsg.ConfigSourceDefaultConfig)},
		"ConfigSourceBrokerLogger":    {ConfigSourceBrokerLogger, int(kmsg.ConfigSourceDynamicBrokerLoggerConfig)},
		"ConfigSourceClientMetrics":   {ConfigSourceClientMetrics, int(kmsg.ConfigSourceClientMetricsConfig)},
		"ConfigSourceGroup":           {ConfigSourceGroup, int(kmsg.ConfigSourceGroupConfig)},
		"ConfigTypeBoolean":           {ConfigTypeBoolean, int(kmsg.ConfigTypeBoolean)},
		"ConfigTypeString":            {ConfigTypeString, int(kmsg.ConfigTypeString)},
		"ConfigTypeInt":               {ConfigTypeInt, int(kmsg.ConfigTypeInt)},
		"ConfigTypeShort":             {ConfigTypeShort, int(kmsg.ConfigTypeShort)},
		"ConfigTypeLong":              {ConfigTypeLong, int(kmsg.ConfigTypeLong)},
		"ConfigTypeDouble":            {ConfigTypeDouble, int(kmsg.ConfigTypeDouble)},
		"ConfigTypeList":              {ConfigTypeList, int(kmsg.ConfigTypeList)},
		"ConfigTypeClass":             {ConfigTypeClass, int(kmsg.ConfigTypeClass)},
		"ConfigTypePassword":          {ConfigTypePassword, int(kmsg.ConfigTypePassword)},
		"ConfigOperationSet":          {ConfigOperationSet, int(kmsg.IncrementalAlterConfigOpSet)},
		"ConfigOperationDelete":       {ConfigOperationDelete, int(kmsg.IncrementalAlterConfigOpDelete)},
		"ConfigOperationAppend":       {ConfigOperationAppend, int(kmsg.IncrementalAlterConfigOpAppend)},
		"ConfigOperationSubtract":     {ConfigOperationSubtract, int(kmsg.IncrementalAlterConfigOpSubtract)},
		"QuotaMatchExact":             {QuotaMatchExact, int(kmsg.QuotasMatchTypeExact)},
		"QuotaMatchDefault":           {QuotaMatchDefault, int(kmsg.QuotasMatchTypeDefault)},
		"QuotaMatchSpecified":         {QuotaMatchSpecified, int(kmsg.QuotasMatchTypeAny)},
	} {
		if p.ours != p.kmsgs {
			t.Errorf("%s is %d, kmsg says %d", name, p.ours, p.kmsgs)
		}
	}
}
