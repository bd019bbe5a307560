// SPDX-License-Identifier: Apache-2.0

// An HTTPS client for made-up hosts: a request a line on standard input, as JSON, sent to one port of 127.0.0.1
// under the name that the request says. Prints one status a line.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

type question struct {
	Host, Path string
	Headers    [][2]string
}

func ask(client *http.Client, port, line string) (int, error) {
	var q question

	if err := json.Unmarshal([]byte(line), &q); err != nil {
		return 0, err
	}
	request, err := http.NewRequest("GET", "https://"+q.Host+":"+port+q.Path, nil)
	if err != nil {
		return 0, err
	}
	for _, h := range q.Headers {
		request.Header.Add(h[0], h[1])
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: ask PORT <QUESTIONS")
		os.Exit(2)
	}
	port := os.Args[1]
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		// The names are other people's, and so are their certificates.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		status, err := ask(client, port, lines.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, "ask:", err)
			os.Exit(1)
		}
		fmt.Println(status)
	}
}
