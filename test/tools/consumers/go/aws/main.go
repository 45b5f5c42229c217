// Promises: a program with the AWS SDK for Go v2 in its default set-up. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type answer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newClient(ctx context.Context) (*sts.Client, error) {
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := aws.String(os.Getenv("CONSUMER_ENDPOINT"))
	return sts.NewFromConfig(loaded, func(options *sts.Options) {
		options.BaseEndpoint = endpoint
		options.RetryMaxAttempts = 1
	}), nil
}

func main() {
	ctx := context.Background()
	var client *sts.Client
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var err error
		if lines.Text() == "new" {
			client, err = newClient(ctx)
		} else {
			_, err = client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
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
