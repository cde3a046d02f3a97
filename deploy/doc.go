// Package deploy is the files with which a StreamBus broker goes into production: an image, a systemd unit, a seccomp profile, a scrape
// configuration, alerts and dashboards. There is no code in it but the tests that hold the files against the program: every metric that
// an alert or a dashboard asks for is one that is served, every setting exists, and every limit is where the documents say.
package deploy
