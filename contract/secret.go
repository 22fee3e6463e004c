package contract

import (
	"fmt"
	"log/slog"
)

// Masked is what is shown wherever a secret would stand.
const Masked = "***"

// Secret is a text that no log, error, page or event may show. Every usual way
// of printing it prints [Masked]; string(s) is the only way to its content.
type Secret string

// String returns [Masked].
func (Secret) String() string { return Masked }

// Format prints [Masked] for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, Masked) }

// LogValue logs as [Masked].
func (Secret) LogValue() slog.Value { return slog.StringValue(Masked) }

// MarshalText writes [Masked]: a secret does not survive a round trip through
// JSON, which is the point.
func (Secret) MarshalText() ([]byte, error) { return []byte(Masked), nil }
