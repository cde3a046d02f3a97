// Package show writes what inspect finds for people, awk and jq: rows in columns, or JSON lines; and a line that says how far long work
// is. It is shared by tools/logdump and `streambus log`, whose help says what the output means. It decides nothing.
//
// Text is plain ASCII in columns that are never empty: whatever the files hold, nothing of it steers a terminal.
package show
