package legacy9p

import (
	"context"
	"errors"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"golang.org/x/sys/unix"
)

var (
	errAuth    = errors.New("authentication not required")
	errNoEntry = errors.New("directory entry not found")
)

func (s *session) auth(context.Context, *srv9p.Fid, string, string) (plan9.Qid, error) {
	return plan9.Qid{}, errAuth
}

func (s *session) attach(_ context.Context, fid, _ *srv9p.Fid, _, _ string) (plan9.Qid, error) {
	if err := s.enter(); err != nil {
		return plan9.Qid{}, err
	}
	defer s.leave()
	var st unix.Stat_t
	if err := unix.Fstat(s.root, &st); err != nil {
		return plan9.Qid{}, words(err)
	}
	fid.SetAux(&file{s: s, path: "."})
	return s.qid(&st), nil
}

// walk moves newfid only if all names are found, also when it is fid itself.
func (s *session) walk(_ context.Context, fid, newfid *srv9p.Fid, names []string) ([]plan9.Qid, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	f, err := fileOf(fid)
	if err != nil {
		return nil, err
	}
	p := f.where()
	var qids []plan9.Qid
	for _, name := range names {
		if len(qids) > 0 && qids[len(qids)-1].Type&plan9.QTDIR == 0 {
			return qids, nil
		}
		var q plan9.Qid
		if p, q, err = s.walkOne(p, name); err != nil {
			return qids, words(err) // srv9p sends it only if there are no qids
		}
		qids = append(qids, q)
	}
	newfid.SetAux(&file{s: s, path: p})
	return qids, nil
}

func (s *session) walkOne(p, name string) (string, plan9.Qid, error) {
	if name != ".." {
		if err := legal(name); err != nil {
			return p, plan9.Qid{}, err
		}
	}
	to := step(p, name)
	fd, err := s.object(to, s.u == nil)
	if err != nil {
		if err == unix.ENOENT && s.exists(p) {
			err = errNoEntry
		}
		return p, plan9.Qid{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return p, plan9.Qid{}, err
	}
	return to, s.qid(&st), nil
}

func (s *session) exists(p string) bool {
	fd, err := s.object(p, true)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
