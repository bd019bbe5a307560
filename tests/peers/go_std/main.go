// SPDX-License-Identifier: Apache-2.0

// An HTTPS client and server of Go's standard library alone, for every Go since 1.16 to build.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

const usage = `usage: peer client 1|2 https://HOST:PORT CA
       peer deep HOST:PORT CA
       peer server PORT CERT KEY`

const connections = 20

func main() {
	roles := map[string]func(args []string) error{"client": client, "deep": deep, "server": server}
	if len(os.Args) < 4 || roles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := roles[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func config(ca string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + ca)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// talk answers each line with a line.
func talk(answer func(words []string) (string, error)) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, err := answer(strings.Fields(lines.Text()))
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return lines.Err()
}

// client takes "METHOD PATH TOKEN", or "many PATH,PATH,... TOKEN,TOKEN,..." for that many at once.
func client(args []string) error {
	conf, err := config(args[2])
	if err != nil {
		return err
	}
	t := &http.Transport{TLSClientConfig: conf, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	if args[0] == "2" {
		t.ForceAttemptHTTP2 = true
		t.MaxConnsPerHost = 0
	}
	c := &http.Client{Transport: t}
	return talk(func(words []string) (string, error) {
		if words[0] != "many" {
			return once(c, args[0], words[0], args[1]+words[1], words[2])
		}
		return many(c, args[0], args[1], strings.Split(words[1], ","), strings.Split(words[2], ","))
	})
}

func once(c *http.Client, major, method, url, token string) (string, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if strconv.Itoa(response.ProtoMajor) != major {
		return "", errors.New("the answer is " + response.Proto)
	}
	return fmt.Sprint(response.StatusCode, " ", strings.TrimSpace(string(text))), err
}

func many(c *http.Client, major, base string, paths, tokens []string) (string, error) {
	answers := make([]string, len(tokens))
	next := make(chan int)
	var group sync.WaitGroup
	for i := 0; i < 4*connections; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range next {
				text, err := once(c, major, "GET", base+paths[i%len(paths)], tokens[i])
				if err != nil {
					text = "failed: " + err.Error()
				}
				answers[i] = strings.ReplaceAll(text, " ", ":")
			}
		}()
	}
	for i := range tokens {
		next <- i
	}
	close(next)
	group.Wait()
	return strings.Join(answers, " "), nil
}

// deep takes "refused TOKEN": of a server that is not trusted, so that Write fails; or
// "PATH,PATH,... TOKEN,TOKEN,...": on one connection, each from a new goroutine, from further
// down its stack than the one before, so that some calls begin where the stack ends.
func deep(args []string) error {
	conf, err := config(args[1])
	if err != nil {
		return err
	}
	c, err := tls.Dial("tcp", args[0], conf)
	if err != nil {
		return err
	}
	defer c.Close()
	return talk(func(words []string) (string, error) {
		if words[0] == "refused" {
			return refused(args[0], words[1])
		}
		paths, tokens := strings.Split(words[0], ","), strings.Split(words[1], ",")
		answers := make([]string, len(tokens))
		for i, token := range tokens {
			done := make(chan error)
			head := []byte("GET " + paths[i%len(paths)] + " HTTP/1.1\r\nHost: localhost\r\n" +
				"Authorization: Bearer " + token + "\r\n\r\n")
			go func(i int) {
				var err error
				answers[i], err = down(c, head, i)
				done <- err
			}(i)
			if err := <-done; err != nil {
				return "", err
			}
		}
		return strings.Join(answers, " "), nil
	})
}

func refused(address, token string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	t := tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()})
	head := "GET /refused HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	if _, err := t.Write([]byte(head)); err == nil {
		return "", errors.New("a server without a known certificate was trusted")
	}
	return "refused", nil
}

//go:noinline
func down(c *tls.Conn, head []byte, depth int) (string, error) {
	var room [64]byte
	if depth > 0 {
		room[depth%64] = 1
		text, err := down(c, head, depth-1)
		return text + string(bytes.Trim(room[:], "\x00\x01")), err
	}
	return exchange(c, head)
}

// The answer's buffer is on the stack, which the garbage collector makes smaller while Read waits.
//
//go:noinline
func exchange(c *tls.Conn, head []byte) (string, error) {
	var text [1024]byte
	if _, err := c.Write(head); err != nil {
		return "", err
	}
	collected := make(chan bool)
	go func() {
		runtime.GC()
		close(collected)
	}()
	n, err := c.Read(text[:])
	<-collected
	if err != nil || n < 12 {
		return "", fmt.Errorf("%d bytes, %v", n, err)
	}
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return string(text[9:12]) + ":" + port, nil
}

func server(args []string) error {
	return http.ListenAndServeTLS("127.0.0.1:"+args[0], args[1], args[2], http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			status := map[string]int{"/denied": 403, "/gone": 404}[r.URL.Path]
			if status == 0 {
				status = 200
			}
			_, port, _ := net.SplitHostPort(r.RemoteAddr)
			w.WriteHeader(status)
			fmt.Fprintln(w, port)
		}))
}
