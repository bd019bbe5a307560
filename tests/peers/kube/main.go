// SPDX-License-Identifier: Apache-2.0

// Mints a service account's token by client-go, uses it, has it reviewed, and prints what came of it as JSON:
//
//	peer KUBECONFIG json|protobuf NAMESPACE ACCOUNT POD SECONDS AUDIENCE[,AUDIENCE...]
//
// POD may be empty, and no audience means the API server's own. By itself client-go speaks protobuf.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	authn "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func need(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ask(admin *kubernetes.Clientset, words []string) *authn.TokenRequest {
	namespace, account, pod := words[0], words[1], words[2]
	life, err := strconv.ParseInt(words[3], 10, 64)
	need(err)
	request := &authn.TokenRequest{Spec: authn.TokenRequestSpec{ExpirationSeconds: &life}}
	if words[4] != "" {
		request.Spec.Audiences = strings.Split(words[4], ",")
	}
	if pod != "" {
		request.Spec.BoundObjectRef = &authn.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod}
	}
	answer, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), account, request,
		meta.CreateOptions{})
	need(err)
	return answer
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	need(err)
	if os.Args[2] == "json" {
		config.AcceptContentTypes, config.ContentType = "application/json", "application/json"
	}
	admin, err := kubernetes.NewForConfig(config)
	need(err)
	answer := ask(admin, os.Args[3:])

	own := rest.AnonymousClientConfig(config)
	own.BearerToken = answer.Status.Token
	account, err := kubernetes.NewForConfig(own)
	need(err)
	_, denied := account.CoreV1().Pods(os.Args[3]).List(context.Background(), meta.ListOptions{})

	review := &authn.TokenReview{Spec: authn.TokenReviewSpec{Token: answer.Status.Token, Audiences: answer.Spec.Audiences}}
	review, err = admin.AuthenticationV1().TokenReviews().Create(context.Background(), review, meta.CreateOptions{})
	need(err)
	need(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"token": answer.Status.Token, "expires": answer.Status.ExpirationTimestamp.Unix(), "now": time.Now().Unix(),
		"served": denied == nil, "user": review.Status.User.Username, "authenticated": review.Status.Authenticated,
	}))
}
