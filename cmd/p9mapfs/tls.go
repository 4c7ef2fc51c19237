package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"p9mapfs/p9client"
)

// tlsFlags are what can be said about tls! addresses.
type tlsFlags struct {
	ca, cert, key, name string
	insecure            bool
}

func (f *tlsFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.ca, "tls-ca", "", "file with the authorities to trust for tls! (PEM; default: the system's)")
	fl.StringVar(&f.cert, "tls-cert", "", "file with the certificate to show (PEM)")
	fl.StringVar(&f.key, "tls-key", "", "file with its private key (PEM)")
	fl.StringVar(&f.name, "tls-name", "", "name in the server's certificate (default: the host)")
	fl.BoolVar(&f.insecure, "tls-insecure", false, "do not verify the server: whoever sits in between can read and change everything")
}

// config returns the TLS configuration for the addresses, nil for the default.
func (f *tlsFlags) config(addrs []p9client.Address) (*tls.Config, error) {
	if *f == (tlsFlags{}) {
		return nil, nil
	}
	switch {
	case !slices.ContainsFunc(addrs, func(a p9client.Address) bool { return a.Network == "tls" }):
		return nil, usage(errors.New("--tls flags are given, but no tls! address; write it as tls!host!port"))
	case (f.cert == "") != (f.key == ""):
		return nil, usage(errors.New("--tls-cert and --tls-key belong together; give both"))
	case f.insecure && (f.ca != "" || f.name != ""):
		return nil, usage(errors.New("--tls-insecure verifies nothing; leave it out, or --tls-ca and --tls-name"))
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.name, InsecureSkipVerify: f.insecure}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w; name a file with certificates", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--tls-ca: there is no certificate in %s; name a PEM file", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w; name two PEM files that belong together", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
