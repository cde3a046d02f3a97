package wire

// The largest messages of admin clients, for TestBudgetFitsRealTraffic.

func bigCreateACLs(n int) Message {
	r := new(CreateACLsRequest)
	for i := range n {
		r.Creations = append(r.Creations, CreateACLsRequestCreation{ResourceName: name(i), Principal: "User:" + name(i), Host: "*"})
	}
	return r
}

func bigDescribeACLsResponse(n int) Message {
	r := new(DescribeACLsResponse)
	for i := range n {
		acl := DescribeACLsResponseACL{Principal: "User:" + name(i), Host: "*"}
		r.Resources = append(r.Resources, DescribeACLsResponseResource{ResourceName: name(i), ACLs: []DescribeACLsResponseACL{acl}})
	}
	return r
}

func bigDescribeConfigsRequest(n int) Message {
	r := new(DescribeConfigsRequest)
	for i := range n {
		r.Resources = append(r.Resources, DescribeConfigsRequestResource{2, name(i), []string{"retention.ms"}})
	}
	return r
}

func bigDescribeConfigsResponse(topics, configs int) Message {
	r := new(DescribeConfigsResponse)
	for i := range topics {
		t := DescribeConfigsResponseResult{ResourceName: name(i)}
		for j := range configs {
			t.Configs = append(t.Configs, DescribeConfigsResponseConfig{
				Name: "some.config." + name(j), Value: namep(j),
				Synonyms: []DescribeConfigsResponseSynonym{{"log.some.config." + name(j), namep(j), ConfigSourceDefault}},
			})
		}
		r.Results = append(r.Results, t)
	}
	return r
}

func bigIncrementalAlterConfigs(n int) Message {
	r := new(IncrementalAlterConfigsRequest)
	for i := range n {
		configs := []IncrementalAlterConfigsRequestConfig{{"retention.ms", ConfigOperationSet, namep(i)}}
		r.Resources = append(r.Resources, IncrementalAlterConfigsRequestResource{2, name(i), configs})
	}
	return r
}

func bigAlterConfigs(n int) Message {
	r := new(AlterConfigsRequest)
	for i := range n {
		r.Resources = append(r.Resources, AlterConfigsRequestResource{2, name(i), []AlterConfigsRequestConfig{{"retention.ms", namep(i)}}})
	}
	return r
}

func bigDescribeLogDirsRequest(n int) Message {
	r := new(DescribeLogDirsRequest)
	for i := range n {
		r.Topics = append(r.Topics, DescribeLogDirsRequestTopic{name(i), []int32{0}})
	}
	return r
}

func bigDescribeLogDirsResponse(n int) Message {
	d := DescribeLogDirsResponseResult{LogDir: "/data"}
	for i := range n {
		d.Topics = append(d.Topics, DescribeLogDirsResponseTopic{name(i), []DescribeLogDirsResponsePartition{{PartitionSize: 7}}})
	}
	return &DescribeLogDirsResponse{Results: []DescribeLogDirsResponseResult{d}}
}

func bigCreatePartitions(n int) Message {
	r := new(CreatePartitionsRequest)
	for i := range n {
		r.Topics = append(r.Topics, CreatePartitionsRequestTopic{name(i), 2, []CreatePartitionsRequestAssignment{{[]int32{1}}}})
	}
	return r
}

func bigDeleteGroups(n int) Message {
	r := new(DeleteGroupsRequest)
	for i := range n {
		r.GroupIDs = append(r.GroupIDs, name(i))
	}
	return r
}

func bigElectLeaders(n int) Message {
	r := new(ElectLeadersRequest)
	for i := range n {
		r.Topics = append(r.Topics, ElectLeadersRequestTopic{name(i), []int32{0}})
	}
	return r
}

func bigAlterPartitionReassignments(n int) Message {
	r := new(AlterPartitionReassignmentsRequest)
	for i := range n {
		partitions := []AlterPartitionReassignmentsRequestPartition{{0, []int32{1, 2, 3}}}
		r.Topics = append(r.Topics, AlterPartitionReassignmentsRequestTopic{name(i), partitions})
	}
	return r
}

func bigListPartitionReassignments(n int) Message {
	r := new(ListPartitionReassignmentsRequest)
	for i := range n {
		r.Topics = append(r.Topics, ListPartitionReassignmentsRequestTopic{name(i), []int32{0}})
	}
	return r
}

func bigOffsetDelete(n int) Message {
	r := &OffsetDeleteRequest{GroupID: "g"}
	for i := range n {
		r.Topics = append(r.Topics, OffsetDeleteRequestTopic{name(i), []OffsetDeleteRequestPartition{{0}}})
	}
	return r
}

func bigAlterClientQuotas(n int) Message {
	r := new(AlterClientQuotasRequest)
	for i := range n {
		r.Entries = append(r.Entries, AlterClientQuotasRequestEntry{
			Entity: []AlterClientQuotasRequestEntity{{"client-id", namep(i)}},
			Ops:    []AlterClientQuotasRequestOp{{Key: "producer_byte_rate", Value: 1}},
		})
	}
	return r
}

func bigDescribeUserSCRAMCredentials(n int) Message {
	r := new(DescribeUserSCRAMCredentialsRequest)
	for i := range n {
		r.Users = append(r.Users, DescribeUserSCRAMCredentialsRequestUser{name(i)})
	}
	return r
}

func bigAlterUserSCRAMCredentials(n int) Message {
	r := new(AlterUserSCRAMCredentialsRequest)
	for i := range n {
		r.Upsertions = append(r.Upsertions, AlterUserSCRAMCredentialsRequestUpsertion{
			Name: name(i), Mechanism: SCRAMSHA256, Iterations: 4096, Salt: make([]byte, 16), SaltedPassword: make([]byte, 32),
		})
	}
	return r
}
