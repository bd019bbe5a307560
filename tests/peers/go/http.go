// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

type httpClient struct {
	base   string
	client *http.Client
}

func rootsFrom(args []string) (*x509.CertPool, error) {
	if len(args) < 2 {
		return nil, nil
	}
	pem, err := os.ReadFile(args[1])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + args[1])
	}
	return roots, nil
}

// net/http's own HTTP/2, which never falls back to HTTP/1 here.
func standardTransport(roots *x509.CertPool) http.RoundTripper {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(roots != nil)
	t.Protocols.SetUnencryptedHTTP2(roots == nil)
	return t
}

func xnetTransport(roots *x509.CertPool) http.RoundTripper {
	if roots != nil {
		return &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	}
	plain := func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return &http2.Transport{AllowHTTP: true, DialTLSContext: plain}
}

func newHTTPClient(args []string, transport func(*x509.CertPool) http.RoundTripper) (client, error) {
	roots, err := rootsFrom(args)
	if err != nil {
		return nil, err
	}
	return &httpClient{base: args[0], client: &http.Client{Transport: transport(roots)}}, nil
}

func (c *httpClient) renew() {
	c.client.CloseIdleConnections()
}

func (c *httpClient) ask(method, path, token string) (string, error) {
	if method == "load" {
		return c.load(path, strings.Split(token, ","))
	}
	return c.once(method, path, token)
}

// load makes so many requests with each token, in any order, many at a time: the answers by status.
func (c *httpClient) load(each string, tokens []string) (string, error) {
	count, err := strconv.Atoi(each)
	if err != nil {
		return "", err
	}
	paths := []string{"/items/load", "/denied", "/gone", "/empty"}
	asked, answers := make(chan [2]string), make(chan string)
	for range 64 {
		go func() {
			for a := range asked {
				answer, err := c.once("GET", a[0], a[1])
				if err != nil {
					answer = "failed"
				}
				answers <- strings.Fields(answer)[0]
			}
		}()
	}
	go func() {
		for i := range count {
			for _, t := range tokens {
				asked <- [2]string{paths[i%len(paths)], t}
			}
		}
		close(asked)
	}()
	sums := map[string]int{}
	for range count * len(tokens) {
		sums[<-answers]++
	}
	text, err := json.Marshal(sums)
	return string(text), err
}

func (c *httpClient) once(method, path, token string) (string, error) {
	request, err := http.NewRequest(method, c.base+path, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.client.Do(request)
	if err != nil {
		return "", err
	}
	if response.ProtoMajor != 2 {
		return "", fmt.Errorf("the answer is %s", response.Proto)
	}
	text, err := readText(response.Body)
	return fmt.Sprint(response.StatusCode, " ", text), err
}

func answer(w http.ResponseWriter, r *http.Request) {
	status := map[string]int{"/denied": 403, "/gone": 404, "/empty": 204}[r.URL.Path]
	if status == 0 {
		status = 200
	}
	_, port, _ := net.SplitHostPort(r.RemoteAddr)
	w.WriteHeader(status)
	if status != 204 {
		fmt.Fprintln(w, port)
	}
}

func standardPlain(s *http.Server) {
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
}

// The handler that also knows the upgrade from HTTP/1.
func xnetPlain(s *http.Server) {
	s.Handler = h2c.NewHandler(s.Handler, &http2.Server{})
}

func serveHTTP(args []string, plain func(*http.Server)) error {
	s := &http.Server{Addr: "127.0.0.1:" + args[0], Handler: http.HandlerFunc(answer)}
	if len(args) == 3 {
		return s.ListenAndServeTLS(args[1], args[2])
	}
	plain(s)
	return s.ListenAndServe()
}
