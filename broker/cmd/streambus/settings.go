package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/internal/config"
)

// settings are the flags that every command has which reads the configuration.
type settings struct {
	file    string
	dataDir string
	set     []string
}

func (s *settings) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.file, "config", "", "configuration `FILE`: YAML with Kafka's keys, nested or dotted, or a server.properties")
	c.Flags().StringVar(&s.dataDir, "data-dir", "", "data `DIR`ectory, created when missing (the setting log.dirs)")
	c.Flags().StringArrayVar(&s.set, "set", nil, "set one `KEY=VALUE`; may be given many times, and wins over file and environment")
}

func (s *settings) load() (*config.Config, error) {
	return config.Load(config.Sources{File: s.file, Environ: os.Environ(), Set: s.set, DataDir: s.dataDir})
}
