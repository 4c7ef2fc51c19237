package p9client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	minMsize   = 256
	maxVersion = 1024 // bytes of an Rversion that are read at most

	googlePrefix = DotL + ".Google."
	googleOffer  = googlePrefix + "3" // whose verbs this client knows
)

// offers are the versions to offer in turn for a wanted dialect.
func offers(wanted string) ([]string, error) {
	switch wanted {
	case "", "auto":
		return []string{googleOffer, DotL, DotU, Plain}, nil
	case DotL:
		return []string{googleOffer, DotL}, nil
	case DotU, Plain:
		return []string{wanted}, nil
	}
	return nil, fmt.Errorf("unknown dialect %q; it is auto, %s, %s or %s", wanted, DotL, DotU, Plain)
}

// dialectOf is the dialect that an agreed version stands for.
func dialectOf(version string, names *ids) dialect {
	switch n, isGoogle := strings.CutPrefix(version, googlePrefix); {
	case isGoogle:
		google, _ := strconv.Atoi(n)
		return dotL{google: google}
	case version == DotU:
		return legacy{unix: true, ids: names}
	case version == Plain:
		return legacy{ids: names}
	}
	return dotL{}
}

var errNot9P = errors.New("the server does not speak 9P; check host and port")

// agree exchanges Tversions on a new connection, before anything else is sent,
// until the server takes one of the versions offered. If the connection ends
// over one of them, rest are those to try on the next connection.
func agree(ctx context.Context, nc net.Conn, msize uint32, versions []string) (version string, size uint32, rest []string, err error) {
	var answers []string
	for len(versions) > 0 {
		offer := versions[0]
		rest = versions[1:]
		answer, size, err := tversionOn(nc, msize, offer)
		if err != nil && ctx.Err() != nil {
			err = silence(ctx) // it was closed because of that
		}
		var refused *Error
		switch {
		case errors.As(err, &refused):
			answers = append(answers, fmt.Sprintf("%q to %s", refused.Error(), offer))
			versions = rest
			continue
		case err != nil && len(answers) > 0:
			return "", 0, rest, fmt.Errorf("%w; before, it answered %s", err, strings.Join(answers, ", "))
		case err != nil:
			return "", 0, rest, err
		}
		if version, versions = settle(offer, answer, rest); version == "" {
			answers = append(answers, fmt.Sprintf("%q to %s", answer, offer))
			continue
		}
		if size > msize || size < minMsize {
			return "", 0, nil, fmt.Errorf("the server wants messages of %d bytes; asked were at most %d, and %d are too few", size, msize, minMsize)
		}
		return version, size, nil, nil
	}
	return "", 0, nil, &noDialect{answers}
}

// A noDialect is what the server answered to all that was offered.
type noDialect struct{ answers []string }

func (e *noDialect) Error() string {
	return "no common dialect: the server answers " + strings.Join(e.answers, ", ") + "; see --dialect"
}

// settle tells what the answer to an offer means: the version agreed on, or else
// what to offer next. A server that answers with another of ours has chosen it,
// unless there is a better one in between: who does not know 9P2000.L answers
// 9P2000 to it (version(5): a name is understood up to a period), and may still
// know 9P2000.u.
func settle(offer, answer string, rest []string) (version string, next []string) {
	if n, ok := strings.CutPrefix(answer, googlePrefix); ok && strings.HasPrefix(offer, googlePrefix) {
		if got, err := strconv.ParseUint(n, 10, 8); err == nil && answer <= offer && got > 0 {
			return answer, nil
		}
	}
	if answer == offer {
		return answer, nil
	}
	i := slices.Index(rest, answer)
	if i < 0 {
		return "", rest
	}
	if !strings.HasPrefix(answer, DotL) {
		for i > 0 && strings.HasPrefix(rest[0], DotL) {
			rest, i = rest[1:], i-1
		}
	}
	if i == 0 {
		return answer, nil
	}
	return "", rest
}

// tversionOn sends one Tversion and returns the answer to it; an Error is the
// server's refusal.
func tversionOn(nc net.Conn, msize uint32, version string) (answer string, size uint32, err error) {
	var e encoder
	e.begin(tversion)
	e.u32(msize)
	e.str(version)
	e.finish(noTag, 0)
	if _, err := nc.Write(e.b); err != nil {
		return "", 0, fmt.Errorf("Tversion: %w", err)
	}
	h := make([]byte, headerLen)
	if _, err := io.ReadFull(nc, h); err != nil {
		return "", 0, fmt.Errorf("no answer to Tversion (%w): %w", err, errNot9P)
	}
	n := binary.LittleEndian.Uint32(h)
	typ, tag := h[4], binary.LittleEndian.Uint16(h[5:])
	known := typ == tversion+1 || typ == rlerror || typ == rerror
	if n < headerLen || n > maxVersion || !known || tag != noTag {
		return "", 0, fmt.Errorf("the answer to Tversion makes no sense: %w", errNot9P)
	}
	body := make([]byte, n-headerLen)
	if _, err := io.ReadFull(nc, body); err != nil {
		return "", 0, fmt.Errorf("Rversion: %w: %w", err, errNot9P)
	}
	if typ != tversion+1 {
		return "", 0, errorReply(typ, body)
	}
	d := decoder{b: body}
	size, answer = d.u32(), d.str()
	if d.end() != nil {
		return "", 0, fmt.Errorf("Rversion makes no sense: %w", errNot9P)
	}
	return answer, size, nil
}

// hungUp reports whether a Tversion failed because the server closed the
// connection, as some do over a version that they do not know.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// handshake connects and agrees on a dialect, on as many connections as that
// takes: there are servers that hang up over a version that they do not know. It
// offers what the last connection agreed on, and all that would do only
// if the server does not know that.
func (s *Session) handshake(ctx context.Context, addr Address) (nc net.Conn, version string, msize uint32, err error) {
	versions := s.offers
	if v := s.Dialect(); v != "" {
		versions = []string{v}
	}
	again := len(versions) < len(s.offers)
	blamed := false // the first of versions, for the end of a connection
	for {
		nc, err := s.dialer.dial(ctx, addr, s.o)
		if err != nil {
			return nil, "", 0, err
		}
		offered := versions
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		version, msize, versions, err = agree(ctx, nc, s.o.Msize, offered)
		if !stop() && err == nil {
			err = silence(ctx)
		}
		if err == nil {
			return nc, version, msize, nil
		}
		hangUp(nc)
		var none *noDialect
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &none) && again:
			versions, again = s.offers, false
			continue
		case hungUp(err) && again: // it knew the version before: try later
		case hungUp(err) && !(blamed && len(offered)-len(versions) == 1):
			// It may be the network: the version is to blame only if it happens twice.
			versions, blamed = offered[len(offered)-len(versions)-1:], true
			continue
		case hungUp(err) && len(versions) > 0:
			blamed = false
			continue
		}
		return nil, "", 0, fmt.Errorf("%v: %w", addr, explain(nc, err))
	}
}

// silence says that the context ended before an answer to Tversion came.
func silence(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("no answer to Tversion: %w", cause)
	}
	return fmt.Errorf("no answer to Tversion (%w): %w", context.Cause(ctx), errNot9P)
}
