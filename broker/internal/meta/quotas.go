package meta

import (
	"context"

	"github.com/streambus/streambus/broker/internal/quota"
)

// QuotaChange is what is asked of one entity.
type QuotaChange struct {
	Entity []quota.NamedPart
	Ops    []quota.Change
}

// AlterQuotas changes the quotas of entities, each by itself: an error for each, in the order of the request; nil is done, or could be
// where validateOnly says that nothing is to be. Errors: quota.ErrRequest, ErrTooLong, or the journal's.
func (s *Store) AlterQuotas(ctx context.Context, changes []QuotaChange, validateOnly bool) []error {
	out := make([]error, len(changes))
	for at, c := range changes {
		e, err := quota.ParseEntity(c.Entity)
		if err != nil {
			out[at] = err
			continue
		}
		out[at] = s.changes(ctx, func(i *Image) ([]record, error) {
			next, err := quota.Alter(e, i.Quotas[e], c.Ops)
			r := record{kind: clientQuotas, entity: e, settings: quotaTexts(next)}
			if err == nil {
				_, err = r.encode()
			}
			if err != nil || validateOnly {
				return nil, err
			}
			return []record{r}, nil
		})
	}
	return out
}
