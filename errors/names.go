package errjournal

import "strings"

// Rename tells that oldPath is called newPath now, and with it everything
// below, if it is a directory. Whatever was called newPath has lost its name.
func (j *Journal) Rename(oldPath, newPath string) {
	oldPath, newPath = trim(oldPath), trim(newPath)
	if oldPath == "" || oldPath == newPath {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for l := range j.mu.logs {
		switch {
		case l.nameless:
		case within(l.path, oldPath):
			l.path = newPath + l.path[len(oldPath):]
		case within(l.path, newPath):
			l.nameless = true
		}
	}
	j.mu.cut.rename(oldPath, newPath)
}

// Removed tells that path is no name of its file any more, nor of anything
// below. The logs stay, under that last name, which renames leave alone from
// now on, until Log gives them another.
func (j *Journal) Removed(path string) {
	path = trim(path)
	j.mu.Lock()
	defer j.mu.Unlock()
	for l := range j.mu.logs {
		if within(l.path, path) {
			l.nameless = true
		}
	}
}

// within reports whether path is dir or below it, by whole components.
func within(path, dir string) bool {
	if dir == "" {
		return true
	}
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// trim makes "" of the root and takes slashes off both ends. Names are the
// server's raw bytes: nothing else is cleaned.
func trim(path string) string {
	path = strings.Trim(path, "/")
	if path == "." {
		return ""
	}
	return path
}
