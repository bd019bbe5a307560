// SPDX-License-Identifier: Apache-2.0

// Go's HTTP/2 and gRPC, client and server: one program, so that the libraries are linked once.
// ../README.md says what is read from standard input and what is printed.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

const usage = `usage: peer http-client|xnet-client http[s]://HOST:PORT [CA]
       peer http-server|xnet-server PORT [CERT KEY]
       peer grpc-client HOST:PORT [CA]
       peer grpc-server PORT`

// A client says what one line of three words asks for, in words of its own answer.
type client interface {
	ask(a, b, token string) (string, error)
	renew()
}

func main() {
	roles := map[string]func(args []string) error{
		"http-client": func(a []string) error { return talk(newHTTPClient(a, standardTransport)) },
		"xnet-client": func(a []string) error { return talk(newHTTPClient(a, xnetTransport)) },
		"http-server": func(a []string) error { return serveHTTP(a, standardPlain) },
		"xnet-server": func(a []string) error { return serveHTTP(a, xnetPlain) },
		"grpc-client": func(a []string) error { return talk(newGRPCClient(a)) },
		"grpc-server": serveGRPC,
	}
	if len(os.Args) < 3 || roles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := roles[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func talk(c client, err error) error {
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 1 && words[0] == "new" {
			c.renew()
			fmt.Println("new")
			continue
		}
		if len(words) != 3 {
			return fmt.Errorf("a line of %d words", len(words))
		}
		answer, err := c.ask(words[0], words[1], words[2])
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

func readText(r io.ReadCloser) (string, error) {
	defer r.Close()
	text, err := io.ReadAll(r)
	return strings.TrimSpace(string(text)), err
}
