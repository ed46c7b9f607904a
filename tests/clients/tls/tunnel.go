// A tunnel for clients that cannot encrypt: what connects to it goes to Ringway over TLS, by Go's own crypto/tls.
//
//	tunnel HOST PORT CA VERSION
//
// It trusts the authority in the file CA, speaks TLS 1.2 or 1.3 as VERSION says, and prints the port on which it
// listens. Sessions are resumed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	pem, err := os.ReadFile(os.Args[3])
	must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no certificate in ", os.Args[3])
	}
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[4]]
	config := &tls.Config{
		RootCAs:            roots,
		ServerName:         os.Args[1],
		MinVersion:         version,
		MaxVersion:         version,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		plain, err := listener.Accept()
		must(err)
		go relay(plain.(*net.TCPConn), net.JoinHostPort(os.Args[1], os.Args[2]), config)
	}
}

func relay(plain *net.TCPConn, address string, config *tls.Config) {
	defer plain.Close()
	encrypted, err := tls.Dial("tcp", address, config)
	must(err)
	defer encrypted.Close()
	go func() {
		// The client has sent all: Ringway reads so, and answers what it owes.
		io.Copy(encrypted, plain)
		encrypted.CloseWrite()
	}()
	// An end without a word would be an error here: it could be an attacker's.
	_, err = io.Copy(plain, encrypted)
	if err != nil {
		log.Print(err)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
