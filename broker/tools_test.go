package broker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestAdministratorsTools is what tools do by another codec than this project's: franz-go's.
func TestAdministratorsTools(t *testing.T) {
	b := start(t, t.TempDir())
	adm, ctx := b.admin(), within(t, 20*time.Second)
	if _, err := adm.CreateTopic(ctx, 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	quotas := []kadm.AlterClientQuotaEntry{{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: ptr("u")}}, Ops: []kadm.AlterClientQuotaOp{{Key: "request_percentage", Value: 1e6}}}}
	if set, err := adm.AlterClientQuotas(ctx, quotas); err != nil || set[0].Err != nil {
		t.Error(err, set)
	}
	got, err := adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchName: ptr("u")}})
	if err != nil || len(got) != 1 || got[0].Values[0].Value != 1e6 {
		t.Errorf("%+v, %v", got, err)
	}
	users, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: "u", Mechanism: kadm.ScramSha512, Iterations: 5000, Password: "p"}})
	if err != nil || users["u"].Err != nil {
		t.Error(err, users)
	}
	described, err := adm.DescribeUserSCRAMs(ctx)
	if err != nil || len(described["u"].CredInfos) != 1 || described["u"].CredInfos[0].Iterations != 5000 {
		t.Errorf("%+v, %v", described, err)
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(dirs[1][b.dir].Topics["t"]) != 2 {
		t.Errorf("%+v, %v", dirs, err)
	}
	var moves kadm.AlterPartitionAssignmentsReq
	moves.Assign("t", 0, []int32{1})
	moves.CancelAssign("t", 1)
	moved, err := adm.AlterPartitionAssignments(ctx, moves)
	if err != nil || moved["t"][0].Err != nil || !errors.Is(moved["t"][1].Err, kerr.NoReassignmentInProgress) {
		t.Errorf("%+v, %v", moved, err)
	}
	if under, err := adm.ListPartitionReassignments(ctx, nil); err != nil || len(under) != 0 {
		t.Errorf("%+v, %v", under, err)
	}
	elected, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{"t": {0: {}}})
	if err != nil || !errors.Is(elected["t"][0].Err, kerr.ElectionNotNeeded) {
		t.Errorf("%+v, %v", elected, err)
	}
	if grown, err := adm.UpdatePartitions(ctx, 3, "t"); err != nil || grown["t"].Err != nil {
		t.Errorf("%+v, %v", grown, err)
	}
	if cut, err := adm.DeleteRecords(ctx, kadm.Offsets{"t": {2: {Topic: "t", Partition: 2, At: 0}}}); err != nil || cut["t"][2].Err != nil {
		t.Errorf("%+v, %v", cut, err)
	}
	every := kadm.NewACLs().AnyResource().Allow().Deny().AllowHosts().DenyHosts().Operations().ResourcePatternType(kadm.ACLPatternAny)
	if results, err := adm.DescribeACLs(ctx, every); err != nil || len(results) == 0 || !errors.Is(results[0].Err, kerr.SecurityDisabled) {
		t.Errorf("%+v, %v", results, err)
	}
}
