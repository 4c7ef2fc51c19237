//go:build matrix

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"p9mapfs/test/p9test"
)

// A cell is one case of the cross product.
type cell struct {
	server  p9test.Kind // Embedded or Legacy
	policy  string      // "hold", "expire" (hold whose time runs out) or "fail"
	mode    string      // "mmap" and msync, or "write" and fsync
	msg     string      // 9P2000.L's word
	at      string      // the call that causes it
	lasting bool
	fault   string
}

// row is the mount of the case, and name its name there.
func (c cell) row() string {
	to := fmt.Sprintf("%v %s %s", c.server, c.policy, c.mode)
	switch lasts := c.lasts(); {
	case !c.slow():
		return fmt.Sprintf("%s %s@%s %s", to, c.msg, c.at, lasts)
	case c.reconnects(), c.at == "open", c.at == "probe":
		return fmt.Sprintf("%s slow %s", to, c.at)
	}
	return to + " slow"
}

func (c cell) name() string {
	if c.slow() {
		return fmt.Sprintf("%s@%s %s %s", c.msg, c.at, c.lasts(), c.fault)
	}
	return c.fault
}

func (c cell) lasts() string {
	if c.lasting {
		return "lasting"
	}
	return "once"
}

func (c cell) String() string {
	return fmt.Sprintf("%v %s %s %s@%s %s: %s", c.server, c.policy, c.mode, c.msg, c.at, c.lasts(), c.fault)
}

// run is what go test -run takes to run this case alone.
func (c cell) run() string {
	return strings.ReplaceAll(fmt.Sprintf("^TestFaultMatrix$/^%s$/^%s$", c.row(), c.name()), " ", "_")
}

// points are the messages and the calls that cause them.
var points = []struct{ msg, at string }{
	{"Tversion", "reconnect"}, {"Tattach", "reconnect"}, {"Twalk", "reconnect"}, {"Tlopen", "reconnect"},
	{"Twalk", "open"}, {"Twalkgetattr", "open"}, {"Tgetattr", "open"}, {"Tlopen", "open"}, {"Tclunk", "open"},
	{"Tlcreate", "create"}, {"Tgetattr", "stat"}, {"Tsetattr", "truncate"}, {"Tread", "read"},
	{"Twrite", "sync"}, {"Tfsync", "sync"}, {"Tflush", "probe"},
}

// errnos are those of row 4.
var errnos = map[string]syscall.Errno{
	"ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT, "EROFS": syscall.EROFS, "EACCES": syscall.EACCES,
	"EPERM": syscall.EPERM, "EFBIG": syscall.EFBIG, "EIO": syscall.EIO,
}

var faults = []string{
	"cut", "cut-after", "cut-mid", "late", "silent", "garbage", "badtag", "badtype", "badframe", "short", "none",
	"ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EFBIG", "EIO",
}

// product is the full cross product.
func product() (l []cell) {
	for _, server := range []p9test.Kind{p9test.Embedded, p9test.Legacy} {
		for _, policy := range []string{"hold", "expire", "fail"} {
			for _, mode := range []string{"mmap", "write"} {
				for _, p := range points {
					for _, lasting := range []bool{false, true} {
						for _, fault := range faults {
							l = append(l, cell{server, policy, mode, p.msg, p.at, lasting, fault})
						}
					}
				}
			}
		}
	}
	return l
}

// omitted is the reason why a cell means nothing, or nothing else than another one.
func (c cell) omitted() string {
	counts := c.msg == "Twrite" || c.msg == "Tread"
	switch {
	case c.server == p9test.Legacy && c.msg == "Twalkgetattr":
		return "9P2000 has no such message: Twalk and Tgetattr (Tstat) at open are the cells"
	case (c.fault == "short" || c.fault == "none") && !counts:
		return "the message has no count"
	case c.fault == "none" && c.msg == "Tread":
		return "an Rread of 0 bytes is the end of the file"
	case c.msg == "Tclunk" && errnos[c.fault] != 0:
		return "a refused Tclunk ends its fid all the same (clunk(5)), which the proxy, that does not forward it, cannot do"
	case c.fault == "garbage" && c.emptyReply():
		return "the reply has no body that could be garbage"
	case c.fault == "garbage" && c.opaqueReply():
		return "any bytes are a valid reply (a qid, attributes): nobody can tell it from the truth"
	case c.fault == "late" && c.lasting:
		return "a server that is always late is the cell once, again and again"
	case c.at == "probe" && (c.fault == "late" || c.fault == "silent"):
		return "the probe is there because the server is silent: the cell is Twrite's"
	case c.handshake() && c.fault == "silent":
		return "a handshake may take 10 s, which nothing shortens: no case of milliseconds"
	case c.policy == "expire" && !c.lasting:
		return "a fault that is over at once does not outlast the hold time"
	case c.policy == "expire" && !c.loses():
		return "the hold time matters only without a connection: the cells are those of hold"
	case c.policy == "expire" && c.server == p9test.Legacy:
		return "the hold time knows no dialects: the cells are those of the embedded server"
	case c.mode == "write" && !c.stores():
		return "the message is no part of storing: the cells are those of mmap"
	case c.policy == "fail" && !c.loses() && c.fault != "late" && c.at != "sync":
		return "--on-disconnect matters only without a connection: the cells are those of hold"
	case (c.handshake() || c.at == "probe") && errnos[c.fault] != 0 && c.fault != "EACCES" && c.fault != "EIO":
		return "no errno of a handshake or a probe is told to anybody: EACCES and EIO stand for all"
	}
	return ""
}

