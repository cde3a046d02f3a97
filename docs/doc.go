// Package docs is the guides. There is no code in it but the tests that run them: every shell block of every guide, in order, in a scratch
// folder with the built programs in bin/, and in a network of its own, so that ports are those of the text.
//
// A shell block is one that begins with ```sh at the beginning of a line. A guide is one shell, with errexit and pipefail: what a block
// exports, the next one has. A comment in the line before a block says how it is run, and does not show in the page:
//
//	<!-- test: skip WHY -->                 it is not run: it needs another machine, root, an hour
//	<!-- test: background until TEXT -->    it runs beside the rest; the guide goes on when it has printed TEXT
//	<!-- test: stop -->                     the last one in the background is stopped before, by SIGTERM, and must exit with 0
//	<!-- test: exit 0,99 -->                it must end with one of these codes; 0 where nothing is said
//	<!-- test: env NAME=VALUE … -->         it has these variables, as in BENCHTIME=5ms
//	<!-- test: slow … -->                   it is run only by `make test-docs`, which runs everything that is not skipped
//	<!-- test: repo … -->                   it runs in the repository's folder, which `make` needs
//
// All but the first two may stand together: <!-- test: slow repo env COUNT=1 -->.
package docs
