package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// shipment is what is done about a blob in a repository that lacks it.
type shipment struct {
	*consignment
	to *destination
	// from is a repository of the same registry to mount it from; nil where its content is sent.
	from *name.Repository
	// after is that from is a repository of this push, and may have it only when others are done.
	after bool
	// missing is that to has said that it lacks it, and that nothing has come to the registry since that could be why it
	// has it now: some keep one store of blobs for all repositories.
	missing bool
}

// stock asks for every blob that no manifest speaks for, in each repository that needs it. That is no request more than
// an upload takes anyway: go-containerregistry begins it by asking, and is spared that question where the answer holds.
func (p *push) stock(ctx context.Context, progress func(string, int64, int64)) error {
	p.list, p.meter = consignments(p.all, p.targets, progress)
	work := lanes{}
	for _, c := range p.list {
		for _, to := range c.to {
			if to.there {
				continue
			}
			work.add(to.repo, func(ctx context.Context) error {
				err := p.client.Retry(ctx, func(ctx context.Context) error {
					layer, err := p.puller.Layer(ctx, to.repo.Digest(c.Digest.String()))
					if err == nil {
						to.there, err = partial.Exists(layer)
						to.missing = err == nil && !to.there
					}
					return err
				})
				if broken(err) {
					to.missing = true // what cannot be read is sent again
					return nil
				}
				if err != nil && !absent(err) {
					return fmt.Errorf("%s: asking %s for it: %w", c.Label, to.repo, err)
				}
				return nil
			})
		}
	}
	return p.run(ctx, work)
}

// route says how the blob gets to all repositories that lack it. Its content goes to the registry once, and not at all
// where one of the repositories has it or it can be mounted from elsewhere. A Preview is made of routes, and Push goes
// by them.
func (c *consignment) route() ([]shipment, error) {
	var all []shipment
	var holder *name.Repository
	held := slices.IndexFunc(c.to, func(to *destination) bool { return to.there })
	if held >= 0 {
		holder = &c.to[held].repo
	}
	for _, to := range c.to {
		switch {
		case to.there:
		case holder != nil:
			all = append(all, shipment{consignment: c, to: to, from: holder, after: true, missing: to.missing && held >= 0})
		default:
			s := shipment{consignment: c, to: to, missing: to.missing}
			layer, err := c.Layer()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Label, err)
			}
			if source, ok := c.mountable(layer, to.repo); ok {
				s.from = &source
			}
			all = append(all, s)
			holder = &to.repo
		}
	}
	return all, nil
}

// blobs sends what is to be sent, and then mounts it in the other repositories that need it.
func (p *push) blobs(ctx context.Context) error {
	first, rest := lanes{}, lanes{}
	for _, c := range p.list {
		for _, to := range c.to {
			if to.there {
				p.meter.finish(to)
			}
		}
		route, err := c.route()
		if err != nil {
			return err
		}
		for _, s := range route {
			work := func(ctx context.Context) error { return p.ship(ctx, s) }
			if s.after {
				rest.sized(s.to.repo, s.Size, work) // a registry that does not mount it is sent it
			} else {
				first.sized(s.to.repo, s.Size, work)
			}
		}
	}
	if err := p.run(ctx, first); err != nil {
		return err
	}
	return p.run(ctx, rest)
}

// ship sends or mounts a blob. A registry that does not mount it is sent it.
func (p *push) ship(ctx context.Context, s shipment) error {
	layer, err := s.Layer()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Label, err)
	}
	counted := &countedLayer{Layer: bare(layer), m: p.meter, to: s.to}
	if sources := s.origins(layer); len(sources) > 0 {
		counted.source = sources[0].RegistryStr()
	}
	upload := v1.Layer(counted)
	if s.from != nil {
		upload = &remote.MountableLayer{Layer: upload, Reference: s.from.Digest(s.Digest.String())}
	}
	missing := s.missing
	err = p.upload(ctx, func(ctx context.Context) error {
		if missing { // the first time; after that, an attempt that failed may have stored it
			ctx, missing = registry.Missing(ctx, s.Digest.String()), false
		}
		return p.pusher.Upload(ctx, s.to.repo, upload)
	})
	if s.from != nil && hidden(err) && !unreadable(err) {
		// A token to mount with is one to read s.from with as well. Whoever may not do that may still push.
		err = p.upload(ctx, func(ctx context.Context) error { return p.sender.Upload(ctx, s.to.repo, counted) })
	}
	if err != nil {
		return fmt.Errorf("%s: uploading it to %s: %w", s.Label, s.to.repo, err)
	}
	p.meter.finish(s.to)
	return nil
}

// upload tries again what may succeed then. Where content is to come from another registry and does not, that has been
// tried often enough by whoever reads it.
func (p *push) upload(ctx context.Context, op func(context.Context) error) error {
	var unread error
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		err := op(ctx)
		if unread = nil; unreadable(err) {
			unread, err = err, nil
		}
		return err
	})
	return cmp.Or(err, unread)
}

// unreadable tells whether err is about where content comes from.
func unreadable(err error) bool {
	var at *locatedError
	return errors.As(err, &at) && at.may == mayRead
}

// mountable is another repository on the registry of to that has a blob.
func (c *consignment) mountable(layer v1.Layer, to name.Repository) (name.Repository, bool) {
	from := c.origins(layer)
	i := slices.IndexFunc(from, func(r name.Repository) bool {
		return r.RegistryStr() == to.RegistryStr() && r.RepositoryStr() != to.RepositoryStr()
	})
	if i < 0 {
		return name.Repository{}, false
	}
	return from[i], true
}

// origins are where a blob stands already: the repositories that targets name, and the one that it was read from.
func (c *consignment) origins(layer v1.Layer) []name.Repository {
	if m, ok := layer.(*remote.MountableLayer); ok {
		return append(slices.Clip(c.sources), m.Reference.Context())
	}
	return c.sources
}

// bare is the layer without the mark that says where it was read from.
func bare(layer v1.Layer) v1.Layer {
	if m, ok := layer.(*remote.MountableLayer); ok {
		return m.Layer
	}
	return layer
}
