// Promises: a program with the Volcengine SDK for Go in its default set-up. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"github.com/volcengine/volcengine-go-sdk/service/sts"
	"github.com/volcengine/volcengine-go-sdk/volcengine"
	"github.com/volcengine/volcengine-go-sdk/volcengine/session"
)

type answer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newClient() (*sts.STS, error) {
	config := volcengine.NewConfig().
		WithRegion("cn-beijing").
		WithEndpoint(os.Getenv("CONSUMER_ENDPOINT")).
		WithDisableSSL(true).
		WithMaxRetries(0).
		// Only what is said of a failure; the chain is the default one.
		WithCredentialsChainVerboseErrors(true)
	opened, err := session.NewSession(config)
	if err != nil {
		return nil, err
	}
	return sts.New(opened), nil
}

func main() {
	var client *sts.STS
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var err error
		if lines.Text() == "new" {
			client, err = newClient()
		} else {
			_, err = client.GetCallerIdentity(&sts.GetCallerIdentityInput{})
		}
		told := answer{OK: err == nil}
		if err != nil {
			told.Error = err.Error()
		}
		if answers.Encode(told) != nil {
			return
		}
	}
}
