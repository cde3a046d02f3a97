package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/broker/internal/partition"
	"pgregory.net/rapid"
)

// A hundred members of the classic protocol come and go; in no generation has a partition two owners.
func TestAHundredMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startOn(t, Limits{InitialDelay: time.Second}, &shelf{})
		defer c.Close()
		var mu sync.Mutex
		owners := map[string]string{} // "generation/partition" to member
		synced := 0
		var wg sync.WaitGroup
		for seed := range uint64(100) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, 1))
				id := ""
				for range 6 {
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
					id = churn(t, c, id, func(generation Generation, partitions string) {
						mu.Lock()
						defer mu.Unlock()
						synced++
						for p := range strings.FieldsSeq(partitions) {
							k := fmt.Sprint(generation, "/", p)
							if other, taken := owners[k]; taken && other != id {
								t.Errorf("generation/partition %s is %q's and %q's", k, other, id)
							}
							owners[k] = id
						}
					})
					if r.IntN(3) == 0 {
						c.Leave("g", []Identity{{Member: id}})
						id = ""
					}
				}
				c.Leave("g", []Identity{{Member: id}})
			})
		}
		wg.Wait()
		if synced < 100 {
			t.Errorf("only %d assignments were given", synced)
		}
	})
}

// churn joins, syncs, and beats until the next rebalance or for a while.
func churn(t *testing.T, c *Coordinator, id string, got func(Generation, string)) string {
	j := anyJoin(id)
	j.RebalanceTimeout = 10 * time.Second
	a := wait(t, c.Join("g", "m", j))
	if errors.Is(a.Err, ErrMemberIDRequired) {
		j.Who.Member = a.Member
		a = wait(t, c.Join("g", "m", j))
	}
	if a.Err != nil {
		return ""
	}
	all := map[string][]byte{}
	for p := range 150 {
		if len(a.Members) > 0 {
			m := a.Members[p%len(a.Members)].Member
			all[m] = fmt.Append(all[m], p, " ")
		}
	}
	s := wait(t, c.Sync("g", Sync{Who: Identity{Member: a.Member}, Generation: a.Generation, Assignments: all}))
	if s.Err != nil {
		return a.Member
	}
	got(a.Generation, string(s.Assignment))
	for range 3 {
		time.Sleep(time.Second)
		if c.Heartbeat("g", Identity{Member: a.Member}, a.Generation) != nil {
			break
		}
	}
	return a.Member
}

// Whatever was done, a restart finds it: offsets, transactions under way, groups of both kinds.
func TestARestartFindsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := &shelf{}, newWorld(fourPartitions)
		open := func() *Coordinator {
			made := true
			o, err := OpenOffsets(t.Context(), logsOf(&made, s), nil)
			if err != nil {
				t.Fatal(err)
			}
			return Start(w.limits(), o)
		}
		c := open()
		defer func() { c.Close() }()
		epochs := map[string]int32{}
		group := func() string { return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "group") }
		done := func(err error, f *partition.Future) {
			if err == nil {
				err = f.Wait(t.Context())
			}
			if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotEmpty) && !errors.Is(err, ErrUnknownMember) {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				f := partition.NewFuture()
				r := CommitRequest{Group: group(), Generation: -1, Offsets: []Committed{at("t", rapid.Int32Range(0, 2).Draw(t, "p"), 5)}}
				if rapid.Bool().Draw(t, "txn") {
					r.Producer = &Producer{7, 0}
				}
				done(c.CommitOffsets(t.Context(), r, f), f)
			},
			"marker": func(t *rapid.T) {
				f := partition.NewFuture()
				done(c.Offsets.Marker(t.Context(), 0, Producer{7, 0}, 0, rapid.Bool().Draw(t, "commit"), f), f)
			},
			"delete": func(t *rapid.T) {
				f := partition.NewFuture()
				done(c.Delete(t.Context(), group(), f), f)
			},
			"expire": func(t *rapid.T) {
				c.Expire(time.Now().Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "hours")) * time.Hour))
			},
			"heartbeat": func(t *rapid.T) {
				id, m := group(), rapid.SampledFrom([]string{"m1", "m2"}).Draw(t, "member")
				h := full(m, epochs[id+m])
				if h.Epoch > 0 && rapid.Bool().Draw(t, "leaves") {
					h = brief(m, consumer.LeaveEpoch)
				}
				r, err := c.ConsumerHeartbeat(id, h).Wait(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if epochs[id+m] = max(r.Epoch, 0); r.Err != nil {
					epochs[id+m] = 0
				}
			},
			"classic": func(t *rapid.T) {
				id := group()
				join := c.Join(id, "", classicJoin(""))
				if !join.Ready() {
					return // parked: time does not pass here
				}
				a, err := join.Wait(t.Context())
				if err != nil || a.Err != nil || a.Leader != a.Member {
					return // in a rebalance that waits for others: it is left to the restart
				}
				_, err = c.Sync(id, Sync{Who: Identity{Member: a.Member}, Generation: a.Generation}).Wait(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				c.Leave(id, []Identity{{Member: a.Member}})
			},
			"restart": func(t *rapid.T) {
				busy, _ := c.List([]string{"PreparingRebalance", "CompletingRebalance"}, nil)
				whole := len(busy) == 0 // a rebalance of the classic protocol is decided anew
				before := snapshot(c, whole)
				c.Close()
				c = open()
				if after := snapshot(c, whole); after != before {
					t.Fatalf("after a restart: %s", cmp.Diff(before, after))
				}
			},
		})
	})
}