func (c cell) emptyReply() bool {
	return c.msg == "Tclunk" || c.msg == "Tflush" || c.msg == "Tfsync" || c.msg == "Tsetattr"
}

func (c cell) opaqueReply() bool {
	plain := c.server == p9test.Legacy
	return c.msg == "Tattach" || c.msg == "Tlopen" || c.msg == "Tlcreate" || c.msg == "Twalkgetattr" || c.msg == "Tgetattr" && !plain
}

// refusal is the errno that the server refuses the request with, 0 if it does not.
func (c cell) refusal() syscall.Errno {
	if c.fault == "none" && c.lasting {
		return syscall.EIO // nothing taken twice in a row
	}
	return errnos[c.fault]
}

// loses tells whether the fault costs a connection, or keeps one from being made.
func (c cell) loses() bool {
	if c.msg == "Tflush" && errnos[c.fault] != 0 {
		return false // any answer is a sign of life
	}
	return !slices.Contains([]string{"late", "short", "none"}, c.fault) && (errnos[c.fault] == 0 || c.handshake())
}

// slow tells whether the case needs a short --request-timeout.
func (c cell) slow() bool { return c.fault == "late" || c.fault == "silent" || c.at == "probe" }

// stores tells whether the message is one by which a file is written, or read.
func (c cell) stores() bool {
	return c.at == "sync" || c.at == "read" || c.reconnects() && !c.handshake()
}

// handshake tells whether no connection is there without the message.
func (c cell) handshake() bool { return c.msg == "Tversion" || c.msg == "Tattach" }

// reconnects tells whether the message is one that a new connection begins with.
func (c cell) reconnects() bool { return c.at == "reconnect" }

// plainWords are 9P2000's counterparts. It syncs by a Twstat that changes nothing.
var plainWords = map[string]string{
	"lopen": "open", "lcreate": "create", "getattr": "stat", "setattr": "wstat", "fsync": "wstat",
}

// word is the message's name without its T or R, as the proxy knows it.
func (c cell) word() string {
	w := c.msg[1:]
	switch {
	case c.server == p9test.Legacy && plainWords[w] != "":
		return plainWords[w]
	case w == "walkgetattr":
		return "wstat" // its number in 9P2000
	}
	return w
}

const (
	requestTimeout = "500ms"
	lateBy         = "750ms"
)

// rules are the proxy's sentences. away tells that it must let nobody in besides.
func (c cell) rules() (rules []string, away bool) {
	t, r := "T"+c.word(), "R"+c.word()
	away = c.lasting && c.loses() && !c.reconnects()
	count := ""
	if !c.lasting || away {
		count = " count=1"
	}
	switch c.fault {
	case "cut":
		rules = []string{t + count + " cut"}
	case "cut-after":
		rules = []string{r + count + " cut"}
	case "cut-mid":
		rules = []string{r + count + " cut=mid"}
	case "late":
		rules = []string{r + count + " delay=" + lateBy}
	case "silent":
		rules = []string{r + count + " hold", "Rflush" + strings.Replace(count, "1", "2", 1) + " hold"}
	case "short":
		rules = []string{map[string]string{"Twrite": "Twrite take=1000", "Tread": "Rread short=1000"}[c.msg] + count}
	case "none":
		rules = []string{"Twrite take=0" + count}
	case "garbage", "badtag", "badtype", "badframe":
		rules = []string{r + count + " " + c.fault}
	default:
		refuse := "reply=" + c.fault
		if c.server == p9test.Legacy {
			refuse = fmt.Sprintf("ename=%q", errnos[c.fault].Error())
		}
		rules = []string{t + count + " " + refuse}
	}
	if c.at == "probe" {
		rules = append(rules, "Rwrite count=1 delay="+lateBy)
	}
	return rules, away
}
