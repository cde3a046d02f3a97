// Package layers holds the import policy of the project (policy.txt) and the test that enforces it.
//
// The test parses the files itself, in the test process: `go test` caches a test that shells out to `go list`, since it does
// not see which files that program read, and would stay green after a forbidden import. Files opened by the test process
// are part of the cache key.
package layers
