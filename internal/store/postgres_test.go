package store

import (
	"testing"

	"github.com/ordergate/ordergate/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }
