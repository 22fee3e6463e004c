package order

import (
	"iter"
	"math/bits"
)

// ShardCount is into how many parts lanes are divided. Each part of a queue is delivered
// by one of the processes that share a store.
const ShardCount = 16

// Shards is a set of parts, a bit for each.
type Shards uint32

// AllShards are all parts.
const AllShards Shards = 1<<ShardCount - 1

// Shard is the part that a lane is in.
func (l Lane) Shard() int { return int(l / laneKinds % ShardCount) }

// Has reports whether a part is in the set.
func (s Shards) Has(shard int) bool { return s>>shard&1 == 1 }

// Count is how many parts are in the set.
func (s Shards) Count() int { return bits.OnesCount32(uint32(s)) }

// Part is the part of a limit that those who deliver the set have: all parts together are
// the limit. It is at least 1.
func (s Shards) Part(limit int) (part int) {
	for shard := range s.All() {
		part += limit*(shard+1)/ShardCount - limit*shard/ShardCount
	}
	return max(1, part)
}

// All lists the parts in the set, in ascending order.
func (s Shards) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for shard := range ShardCount {
			if s.Has(shard) && !yield(shard) {
				return
			}
		}
	}
}
