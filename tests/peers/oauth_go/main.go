// SPDX-License-Identifier: Apache-2.0

// Go's oauth2: client credentials, a code and its refresh: oauth_go BASE CA; see ../README.md. Secrets are a
// JSON object on standard input; what was got goes to standard output, as one.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/http/cookiejar"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func must[T any](got T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return got
}

func use(client *http.Client, url string) int {
	answer := must(client.Get(url))
	answer.Body.Close()
	return answer.StatusCode
}

// What the provider sends the browser back with; nobody is at that address.
func code(client *http.Client, url string) string {
	browser := *client
	browser.Jar = must(cookiejar.New(nil))
	var back string
	browser.CheckRedirect = func(next *http.Request, before []*http.Request) error {
		if next.URL.Host == "app.test" {
			back = next.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		if len(before) > 20 {
			return errors.New("redirected for ever")
		}
		return nil
	}
	must(browser.Get(url)).Body.Close()
	return back
}

func main() {
	base := os.Args[1]
	var secrets map[string]string
	if err := json.NewDecoder(os.Stdin).Decode(&secrets); err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(os.Args[2])))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)

	machine := clientcredentials.Config{ClientID: "mesh", ClientSecret: secrets["mesh"], TokenURL: base + "/token",
		Scopes: []string{"read"}, AuthStyle: oauth2.AuthStyleInParams}
	service := must(machine.Token(ctx))
	uses := []int{use(oauth2.NewClient(ctx, oauth2.StaticTokenSource(service)), base+"/api/go")}

	machine.ClientSecret = secrets["wrong_mesh"]
	var refused *oauth2.RetrieveError
	if _, err := machine.Token(ctx); !errors.As(err, &refused) {
		log.Fatal("a wrong secret was not refused")
	}

	person := oauth2.Config{ClientID: "desk", ClientSecret: secrets["desk"], RedirectURL: "https://app.test/back",
		Scopes:   []string{"openid", "offline_access", "read"},
		Endpoint: oauth2.Endpoint{AuthURL: base + "/auth", TokenURL: base + "/token", AuthStyle: oauth2.AuthStyleInParams}}
	verifier := oauth2.GenerateVerifier()
	first := must(person.Exchange(ctx, code(client, person.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent"))), oauth2.VerifierOption(verifier)))
	stale := *first
	stale.Expiry = time.Now().Add(-time.Minute)
	source := person.TokenSource(ctx, &stale)
	second := must(source.Token())
	uses = append(uses, use(oauth2.NewClient(ctx, source), base+"/api/go"))
	json.NewEncoder(os.Stdout).Encode(map[string]any{"service": service, "first": first, "second": second, "uses": uses,
		"refused": refused.ErrorCode})
}
