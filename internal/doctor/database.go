package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/store"
)

// slowAnswer is when a server is far away: a call takes a few answers.
const slowAnswer = 20 * time.Millisecond

func (d *Doctor) database(ctx context.Context) (list []Finding) {
	i, err := d.inspect(ctx)
	if err != nil {
		return []Finding{found(Fail, "see that --database names it, and that this user may read it", "%s: %v", store.Redacted(d.Database), err)}
	}
	if i.Server != nil {
		list = server(i.Server)
	}
	if d.KeyError != nil {
		list = append(list, found(Fail, "make one with: openssl rand -base64 32; for a ledger that there is, give the one it was made with", "key: %v", d.KeyError))
	}
	switch {
	case i.New:
		return append(list, found(OK, "", "there is no ledger yet: the first start makes it"))
	case i.Schema > i.Known:
		list = append(list, found(Fail, "run the newer ordergate that made it", "its schema is version %d, and this program knows %d", i.Schema, i.Known))
	case i.Schema < i.Known:
		list = append(list, found(OK, "", "its schema is version %d; the next start brings it to %d", i.Schema, i.Known))
	default:
		list = append(list, found(OK, "", "its schema is version %d, as it should be", i.Schema))
	}
	switch {
	case d.KeyError != nil:
	case d.Key == "":
		list = append(list, found(Fail, "give ORDERGATE_KEY or --key-file, or restore the file .key beside the database", "no key was found; its secrets are sealed with %s", i.Key))
	case d.Key != i.Key:
		list = append(list, found(Fail, "give the key that it was made with", "its secrets are sealed with the key %s, and the one that was found is %s", i.Key, d.Key))
	default:
		list = append(list, found(OK, "", "the key that was found, %s, opens its secrets", d.Key))
	}
	switch {
	case i.Damaged != nil:
		list = append(list, found(Fail, "stop the gateway, copy the file away, and restore a backup (ordergate restore)", "it is damaged: %s", strings.Join(i.Damaged, "; ")))
	case i.Unchecked:
		list = append(list, found(OK, "", "it is too large to be checked here; ordergate backup checks its copy"))
	case i.Engine == store.EngineSQLite:
		list = append(list, found(OK, "", "its structure is sound"))
	}
	if i.Served {
		list = append(list, found(OK, "", "a gateway serves it"))
	}
	return list
}

func server(s *store.PostgresServer) (list []Finding) {
	f := found(OK, "", "PostgreSQL %d.%d answers in %v", s.Version/10000, s.Version%10000, s.Latency.Round(10*time.Microsecond))
	switch {
	case s.Version < store.LeastPostgres:
		f.Level, f.Fix = Fail, "run PostgreSQL 14 or newer"
	case s.Latency > slowAnswer:
		f.Level, f.Fix = Warn, "put gateway and server near each other: a call takes a few answers"
	}
	list = append(list, f)
	for name, value := range s.Settings {
		if value == "off" {
			list = append(list, found(Fail, "set "+name+" = on: what was answered must outlive a crash", "%s is off", name))
		}
	}
	if s.Replica {
		list = append(list, found(Fail, "name the primary, or all hosts with target_session_attrs=read-write", "it is a standby and takes no writes"))
	}
	if most := store.MostConnections(); s.Connections < most {
		list = append(list, found(Warn, fmt.Sprintf("raise max_connections: a gateway has up to %d", most), "%d connections are left", s.Connections))
	}
	if !s.MayCreate {
		list = append(list, found(Fail, "make the role the owner of the database: nodes make and drop partitions", "this role may not make tables"))
	}
	return append(list, compared("the server's clock", s.Behind, time.Millisecond))
}
