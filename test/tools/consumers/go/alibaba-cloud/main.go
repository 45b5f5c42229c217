// Promises: a program with Alibaba Cloud's credentials for Go in their default set-up, and the vendor's generic client.
// "new" makes a client, "call" calls GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
)

type answer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newClient() (*openapi.Client, error) {
	credential, err := credentials.NewCredential(nil)
	if err != nil {
		return nil, err
	}
	return openapi.NewClient(&openapi.Config{
		Credential: credential,
		Protocol:   tea.String("HTTP"),
		Endpoint:   tea.String(strings.TrimPrefix(os.Getenv("CONSUMER_ENDPOINT"), "http://")),
	})
}

func call(client *openapi.Client) error {
	_, err := client.CallApi(&openapi.Params{
		Action:      tea.String("GetCallerIdentity"),
		Version:     tea.String("2015-04-01"),
		Protocol:    tea.String("HTTP"),
		Pathname:    tea.String("/"),
		Method:      tea.String("POST"),
		AuthType:    tea.String("AK"),
		Style:       tea.String("RPC"),
		ReqBodyType: tea.String("formData"),
		BodyType:    tea.String("json"),
	}, &openapi.OpenApiRequest{}, &util.RuntimeOptions{Autoretry: tea.Bool(false)})
	return err
}

func main() {
	// The SDK prints warnings of its own to the standard output.
	stdout := os.Stdout
	os.Stdout = os.Stderr
	var client *openapi.Client
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(stdout)
	for lines.Scan() {
		var err error
		if lines.Text() == "new" {
			client, err = newClient()
		} else {
			err = call(client)
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