// snapshot is all that must survive, with the groups if told.
func snapshot(c *Coordinator, groups bool) (out string) {
	if groups {
		out = fmt.Sprintln(c.List(nil, nil))
	}
	for _, id := range []string{"a", "b"} {
		out += fmt.Sprintln(c.Offsets.Fetch(id, nil, false), c.Offsets.Fetch(id, nil, true))
		if d, err := c.ConsumerDescribe(id); groups {
			out += fmt.Sprintf("%+v %v\n", d.Description, err)
		}
		if d, err := c.Describe(id); groups {
			out += fmt.Sprintf("%+v %v\n", d, err)
		}
	}
	return out
}

func TestQueueKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var got []int
		n := rapid.IntRange(1, 20).Draw(t, "n")
		turns := make([]*turn, n)
		for i := range turns {
			turns[i] = q.add(func(err error) {
				if (err != nil) != (i%2 == 0) {
					t.Errorf("%d was told %v", i, err)
				}
				got = append(got, i)
			})
		}
		order := rapid.Permutation(turns).Draw(t, "order")
		for _, x := range order {
			for i := range turns {
				if turns[i] == x {
					x.Done(map[bool]error{true: errRefused}[i%2 == 0])
					x.Done(nil) // only the first counts
				}
			}
		}
		for i, x := range got {
			if i != x {
				t.Fatalf("called in the order %v", got)
			}
		}
		if len(got) != n || len(q.turns) != 0 {
			t.Fatalf("%d of %d were called, %d are left", len(got), n, len(q.turns))
		}
	})
}

var errRefused = errors.New("refused")

func TestNamesThatNoRecordHolds(t *testing.T) {
	c := startOn(t, Limits{}, &shelf{})
	defer c.Close()
	long := strings.Repeat("x", 1<<15)
	if a := wait(t, c.Join(long, "", anyJoin(""))); !errors.Is(a.Err, ErrInvalidGroup) {
		t.Errorf("%v", a.Err)
	}
	if a := wait(t, c.ConsumerHeartbeat("g", full(long, 0))); !errors.Is(a.Err, ErrInvalidGroup) {
		t.Errorf("%v", a.Err)
	}
	if err := c.Offsets.Commit(t.Context(), "g", []Committed{{Metadata: long}}, partition.NewFuture()); !errors.Is(err, record.ErrRecord) {
		t.Errorf("%v", err)
	}
	if len(c.groups) != 0 {
		t.Errorf("%d groups are kept", len(c.groups))
	}
}
